//! Requests and answers: their order, their number, and those who take nothing.

use std::collections::BTreeSet;

use futures_util::{FutureExt as _, SinkExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::peer::{Server, frame, limits, s};

#[tokio::test(start_paused = true)]
async fn answers_come_as_they_are_ready() {
    let server = Server::new(limits());
    let mut client = server.connect().await;
    client.say("a /wait/5000").await;
    client.say("b /wait/0").await;
    client.say("c /nowhere").await;
    assert_eq!(client.text().await, "b 200 done");
    assert_eq!(client.text().await, "c 404 ");
    assert_eq!(client.text().await, "a 200 done");
}

#[tokio::test(start_paused = true)]
async fn at_32_requests_in_flight_the_reader_stops() {
    let server = Server::new(limits());
    let mut client = server.connect().await;
    for number in 0..100 {
        client.say(format!("r{number} /wait/1000")).await;
    }
    let mut ids = BTreeSet::new();
    for _ in 0..100 {
        let answer = client.text().await;
        assert!(ids.insert(answer.clone()), "{answer} came twice");
    }
    assert_eq!((server.load.most(), server.load.all()), (32, 100));
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_dropped_after_10_s() {
    let server = Server::new(limits());
    let begin = Instant::now();
    // The pipe holds a few answers; nobody reads them.
    let (mut ours, task) = server.pipe(256);
    let mut sent = 0;
    for number in 0..1000 {
        let message = frame(0x81, format!("r{number} /wait/0").as_bytes());
        let fits = tokio::time::timeout(s(5), ours.write_all(&message)).await;
        if !matches!(fits, Ok(Ok(()))) {
            break;
        }
        sent += 1;
    }
    assert!(sent < 100, "{sent} messages were read and none taken");
    assert!(task.await.unwrap(), "the caller counts as lost");
    let took = begin.elapsed();
    assert!(took >= s(10) && took < s(11), "{took:?}");
    assert_eq!((server.load.now(), server.open.get()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_is_one_message_of_many_frames() {
    let server = Server::new(limits());
    let mut client = server.connect().await;
    for bytes in [200, 32 << 10, (32 << 10) + 1, 1_000_000] {
        client.say(format!("a /large/{bytes}")).await;
        let Message::Binary(answer) = client.next().await else {
            panic!("no bytes");
        };
        let answer = answer.strip_prefix(b"a 200 ").unwrap();
        assert!(answer.len() == bytes && answer.iter().all(|byte| *byte == b'x'));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_beyond_the_bound_is_a_failure_of_its_request() {
    let server = Server::new(limits());
    let mut client = server.connect().await;
    client.say("a /large/2000000").await;
    assert_eq!(client.text().await, "a Broken of 1");
}

#[tokio::test(start_paused = true)]
async fn an_id_in_flight_cannot_be_used_again_and_an_answered_one_can() {
    let server = Server::new(limits());
    let mut client = server.connect().await;
    client.say("a /wait/1000").await;
    client.say("a /wait/0").await;
    assert_eq!(client.text().await, "a Duplicate of 2");
    assert_eq!(client.text().await, "a 200 done");
    client.say("a /wait/0").await;
    assert_eq!(client.text().await, "a 200 done");
}

#[tokio::test(start_paused = true)]
async fn a_request_given_up_is_dropped_and_answered_once() {
    let server = Server::new(limits());
    let mut client = server.connect().await;
    let begin = Instant::now();
    client.say("cancel a").await;
    client.say("a /wait/60000").await;
    client.say("cancel b").await;
    client.say("cancel a").await;
    client.say("cancel a").await;
    client.say("b /wait/0").await;
    let mut answers = [client.text().await, client.text().await];
    answers.sort();
    assert_eq!(answers, ["a Cancelled of 2", "b 200 done"]);
    assert!(begin.elapsed() < s(1));
    assert_eq!(server.load.now(), 0);
}

#[tokio::test(start_paused = true)]
async fn closing_gives_up_all_that_is_in_flight() {
    let server = Server::new(limits());
    for polite in [true, false] {
        let mut client = server.connect().await;
        for number in 0..20 {
            client.say(format!("r{number} /wait/60000")).await;
        }
        let begin = Instant::now();
        if polite {
            client.socket.send(Message::Close(None)).await.unwrap();
            assert!(matches!(client.next().await, Message::Close(_)));
        }
        let crate::peer::Client { socket, task } = client;
        drop(socket);
        assert_eq!(task.await.unwrap(), !polite);
        assert!(begin.elapsed() < s(2), "{:?}", begin.elapsed());
        assert_eq!(server.load.now(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn there_are_only_so_many() {
    let server = Server::new(aimass_chassis::ws::Limits {
        connections: 2,
        ..limits()
    });
    let (first, second) = (server.connect().await, server.connect().await);
    assert!(server.endpoint.seat().is_none());
    assert_eq!(server.open.get(), 2);
    drop(first.socket);
    first.task.await.unwrap();
    assert!(server.endpoint.seat().is_some());
    assert!(second.task.now_or_never().is_none());
}
