//! The same promises to clients of HTTP/2.

use aimass_chassis::listener::Limits;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::server::{LARGE, Server, limits, ms};

/// A client and its connection, which ends when the server ends it.
async fn connect(server: &Server) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(server.address)
        .await
        .expect("the server listens");
    let executor = TokioExecutor::new();
    let (sender, connection) = handshake(executor, TokioIo::new(stream))
        .await
        .expect("the server speaks");
    #[expect(
        clippy::disallowed_methods,
        reason = "the test awaits this task itself"
    )]
    let connection = tokio::spawn(connection);
    (sender, connection)
}

fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://a{path}"))
        .body(Body::empty())
        .expect("the path is well formed")
}

/// A body that begins and never goes on.
fn stalled() -> Body {
    let (sender, receiver) = tokio::io::duplex(64);
    // Keeps the other end for ever: the test process is short.
    std::mem::forget(sender);
    Body::from_stream(tokio_util::io::ReaderStream::new(receiver))
}

#[tokio::test]
async fn requests_are_answered_side_by_side() {
    let server = Server::start(limits()).await;
    let (mut sender, _connection) = connect(&server).await;
    let slow = sender.send_request(get("/slow"));
    let fast = sender.send_request(get("/fast")).await.unwrap();
    assert_eq!(fast.into_body().collect().await.unwrap().to_bytes(), "fast");
    assert_eq!(slow.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn who_rests_too_long_is_told_to_go() {
    let server = Server::start(Limits {
        idle: ms(900),
        ..limits()
    })
    .await;
    let (mut sender, connection) = connect(&server).await;
    sender.send_request(get("/fast")).await.unwrap();
    let begin = Instant::now();
    timeout(ms(4000), connection)
        .await
        .expect("the server ends it")
        .unwrap()
        .unwrap();
    assert!(begin.elapsed() > ms(800), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_slow_body_ends_its_stream_only() {
    let server = Server::start(limits()).await;
    let (mut sender, _connection) = connect(&server).await;
    let request = Request::post("http://a/body").body(stalled()).unwrap();
    let answer = timeout(ms(3000), sender.send_request(request))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(
        sender.send_request(get("/fast")).await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_reader_that_opens_no_window_is_dropped() {
    // A piece of 64 KiB may take the pause and the time of the least rate: 300 + 200 ms.
    let server = Server::start(Limits {
        body_window_bytes: 64 << 10,
        ..limits()
    })
    .await;
    let (mut sender, connection) = connect(&server).await;
    let answer = sender.send_request(get("/large")).await.unwrap();
    let ended = timeout(ms(4000), connection)
        .await
        .expect("the server drops it");
    assert!(ended.unwrap().is_err());
    assert!(answer.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_large_answer_comes_whole() {
    let server = Server::start(limits()).await;
    let (mut sender, _connection) = connect(&server).await;
    let answer = sender.send_request(get("/large")).await.unwrap();
    assert_eq!(answer.headers()["content-length"], LARGE.to_string());
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes().len(),
        LARGE
    );
}

#[tokio::test]
async fn the_end_answers_what_is_in_flight() {
    let server = Server::start(limits()).await;
    let (mut sender, connection) = connect(&server).await;
    let slow = sender.send_request(get("/slow"));
    sender.send_request(get("/fast")).await.unwrap();
    server.stop.cancel();
    let slow = slow.await.unwrap();
    assert_eq!(slow.into_body().collect().await.unwrap().to_bytes(), "slow");
    timeout(ms(2000), connection)
        .await
        .expect("the server ends it")
        .unwrap()
        .unwrap();
    server.ended().await;
}

#[tokio::test]
async fn draining_ends_a_connection_after_its_requests() {
    let server = Server::start(limits()).await;
    let (mut sender, connection) = connect(&server).await;
    let slow = sender.send_request(get("/slow"));
    sender.send_request(get("/fast")).await.unwrap();
    server.drain.cancel();
    assert_eq!(slow.await.unwrap().status(), StatusCode::OK);
    timeout(ms(2000), connection)
        .await
        .expect("the server ends it")
        .unwrap()
        .unwrap();
}
