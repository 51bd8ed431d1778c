//! The requests of one WebSocket that are in flight. Dropped, all of them are given up. Used by `run`.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::future::{AbortHandle, abortable};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use http::Request;
use http::response::Parts;
use tower::ServiceExt as _;

use super::Failed;

/// A request that is over.
pub(super) struct Done {
    pub(super) id: String,
    /// Which message asked for it.
    pub(super) number: u64,
    pub(super) outcome: Outcome,
}

/// How a request ended.
pub(super) enum Outcome {
    Answered(Box<Parts>, Bytes),
    Failed(Failed),
    Panicked,
}

type Running = Pin<Box<dyn Future<Output = Done> + Send>>;

pub(super) struct Calls {
    app: Router,
    answer_bytes: usize,
    running: FuturesUnordered<Running>,
    handles: BTreeMap<String, AbortHandle>,
}

impl Calls {
    pub(super) fn new(app: Router, answer_bytes: usize) -> Self {
        Self {
            app,
            answer_bytes,
            running: FuturesUnordered::new(),
            handles: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Asks the application. No request of this id may be in flight.
    pub(super) fn start(&mut self, id: String, number: u64, request: Request<Body>) {
        let work =
            AssertUnwindSafe(ask(self.app.clone(), request, self.answer_bytes)).catch_unwind();
        let (work, handle) = abortable(work);
        self.handles.insert(id.clone(), handle);
        self.running.push(Box::pin(async move {
            let outcome = match work.await {
                Ok(Ok(Some((head, body)))) => Outcome::Answered(Box::new(head), body),
                Ok(Ok(None)) => Outcome::Failed(Failed::Broken),
                Ok(Err(_panic)) => Outcome::Panicked,
                Err(_aborted) => Outcome::Failed(Failed::Cancelled),
            };
            Done {
                id,
                number,
                outcome,
            }
        }));
    }

    /// Gives a request up, if there is one of this id: [`Calls::next`] tells its end, as it does of every other.
    pub(super) fn cancel(&self, id: &str) {
        if let Some(handle) = self.handles.get(id) {
            handle.abort();
        }
    }

    /// The next request that is over; for ever pending if there is none.
    pub(super) async fn next(&mut self) -> Done {
        let Some(done) = self.running.next().await else {
            return std::future::pending().await;
        };
        self.handles.remove(&done.id);
        done
    }
}

/// The whole answer, unless it breaks off or is too long.
async fn ask(app: Router, request: Request<Body>, answer_bytes: usize) -> Option<(Parts, Bytes)> {
    let Ok(response) = app.oneshot(request).await;
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, answer_bytes).await;
    body.map(|body| (head, body))
        .map_err(|error| tracing::debug!(%error, "an answer broke off or is too long"))
        .ok()
}
