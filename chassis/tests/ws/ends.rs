//! Why the server closes, beyond frames and time.

use aimass_chassis::ws::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::peer::{Server, close_code, frame, head, limits, s};

#[tokio::test(start_paused = true)]
async fn a_drain_answers_what_is_in_flight_and_reads_no_more() {
    let server = Server::new(limits());
    let mut client = server.connect().await;
    client.say("a /wait/3000").await;
    client.say("b /wait/1000").await;
    tokio::time::sleep(s(0)).await;
    while server.load.all() < 2 {
        tokio::task::yield_now().await;
    }
    server.drain.cancel();
    tokio::task::yield_now().await;
    client.say("c /wait/0").await;
    assert_eq!(client.text().await, "b 200 done");
    assert_eq!(client.text().await, "a 200 done");
    assert_eq!(client.code().await, 1012);
    assert!(!client.task.await.unwrap());
    assert_eq!(server.load.all(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_at_once_what_rests() {
    let server = Server::new(limits());
    let mut client = server.connect().await;
    let begin = Instant::now();
    server.drain.cancel();
    assert_eq!(client.code().await, 1012);
    assert!(begin.elapsed() < s(1));
}

#[tokio::test(start_paused = true)]
async fn ten_messages_in_a_row_that_make_no_sense_are_too_many() {
    let server = Server::new(limits());
    let mut client = server.connect().await;
    for number in 1..=9 {
        client.say("nonsense").await;
        assert_eq!(client.text().await, format!("{number} makes no sense"));
    }
    client.say("a /wait/0").await;
    assert_eq!(client.text().await, "a 200 done");
    for number in 11..=19 {
        client.say("nonsense").await;
        assert_eq!(client.text().await, format!("{number} makes no sense"));
    }
    client.say("nonsense").await;
    assert_eq!(client.code().await, 1008);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_told_as_an_internal_error() {
    let server = Server::new(limits());
    for message in ["panic", "a /panic"] {
        let mut client = server.connect().await;
        client.say("b /wait/60000").await;
        client.say(message).await;
        assert_eq!(client.code().await, 1011, "{message}");
    }
    // Read on another thread.
    let mut client = server.connect().await;
    client.say(format!("a /wait/0{}", " ".repeat(65_527))).await;
    assert_eq!(client.text().await, "a 200 done");
}

#[tokio::test(start_paused = true)]
async fn a_form_without_a_meaning_is_refused() {
    let server = Server::new(limits());
    let sent = server.talk(&frame(0x82, b"a /wait/0")).await;
    assert_eq!(close_code(&sent), 1003);
}

#[tokio::test(start_paused = true)]
async fn unfinished_messages_of_all_together_are_bounded() {
    let server = Server::new(Limits {
        unfinished_bytes: 50_000,
        ..limits()
    });
    let part = |bytes: usize| {
        let mut part = head(0x81, 0x80, 60_000);
        part.extend(vec![0; 4 + bytes]);
        part
    };
    let (mut first, _task) = server.pipe(1 << 20);
    first.write_all(&part(30_000)).await.unwrap();
    tokio::time::sleep(s(1)).await;
    assert_eq!(close_code(&server.talk(&part(25_000)).await), 1013);
    // What the second one held is free again.
    let mut third = server.connect().await;
    third.say(format!("a /wait/0{}", " ".repeat(15_000))).await;
    assert_eq!(third.text().await, "a 200 done");
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_violation_does_not_hide_the_reason() {
    let server = Server::new(limits());
    let (mut ours, task) = server.pipe(1 << 20);
    let mut bytes = head(0x81, 0x80, 1 << 40);
    bytes.extend(vec![0; 500_000]);
    ours.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    ours.read_to_end(&mut answer).await.unwrap();
    assert_eq!(&answer[..4], [0x88, answer[1], 0x03, 0xf1], "1009");
    assert!(!task.await.unwrap());
}
