//! The nouns of these tests: a server with short bounds, and a client that writes bytes.

use std::net::SocketAddr;
use std::time::Duration;

use aimass_chassis::listener::{self, Limits, Settings, TooSlow};
use aimass_chassis::shutdown::Stop;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A client that a bound must have closed by then.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Short bounds, far enough apart to tell which one closed a connection.
pub(crate) fn limits() -> Limits {
    Limits {
        start: ms(300),
        head: ms(300),
        write: ms(300),
        idle: ms(5000),
        linger: ms(300),
        body_window: ms(200),
        body_window_bytes: 1024,
        ..Limits::default()
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) drain: Stop,
    pub(crate) stop: Stop,
    pub(crate) open: Gauge,
    pub(crate) task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::with_grace(limits, PATIENCE).await
    }

    pub(crate) async fn with_grace(limits: Limits, grace: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback works");
        let address = listener.local_addr().expect("the socket is bound");
        let (drain, stop, open) = (Stop::new(), Stop::new(), Gauge::default());
        let settings = Settings {
            limits,
            drain: drain.clone(),
            stop: stop.clone(),
            grace,
            open: open.clone(),
        };
        let serving = listener::serve_with(listener, with_websockets(), settings);
        #[expect(
            clippy::disallowed_methods,
            reason = "the test awaits this task itself"
        )]
        let task = tokio::spawn(serving);
        Self {
            address,
            drain,
            stop,
            open,
            task,
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client(
            TcpStream::connect(self.address)
                .await
                .expect("the server listens"),
        )
    }

    /// Sends `bytes` on a connection of their own and returns all that comes until its end.
    pub(crate) async fn talk(&self, bytes: &str) -> String {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.rest().await
    }

    /// Waits for the end of the server; says how long it took.
    pub(crate) async fn ended(self) -> Duration {
        let begin = Instant::now();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended
            .expect("the server ends in time")
            .expect("the server does not panic");
        assert_eq!(self.open.get(), 0, "connections are open after the end");
        begin.elapsed()
    }
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: &str) {
        // A server that has closed already is what some tests want.
        let _closed = self.0.write_all(bytes.as_bytes()).await;
    }

    /// All that comes until the server closes, which it must.
    pub(crate) async fn rest(&mut self) -> String {
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut answer));
        // A reset is an end as well.
        let _end = read
            .await
            .expect("the server closes the connection in time");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Reads until `end` has come; the connection stays open.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut answer = String::new();
        while !answer.ends_with(end) {
            let byte = tokio::time::timeout(PATIENCE, self.0.read_u8()).await;
            let byte = byte.unwrap_or_else(|_| panic!("{end} comes in time, after: {answer}"));
            answer.push(char::from(
                byte.unwrap_or_else(|e| panic!("{e} before {end}: {answer}")),
            ));
        }
        answer
    }
}

/// The application, and `/ws`, whose messages are requests to the application.
fn with_websockets() -> Router {
    let limits = aimass_chassis::ws::Limits::new(1 << 20, 1 << 20, 1 << 20);
    let endpoint = aimass_chassis::ws::Endpoint::new(limits, "paths", Gauge::default());
    let upgrade = move |request| std::future::ready(crate::upgrades::upgrade(&endpoint, request));
    app().route("/ws", get(upgrade))
}

pub(crate) fn app() -> Router {
    Router::new()
        .route("/fast", get(|| async { "fast" }))
        .route("/slow", get(slow))
        .route("/endless", get(endless))
        .route("/large", get(|| async { Bytes::from(vec![b'x'; LARGE]) }))
        .route("/body", post(read_body))
        .route("/late", post(read_late))
        .route("/unread", post(|| async { StatusCode::PAYLOAD_TOO_LARGE }))
}

pub(crate) const LARGE: usize = 32 << 20;

async fn slow() -> &'static str {
    tokio::time::sleep(ms(1500)).await;
    "slow"
}

async fn endless() {
    std::future::pending().await
}

/// An application that knows nothing of slow bodies: any failure is a success to it.
async fn read_body(body: Body) -> String {
    match body.collect().await {
        Ok(body) => body.to_bytes().len().to_string(),
        Err(error) => format!("too slow: {}", is_too_slow(&error)),
    }
}

/// An application that is busy before it reads.
async fn read_late(body: Body) -> String {
    tokio::time::sleep(ms(1000)).await;
    read_body(body).await
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
