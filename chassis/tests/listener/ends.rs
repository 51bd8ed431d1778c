//! How a listener ends: nothing that has begun is lost, nothing new is begun, and it ends in time.

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::server::{Server, limits, ms};

const SLOW: &str = "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
const FAST: &str = "GET /fast HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn what_is_in_flight_is_answered() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client.send(SLOW).await;
    tokio::time::sleep(ms(100)).await;
    server.stop.cancel();
    tokio::time::sleep(ms(100)).await;
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "nobody is accepted any more"
    );
    let answer = client.rest().await;
    assert!(
        answer.ends_with("slow") && answer.contains("connection: close"),
        "{answer}"
    );
    server.ended().await;
}

#[tokio::test]
async fn a_head_on_its_way_is_answered() {
    let server = Server::start(limits()).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    let (begin, end) = FAST.split_at(9);
    first.send(FAST).await;
    first.until("fast").await;
    for client in [&mut first, &mut second] {
        client.send(begin).await;
    }
    tokio::time::sleep(ms(50)).await;
    server.stop.cancel();
    tokio::time::sleep(ms(100)).await;
    for client in [&mut first, &mut second] {
        client.send(end).await;
        let answer = client.rest().await;
        assert!(
            answer.ends_with("fast") && answer.contains("connection: close"),
            "{answer}"
        );
    }
    server.ended().await;
}

#[tokio::test]
async fn who_was_connected_but_not_accepted_is_answered() {
    let server = Server::start(limits()).await;
    // No await between: the server has had no chance to accept, nor to see its end before.
    let std = std::net::TcpStream::connect(server.address).unwrap();
    server.stop.cancel();
    std.set_nonblocking(true).unwrap();
    let mut client = crate::server::Client(TcpStream::from_std(std).unwrap());
    client.send(FAST).await;
    assert!(client.rest().await.ends_with("fast"));
    server.ended().await;
}

#[tokio::test]
async fn idle_and_silent_clients_do_not_hold_up_the_end() {
    let server = Server::start(limits()).await;
    let mut idle = server.connect().await;
    idle.send(FAST).await;
    idle.until("fast").await;
    let _silent = server.connect().await;
    tokio::time::sleep(ms(50)).await;
    server.stop.cancel();
    assert!(server.ended().await < ms(3000));
}

#[tokio::test]
async fn what_outlasts_the_grace_is_dropped() {
    let server = Server::with_grace(limits(), ms(200)).await;
    let mut client = server.connect().await;
    client
        .send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    tokio::time::sleep(ms(50)).await;
    let begin = Instant::now();
    server.stop.cancel();
    assert_eq!(client.rest().await, "");
    assert!(begin.elapsed() >= ms(190));
    assert!(server.ended().await < ms(3000));
}

#[tokio::test]
async fn draining_serves_on_and_sends_clients_elsewhere() {
    let server = Server::start(limits()).await;
    let mut old = server.connect().await;
    old.send(FAST).await;
    assert!(!old.until("fast").await.contains("connection: close"));
    server.drain.cancel();
    tokio::time::sleep(ms(50)).await;
    old.send(FAST).await;
    let answer = old.rest().await;
    assert!(
        answer.ends_with("fast") && answer.contains("connection: close"),
        "{answer}"
    );
    let answer = server.talk(FAST).await;
    assert!(
        answer.ends_with("fast") && answer.contains("connection: close"),
        "{answer}"
    );
    server.stop.cancel();
    server.ended().await;
}
