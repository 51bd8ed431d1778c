//! Time: pings, silence, idleness, and what stops the clocks.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::peer::{Server, frame, limits, s};

#[tokio::test(start_paused = true)]
async fn who_answers_pings_may_rest_for_10_minutes() {
    let server = Server::new(limits());
    let begin = Instant::now();
    let mut client = server.connect().await;
    assert_eq!(client.code().await, 1001);
    assert_eq!(begin.elapsed().as_secs(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_message_or_an_answer_begins_the_10_minutes_anew() {
    let server = Server::new(limits());
    let begin = Instant::now();
    let mut client = server.connect().await;
    client.say("a /wait/900000").await;
    assert_eq!(client.text().await, "a 200 done");
    assert_eq!(begin.elapsed().as_secs(), 900);
    assert_eq!(client.code().await, 1001);
    assert_eq!(begin.elapsed().as_secs(), 1500);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_a_ping_is_dropped() {
    let server = Server::new(limits());
    let begin = Instant::now();
    let (mut ours, task) = server.pipe(4096);
    let mut sent = Vec::new();
    ours.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, [0x89, 0], "one ping and no close");
    assert_eq!(begin.elapsed().as_secs(), 40);
    assert!(task.await.unwrap(), "the caller counts as lost");
}

#[tokio::test(start_paused = true)]
async fn a_message_on_its_way_is_a_sign_of_life() {
    let server = Server::new(limits());
    let (mut ours, task) = server.pipe(4096);
    let message = frame(0x81, format!("a /wait/0{}", " ".repeat(100)).as_bytes());
    // No pong can overtake it; it takes two minutes.
    for byte in &message {
        ours.write_u8(*byte).await.unwrap();
        tokio::time::sleep(s(1)).await;
    }
    let mut sent = [0; 14];
    ours.read_exact(&mut sent).await.unwrap();
    assert_eq!(&sent, b"\x89\x00\x81\x0aa 200 done");
    assert!(task.await.unwrap(), "now the client is silent");
}

#[tokio::test(start_paused = true)]
async fn while_the_reader_stands_still_no_pong_is_missed() {
    let server = Server::new(limits());
    let begin = Instant::now();
    let mut client = server.connect().await;
    for number in 0..32 {
        client.say(format!("r{number} /wait/300000")).await;
    }
    for _ in 0..32 {
        assert!(client.text().await.ends_with(" 200 done"));
    }
    assert_eq!(begin.elapsed().as_secs(), 300);
    client.say("a /wait/0").await;
    assert_eq!(client.text().await, "a 200 done");
}
