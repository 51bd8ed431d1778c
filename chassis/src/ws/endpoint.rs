//! Where WebSockets begin: what they share, and how a request becomes one. Made once for a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Language, Limits, Refusal, offer, run};
use crate::listener::Upgrade;
use crate::runtime;

/// All WebSockets of a process; clones share them.
#[derive(Clone)]
pub struct Endpoint(Arc<Shared>);

struct Shared {
    limits: Limits,
    subprotocol: &'static str,
    seats: Arc<Semaphore>,
    open: Gauge,
    unfinished: AtomicU64,
    /// Permits to read large messages off the async threads.
    readers: Arc<Semaphore>,
}

/// What answers the messages of a WebSocket.
pub struct Service {
    /// Gets the requests.
    pub app: Router,
    /// Says what messages mean.
    pub language: Arc<dyn Language>,
}

impl Endpoint {
    /// No WebSockets yet; `open` shows how many there are.
    #[must_use]
    pub fn new(limits: Limits, subprotocol: &'static str, open: Gauge) -> Self {
        Self(Arc::new(Shared {
            limits,
            subprotocol,
            // More than a semaphore holds is as good as no bound.
            seats: Arc::new(Semaphore::new(
                limits.connections.min(Semaphore::MAX_PERMITS),
            )),
            open,
            unfinished: AtomicU64::new(0),
            readers: Arc::new(Semaphore::new(runtime::cpus().get())),
        }))
    }

    /// Lets the connection of `request` go on as a WebSocket, once its answer is sent: 101 with these headers.
    ///
    /// # Errors
    /// The request is no upgrade to our subprotocol, or there is no room.
    pub fn upgrade(
        &self,
        request: &mut Request<Body>,
        service: Service,
    ) -> Result<HeaderMap, Refusal> {
        let headers = offer::judge(request, self.0.subprotocol)?;
        let upgrade = request.extensions().get::<Upgrade>().cloned();
        let upgrade = upgrade.ok_or(Refusal::NotAsked)?;
        let drain = upgrade.drain().clone();
        if drain.is_cancelled() {
            return Err(Refusal::Draining);
        }
        let seat = self.seat().ok_or(Refusal::Full)?;
        let upgraded = hyper::upgrade::on(request);
        let own = upgrade.clone();
        upgrade.go_on_with(async move {
            match upgraded.await {
                Ok(stream) => {
                    let lost = run(TokioIo::new(stream), seat, service, drain).await;
                    if lost.is_some() {
                        own.reset();
                    }
                }
                Err(error) => tracing::debug!(%error, "a connection ended before its upgrade"),
            }
        });
        Ok(headers)
    }

    /// A place among the WebSockets, if there is one.
    #[must_use]
    pub fn seat(&self) -> Option<Seat> {
        let permit = Arc::clone(&self.0.seats).try_acquire_owned().ok()?;
        self.0.open.inc();
        Some(Seat {
            shared: Arc::clone(&self.0),
            _permit: permit,
        })
    }
}

/// The place of one WebSocket; free again when dropped.
pub struct Seat {
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    pub(super) fn limits(&self) -> Limits {
        self.shared.limits
    }

    pub(super) fn readers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.readers)
    }

    /// No bytes yet of a message that is not complete.
    pub(super) fn unfinished(&self) -> Unfinished {
        Unfinished {
            shared: Arc::clone(&self.shared),
            bytes: 0,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.open.dec();
    }
}

/// The bytes of one WebSocket's unfinished message, counted among all until dropped.
pub(super) struct Unfinished {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Unfinished {
    /// There are so many now; false if all together are too many.
    #[must_use]
    pub(super) fn set(&mut self, bytes: u64) -> bool {
        let all = &self.shared.unfinished;
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes <= before {
            all.fetch_sub(before - bytes, Ordering::Relaxed);
            return true;
        }
        let more = bytes - before;
        all.fetch_add(more, Ordering::Relaxed).saturating_add(more)
            <= self.shared.limits.unfinished_bytes
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.shared
            .unfinished
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
