//! The connections to pods: HTTP/1.1, straight to their addresses, kept for the next request.
//!
//! Called by `forward`. There are no names to resolve, no proxies and no redirects; what a pod is sent was written here.

mod stream;

use std::error::Error;
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

use self::stream::Connector;
use super::upload::{Fault, Room, Upload};

/// For a connection to a pod, which is near.
const CONNECT: Duration = Duration::from_millis(300);
/// Connections to one pod that wait for another request…
const IDLE: usize = 64;
/// …and for how long: half of what servers allow, so that reuse does not cross their close.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Bytes of a head, and of a body that are read at once.
const BUFFER_BYTES: usize = 64 << 10;
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
    client: Client<Connector, Upload>,
    room: Room,
}

impl Pods {
    /// Without connections yet.
    #[must_use]
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            // Without a timer idle connections are never closed.
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE)
            .http1_max_buf_size(BUFFER_BYTES)
            // A kept connection that turns out to be closed before anything was written on it is no failure.
            .retry_canceled_requests(true)
            .build(Connector(connector));
        Self {
            client,
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
        mut request: Request<Upload>,
        deadline: Instant,
    ) -> Result<Response<Incoming>, Failed> {
        let flood = Arc::new(Flood::default());
        let seen = Arc::clone(&flood);
        hyper::ext::on_informational(&mut request, move |_| seen.count());
        let answer = timeout_at(deadline, self.client.request(request));
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
    let (mut exhausted, mut unsent) = (false, error.is_connect());
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
        cause = error.source();
    }
    match (unsent, exhausted) {
        (true, true) => Failed::Exhausted,
        (true, false) => Failed::NotConnected,
        (false, _) => Failed::Reset,
    }
}
