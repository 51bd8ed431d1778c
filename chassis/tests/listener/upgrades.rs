//! Connections that become WebSockets: by which requests, under which bounds, and how they end with the listener.

use std::sync::Arc;

use aimass_chassis::listener::Limits;
use aimass_chassis::ws::{Asked, Failed, Form, Language, Outgoing, Refusal};
use axum::body::Body;
use axum::http::response::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::server::{Server, app, limits, ms};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: paths\r\n\r\n";

/// Each text message is a path, its own id.
struct Paths;

impl Language for Paths {
    fn read(&self, _: Form, message: Bytes, _: u64) -> Asked {
        let id = String::from_utf8_lossy(&message).into_owned();
        let request = Request::get(id.as_str())
            .body(Body::empty())
            .expect("a path");
        Asked::Call { id, request }
    }

    fn answer(&self, _: &str, _: &Parts, body: Bytes) -> Outgoing {
        Outgoing {
            form: Form::Text,
            head: Bytes::new(),
            body,
            malformed: false,
        }
    }

    fn failed(&self, _: &str, _: u64, failed: Failed) -> Outgoing {
        self.answer(
            "",
            &Response::new(()).into_parts().0,
            format!("{failed:?}").into(),
        )
    }
}

/// The application's route `/ws`.
pub(crate) fn upgrade(
    endpoint: &aimass_chassis::ws::Endpoint,
    mut request: Request<Body>,
) -> Response<Body> {
    let service = aimass_chassis::ws::Service {
        app: app(),
        language: Arc::new(Paths),
    };
    let mut response = Response::new(Body::empty());
    match endpoint.upgrade(&mut request, service) {
        Ok(headers) => {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            *response.headers_mut() = headers;
        }
        Err(Refusal::Full | Refusal::Draining) => {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

type Client = WebSocketStream<TcpStream>;

async fn connect(server: &Server) -> Client {
    let stream = TcpStream::connect(server.address)
        .await
        .expect("the server listens");
    let mut request = "ws://a/ws".into_client_request().expect("a request");
    let offer = HeaderValue::from_static("other, paths");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offer);
    let (client, response) = tokio_tungstenite::client_async(request, stream)
        .await
        .expect("the server upgrades");
    assert_eq!(response.headers()["sec-websocket-protocol"], "paths");
    client
}

async fn say(client: &mut Client, path: &'static str) {
    let sent = client.send(Message::text(path)).await;
    sent.expect("the server reads");
}

async fn next(client: &mut Client) -> Option<Message> {
    let next = tokio::time::timeout(ms(10_000), client.next()).await;
    next.expect("something comes in time")?.ok()
}

async fn code(client: &mut Client) -> u16 {
    match next(client).await {
        Some(Message::Close(Some(close))) => close.code.into(),
        other => panic!("{other:?} is no close"),
    }
}

#[tokio::test]
async fn an_upgraded_connection_outlives_the_limits_of_http() {
    let short = Limits {
        idle: ms(100),
        ..limits()
    };
    let server = Server::start(short).await;
    let mut client = connect(&server).await;
    assert_eq!(server.open.get(), 1, "it counts as a connection");
    say(&mut client, "/fast").await;
    assert_eq!(next(&mut client).await, Some(Message::text("fast")));
    // Longer than the bounds for a start, a head, a write, and for resting.
    sleep(ms(600)).await;
    say(&mut client, "/fast").await;
    assert_eq!(next(&mut client).await, Some(Message::text("fast")));
    client.close(None).await.unwrap();
    while next(&mut client).await.is_some() {}
    drop(client);
    server.stop.cancel();
    assert!(server.ended().await < ms(3000));
}

#[tokio::test]
async fn the_answer_is_101_and_names_the_subprotocol() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client.send(UPGRADE).await;
    let head = client.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    assert!(
        head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{head}"
    );
    assert!(!head.contains("content-length"), "{head}");
}

#[tokio::test]
async fn frames_sent_with_the_upgrade_are_read() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    // Text of five bytes; a mask of zeros leaves it as it is.
    let frame = [&[0x81, 0x85, 0, 0, 0, 0], &b"/fast"[..]].concat();
    let bytes = [UPGRADE.as_bytes(), &frame].concat();
    client.0.write_all(&bytes).await.unwrap();
    let head = client.until("\r\n\r\n").await;
    assert!(head.contains(" 101 "), "{head}");
    client.0.read_u8().await.unwrap();
    assert_eq!(client.until("fast").await, "\u{4}fast");
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_leaves_the_connection_to_http() {
    let server = Server::start(limits()).await;
    let mut client = server.connect().await;
    client.send(&UPGRADE.replace("paths", "others")).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    client.send("GET /fast HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.until("fast").await;
    let old = UPGRADE.replace("HTTP/1.1", "HTTP/1.0");
    assert!(server.talk(&old).await.contains(" 400 "));
}

#[tokio::test]
async fn a_drain_ends_websockets_after_what_is_in_flight() {
    let server = Server::start(limits()).await;
    let (mut busy, mut resting) = (connect(&server).await, connect(&server).await);
    say(&mut busy, "/slow").await;
    sleep(ms(200)).await;
    server.drain.cancel();
    assert_eq!(code(&mut resting).await, 1012);
    assert_eq!(next(&mut busy).await, Some(Message::text("slow")));
    assert_eq!(code(&mut busy).await, 1012);
    let refused = server.talk(UPGRADE).await;
    assert!(
        refused.starts_with("HTTP/1.1 503 ") && refused.contains("connection: close"),
        "{refused}"
    );
    server.stop.cancel();
    assert!(server.ended().await < ms(3000));
}

#[tokio::test]
async fn the_end_waits_for_a_websocket_and_the_end_of_the_grace_does_not() {
    let server = Server::with_grace(limits(), ms(500)).await;
    let (mut slow, mut endless) = (connect(&server).await, connect(&server).await);
    say(&mut slow, "/slow").await;
    say(&mut endless, "/endless").await;
    sleep(ms(1300)).await;
    let begin = Instant::now();
    server.stop.cancel();
    assert_eq!(next(&mut slow).await, Some(Message::text("slow")));
    assert_eq!(code(&mut slow).await, 1012);
    assert_eq!(next(&mut endless).await, None, "it is dropped");
    assert!(begin.elapsed() >= ms(490), "{:?}", begin.elapsed());
    assert!(server.ended().await < ms(3000));
}

#[tokio::test]
async fn a_websocket_takes_one_of_the_connections() {
    let one = Limits {
        connections: 1,
        ..limits()
    };
    let server = Server::start(one).await;
    let client = connect(&server).await;
    let mut second = server.connect().await;
    second
        .send("GET /fast HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    sleep(ms(200)).await;
    assert_eq!(server.open.get(), 1);
    drop(client);
    assert!(second.rest().await.ends_with("fast"));
}
