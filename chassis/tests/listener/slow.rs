//! Clients that send or take too little, each closed by its own bound and by no other.

use std::time::Duration;

use tokio::time::Instant;

use aimass_chassis::listener::Limits;

use crate::server::{LARGE, Server, limits, ms};

const GET: &str = "GET /fast HTTP/1.1\r\nhost: a\r\n\r\n";

#[track_caller]
fn assert_took(begin: Instant, at_least: Duration, at_most: Duration) {
    let took = begin.elapsed();
    assert!(
        took >= at_least && took <= at_most,
        "took {took:?}, not {at_least:?} to {at_most:?}"
    );
}

#[tokio::test]
async fn who_sends_nothing_or_half_a_beginning_is_closed() {
    let server = Server::start(limits()).await;
    for bytes in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "GET",
        "GET / HTTP/1.1\r\nhost: a\r\nx: ",
    ] {
        let begin = Instant::now();
        assert_eq!(server.talk(bytes).await, "", "{bytes:?}");
        assert_took(begin, ms(290), ms(3000));
    }
}

#[tokio::test]
async fn a_head_in_drops_is_closed() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    let begin = Instant::now();
    for byte in GET.chars() {
        client.send(&byte.to_string()).await;
        tokio::time::sleep(ms(20)).await;
    }
    assert_eq!(client.rest().await, "");
    assert_took(begin, ms(300), ms(3000));
}

#[tokio::test]
async fn a_second_head_has_its_own_bound() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client.send(GET).await;
    client.until("fast").await;
    tokio::time::sleep(ms(400)).await;
    client.send(GET).await;
    client.until("fast").await;
    client.send("GET /").await;
    let begin = Instant::now();
    assert_eq!(client.rest().await, "");
    assert_took(begin, ms(290), ms(3000));
}

#[tokio::test]
async fn who_rests_too_long_is_closed() {
    let server = Server::start(Limits {
        idle: ms(900),
        ..limits()
    })
    .await;
    let begin = Instant::now();
    assert!(server.talk(GET).await.ends_with("fast"));
    assert_took(begin, ms(890), ms(4000));
}

#[tokio::test]
async fn an_answer_may_take_longer_than_any_bound_on_its_client() {
    let server = Server::start(limits()).await;
    let answer = server
        .talk("GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.ends_with("slow"), "{answer}");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_gets_408() {
    let server = Server::start(limits()).await;
    for head in [
        "content-length: 100000\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let begin = Instant::now();
        let answer = server
            .talk(&format!("POST /body HTTP/1.1\r\nhost: a\r\n{head}"))
            .await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.contains("too slowly"), "{answer}");
        // The first window is free.
        assert_took(begin, ms(390), ms(4000));
    }
}

#[tokio::test]
async fn a_body_in_drops_gets_408() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client
        .send("POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n")
        .await;
    for _ in 0..30 {
        client.send("x").await;
        tokio::time::sleep(ms(20)).await;
    }
    assert!(client.rest().await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn a_body_may_take_long_if_it_is_fast_enough() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client
        .send("POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 20480\r\n\r\n")
        .await;
    for _ in 0..20 {
        client.send(&"x".repeat(1024)).await;
        tokio::time::sleep(ms(50)).await;
    }
    client.until("\r\n\r\n20480").await;
}

#[tokio::test]
async fn an_application_that_does_not_read_does_not_blame_the_client() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client
        .send("POST /late HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
        .await;
    tokio::time::sleep(ms(1100)).await;
    client.send("cd").await;
    client.until("\r\n\r\n4").await;
}

#[tokio::test]
async fn a_reader_that_stops_is_reset() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually(&server, 1).await;
    eventually(&server, 0).await;
    assert!(
        client.rest().await.len() < LARGE,
        "the server gave up in between"
    );
}

#[tokio::test]
async fn a_slow_reader_gets_all() {
    // The bound on idle connections must not count while the answer is on its way.
    let server = Server::start(Limits {
        idle: ms(200),
        ..limits()
    })
    .await;
    let mut client = server.connect().await;
    client
        .send("GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let mut seen = 0;
    let mut piece = vec![0; 1 << 20];
    loop {
        use tokio::io::AsyncReadExt as _;
        match client.0.read(&mut piece).await.expect("nobody resets") {
            0 => break,
            bytes => seen += bytes,
        }
        tokio::time::sleep(ms(2)).await;
    }
    assert!(seen > LARGE, "{seen} bytes came");
}

#[tokio::test]
async fn who_sends_on_after_a_refusal_reads_the_refusal() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client
        .send("POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 8000000\r\n\r\n")
        .await;
    for _ in 0..16 {
        client.send(&"x".repeat(64 << 10)).await;
    }
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let server = Server::start(Limits {
        connections: 2,
        ..limits()
    })
    .await;
    let mut first = server.connect().await;
    first
        .send("GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let mut second = server.connect().await;
    second
        .send("GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let begin = Instant::now();
    let mut third = server.connect().await;
    third.send(GET).await;
    tokio::time::sleep(ms(300)).await;
    assert_eq!(server.open.get(), 2);
    third.until("fast").await;
    assert_took(begin, ms(1000), ms(4500));
    assert!(first.rest().await.ends_with("slow") && second.rest().await.ends_with("slow"));
}

async fn eventually(server: &Server, open: i64) {
    let begin = Instant::now();
    while server.open.get() != open {
        assert!(
            begin.elapsed() < ms(4000),
            "{} connections are open",
            server.open.get()
        );
        tokio::time::sleep(ms(20)).await;
    }
}
