//! The only listener of every process: hyper with its timers set, and our own bounds below it.
//!
//! `axum::serve` is not used because it sets no timer, and hyper's own do not see a client that sends
//! nothing, or half a preface, or reads no answer: `guard` does. Requests whose framing is doubtful
//! end in `framing`, before any route.

mod body;
mod framing;
mod guard;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;

pub use self::body::TooSlow;
use self::guard::{Activity, Guard};
use crate::shutdown::Stop;
use crate::tasks::Tasks;

/// Bounds of every connection; the defaults are the product's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the first request head, or the whole HTTP/2 preface.
    pub start: Duration,
    /// From the first byte of a head to its end.
    pub head: Duration,
    /// Without a byte taken by the reader of an answer.
    pub write: Duration,
    /// Without a request.
    pub idle: Duration,
    /// Over each such window after the first one, a body that is waited for must bring
    /// `body_window_bytes`.
    pub body_window: Duration,
    /// See `body_window`.
    pub body_window_bytes: u64,
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Bytes of all header names and values.
    pub headers_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(10),
            head: Duration::from_secs(10),
            write: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            body_window: Duration::from_secs(10),
            body_window_bytes: 10 << 10,
            connections: 4096,
            target_bytes: 8 << 10,
            headers_bytes: 32 << 10,
        }
    }
}

/// Accepts connections and serves `app` on them until `stop`; then lets requests in flight finish,
/// at most for `grace`, and returns.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    stop: Stop,
    grace: Duration,
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let connections = Tasks::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors or an aborted handshake: neither may end the listener.
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let app = app.clone();
        let watcher = graceful.watcher();
        connections.spawn("connection", async move {
            if let Err(error) = connection(stream, app, limits, watcher).await {
                tracing::debug!(%peer, error = %error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    // What is still in flight after the grace is dropped with its connection.
    let _finished = tokio::time::timeout(grace, graceful.shutdown()).await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = permits
        .clone()
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}

async fn connection(
    stream: TcpStream,
    app: Router,
    limits: Limits,
    watcher: Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let activity = Activity::new(&limits);
    let guarded = TokioIo::new(Guard::new(stream, activity.clone()));
    let service = hyper::service::service_fn(move |request| {
        answer(request, app.clone(), limits, activity.clone())
    });
    let builder = builder(&limits);
    let connection = builder
        .serve_connection_with_upgrades(guarded, service)
        .into_owned();
    watcher.watch(connection).await
}

/// One request: its framing is judged, its body watched, and the connection counts it in flight
/// until the last byte of the answer is taken.
async fn answer(
    request: http::Request<Incoming>,
    app: Router,
    limits: Limits,
    activity: Activity,
) -> Result<http::Response<Body>, Infallible> {
    let in_flight = activity.begin(request.version());
    if let Some(refusal) = framing::refuse(&request, &limits) {
        return Ok(refusal);
    }
    let request = request.map(|incoming| Body::new(body::Watched::new(incoming, &limits)));
    let response = app.oneshot(request).await?;
    Ok(response.map(|inner| Body::new(body::Counted::new(inner, in_flight))))
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The second line behind the guard; it also counts idle time.
        .header_read_timeout(limits.idle + limits.head)
        .max_headers(64)
        .max_buf_size(40 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(16 << 10)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(64 << 10)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
