//! The listener against real sockets on loopback: slow, silent and greedy clients; graceful ends.

use std::net::SocketAddr;
use std::time::Duration;

use aimass_chassis::listener::{self, Limits, TooSlow};
use aimass_chassis::shutdown::Stop;
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Short bounds, so that every breach shows within a second.
fn limits() -> Limits {
    Limits {
        start: Duration::from_millis(300),
        head: Duration::from_millis(300),
        write: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        body_window: Duration::from_millis(200),
        body_window_bytes: 1024,
        connections: 4,
        ..Limits::default()
    }
}

struct Server {
    address: SocketAddr,
    stop: Stop,
    task: JoinHandle<()>,
}

async fn server() -> Server {
    let app = Router::new()
        .route("/fast", get(|| async { "fast" }))
        .route("/slow", get(slow))
        .route("/large", get(|| async { vec![b'x'; 64 << 20] }))
        .route("/body", post(read_body));
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback works");
    let address = listener.local_addr().expect("loopback works");
    let stop = Stop::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "the test awaits this task itself"
    )]
    let task = tokio::spawn(listener::serve(
        listener,
        app,
        limits(),
        stop.clone(),
        Duration::from_secs(5),
    ));
    Server {
        address,
        stop,
        task,
    }
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(800)).await;
    "slow"
}

async fn read_body(body: Body) -> (StatusCode, String) {
    match body.collect().await {
        Ok(body) => (StatusCode::OK, body.to_bytes().len().to_string()),
        Err(error) if is_too_slow(&error) => (StatusCode::REQUEST_TIMEOUT, String::new()),
        Err(_broken) => (StatusCode::BAD_REQUEST, String::new()),
    }
}

fn is_too_slow(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error.is::<TooSlow>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Sends the bytes and reads until the server closes; fails after 5 s.
async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("loopback works");
    stream.write_all(bytes).await.expect("loopback works");
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer));
    // A reset is a close as well.
    let _closed = read
        .await
        .expect("the server closes the connection in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn silent_and_slow_clients_are_closed() {
    let server = server().await;
    assert_eq!(talk(server.address, b"").await, "");
    assert_eq!(talk(server.address, b"PRI * HTT").await, "");
    let head = talk(server.address, b"GET /fast HTTP/1.1\r\nhost: a\r\n").await;
    assert!(!head.contains("200"), "{head}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answer() {
    let server = server().await;
    let answer = talk(server.address, b"GET /fast HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.ends_with("fast"), "{answer}");
}

#[tokio::test]
async fn a_request_may_take_longer_than_any_bound_on_its_client() {
    let server = server().await;
    let answer = talk(server.address, b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.ends_with("slow"), "{answer}");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_gets_408() {
    let server = server().await;
    let head = b"POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nabc";
    let answer = talk(server.address, head).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_reader_that_stops_is_dropped() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("loopback works");
    stream
        .write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("loopback works");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(
        rest(&mut stream).await.len() < 64 << 20,
        "the server gave up in between"
    );
}

#[tokio::test]
async fn doubtful_framing_is_refused_and_closed() {
    let server = server().await;
    for request in [
        "GET /fast HTTP/1.1\r\n\r\n",
        "GET /fast HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST /body HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ] {
        let answer = talk(server.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request}: {answer}");
    }
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let server = server().await;
    let idle: Vec<_> = {
        let mut idle = Vec::new();
        for _ in 0..4 {
            idle.push(
                TcpStream::connect(server.address)
                    .await
                    .expect("loopback works"),
            );
        }
        idle
    };
    let answer = talk(server.address, b"GET /fast HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.ends_with("fast"), "{answer}");
    drop(idle);
}

#[tokio::test]
async fn a_graceful_end_answers_what_is_in_flight() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("loopback works");
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("loopback works");
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.cancel();
    assert!(rest(&mut stream).await.ends_with("slow"));
    tokio::time::timeout(Duration::from_secs(5), server.task)
        .await
        .expect("loopback works")
        .expect("loopback works");
    assert!(TcpStream::connect(server.address).await.is_err());
}
