//! The connections to pods, straight to their addresses, kept for the next request: HTTP/1.1, and HTTP/2 for calls of gRPC.
//!
//! Called by `forward`. There are no names to resolve, no proxies and no redirects; what a pod is sent was written here.

mod arrival;
mod lanes;
mod stream;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aimass_chassis::logs::chain;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

pub(in crate::phase) use self::arrival::Arrival;
use self::lanes::{LANES, Lane, Lanes, STREAMS};
use self::stream::Connector;
use super::super::grpc::Wire;
use super::upload::{Fault, Room, Upload};

/// For a connection to a pod, which is near.
const CONNECT: Duration = Duration::from_millis(300);
/// Connections to one pod that wait for another request…
const IDLE: usize = 64;
/// …and for how long: half of what servers allow, so that reuse does not cross their close.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Bytes of a head, and of a body that are read at once.
const BUFFER_BYTES: usize = 64 << 10;
/// Bytes of one answer over HTTP/2 that may be on their way. The connection has room for that of all of them: whoever reads
/// slowly must not keep others from reading.
const WINDOW_BYTES: u32 = 64 << 10;
/// Of all header fields of an answer over HTTP/2.
const HEADERS_BYTES: u32 = 64 << 10;
/// Between two signs of life on HTTP/2 connections with calls; and how long one may take.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Informational heads before the one of the answer.
const INFORMATIONAL: u32 = 16;
/// Bytes of all bodies that are kept to be sent again.
const REPLAY_BYTES: u64 = 64 << 20;

/// What the system says when there is no descriptor, no memory or no port left here.
const EXHAUSTED: [i32; 5] = [
    12,  // ENOMEM
    23,  // ENFILE
    24,  // EMFILE
    99,  // EADDRNOTAVAIL
    105, // ENOBUFS
];

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// There was no connection to be had: the pod has seen nothing.
    NotConnected,
    /// This process has no room for one more connection.
    Exhausted,
    /// The pod said that it does not take this call, and has not begun it: it leaves, or has too many.
    NotTaken,
    /// The connection broke before an answer began, or what came was none.
    Reset,
    /// No head of an answer within the time.
    TooSlow,
    /// The request cannot be written: a defect of ours.
    Unsendable,
    /// The caller's body ended the request.
    Caller(Fault),
}

/// The connections to all pods.
#[derive(Debug)]
pub struct Pods {
    plain: Client<Connector, Upload>,
    /// One for each lane.
    grpc: [Client<Connector, Upload>; LANES],
    lanes: Lanes,
    room: Room,
}

impl Pods {
    /// Without connections yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            plain: builder()
                .pool_max_idle_per_host(IDLE)
                .http1_max_buf_size(BUFFER_BYTES)
                .build(connector()),
            grpc: std::array::from_fn(|_| over_http2()),
            lanes: Lanes::default(),
            room: Room::new(REPLAY_BYTES),
        }
    }

    /// Where bodies have room that may be sent again.
    pub(super) const fn room(&self) -> &Room {
        &self.room
    }

    /// Sends a request and waits for the head of the answer. Dropped before that, it ends the request.
    pub(super) async fn send(
        &self,
        wire: Wire,
        address: SocketAddr,
        request: Request<Upload>,
        deadline: Instant,
    ) -> Result<Response<Arrival>, Failed> {
        let (client, lane) = self.client(wire, address).ok_or(Failed::Exhausted)?;
        let response = ask(client, request, deadline).await?;
        Ok(response.map(|body| Arrival::new(body, lane)))
    }

    /// The client for one more request, and its place there; `None`: there is none.
    fn client(
        &self,
        wire: Wire,
        address: SocketAddr,
    ) -> Option<(&Client<Connector, Upload>, Option<Lane>)> {
        match wire {
            Wire::Plain => Some((&self.plain, None)),
            Wire::Grpc => {
                let lane = self.lanes.take(address)?;
                Some((self.grpc.get(lane.number())?, Some(lane)))
            }
        }
    }
}

fn builder() -> legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        // Without a timer idle connections are never closed.
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        // A kept connection that turns out to be closed before anything was written on it is no failure.
        .retry_canceled_requests(true);
    builder
}

fn connector() -> Connector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    Connector(connector)
}

/// Prior knowledge: the pods' port speaks both.
fn over_http2() -> Client<Connector, Upload> {
    builder()
        .timer(TokioTimer::new())
        .http2_only(true)
        .http2_initial_stream_window_size(WINDOW_BYTES)
        .http2_initial_connection_window_size(WINDOW_BYTES * STREAMS)
        .http2_max_send_buf_size(BUFFER_BYTES)
        .http2_max_header_list_size(HEADERS_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE)
        .build(connector())
}

async fn ask(
    client: &Client<Connector, Upload>,
    mut request: Request<Upload>,
    deadline: Instant,
) -> Result<Response<Incoming>, Failed> {
    let flood = Arc::new(Flood::default());
    let seen = Arc::clone(&flood);
    hyper::ext::on_informational(&mut request, move |_| seen.count());
    let answer = timeout_at(deadline, client.request(request));
    tokio::select! {
        biased;
        answer = answer => match answer {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                tracing::debug!(error = chain(&error), "a pod did not answer");
                Err(sort(&error))
            }
            Err(_) => Err(Failed::TooSlow),
        },
        () = flood.too_much.notified() => Err(Failed::Reset),
    }
}

impl Default for Pods {
    fn default() -> Self {
        Self::new()
    }
}

/// Informational heads, which would otherwise be read for as long as they come.
#[derive(Debug, Default)]
struct Flood {
    seen: AtomicU32,
    too_much: Notify,
}

impl Flood {
    fn count(&self) {
        if self.seen.fetch_add(1, Ordering::Relaxed) >= INFORMATIONAL {
            self.too_much.notify_one();
        }
    }
}

fn sort(error: &legacy::Error) -> Failed {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    let (mut exhausted, mut unsent, mut refused) = (false, error.is_connect(), false);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            exhausted |= error
                .raw_os_error()
                .is_some_and(|code| EXHAUSTED.contains(&code));
        }
        // Given back by the connection, which was closed before it began to write.
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            unsent |= error.is_canceled();
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            refused |= is_refusal(error);
        }
        cause = error.source();
    }
    match (unsent, exhausted) {
        (true, true) => Failed::Exhausted,
        (true, false) => Failed::NotConnected,
        (false, _) if refused => Failed::NotTaken,
        (false, _) => Failed::Reset,
    }
}

/// Whether the pod has said that it has not begun the call, and will not. Source: RFC 9113 §6.8 and §8.7.
fn is_refusal(error: &h2::Error) -> bool {
    let leaves = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
    let full = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (leaves || full)
}
