//! Whether a pod is ready, asked at its own door: sooner than the kubelet asks and the API server tells.
//!
//! Called by `keeper`, for pods that somebody waits for.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Between two questions to one pod.
pub(super) const PAUSE: Duration = Duration::from_millis(25);
/// For a connection to a pod that may not be there yet.
const CONNECT: Duration = Duration::from_millis(100);
/// For an answer.
const ANSWER: Duration = Duration::from_secs(1);
/// Questions at once, to all pods.
const AT_ONCE: usize = 64;
/// What is asked.
const PATH: &str = "/v2/health/ready";

/// Asks pods.
#[derive(Debug)]
pub(crate) struct Prober {
    client: Client<HttpConnector, Empty<Bytes>>,
    room: Semaphore,
}

impl Prober {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        // What a pod that starts said a moment ago, and on which connection, is of no use.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self {
            client,
            room: Semaphore::new(AT_ONCE),
        }
    }

    /// Room for one more question; without it the pod is asked the next time.
    pub(super) fn room(&self) -> Option<SemaphorePermit<'_>> {
        self.room.try_acquire().ok()
    }

    /// Whether the pod says that it is ready.
    pub(super) async fn is_ready(&self, pod: SocketAddr) -> bool {
        let Ok(uri) = format!("http://{pod}{PATH}").parse::<Uri>() else {
            return false;
        };
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        let answer = timeout(ANSWER, self.client.request(request)).await;
        matches!(answer, Ok(Ok(response)) if response.status() == StatusCode::OK)
    }
}
