//! The local fence: no call that changes anything leaves a process whose leadership has run out.
//!
//! A tower layer under `kube::Client`, set by `context`; `lease` renews it. A lease alone is no
//! fence: a leader may be paused between its last look and its write. What may still arrive late is
//! caught by the preconditions that `apply` sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use tokio::time::timeout;
use tower::{BoxError, Layer, Service};

use crate::deadline::Exceeded;

/// What must be left of the validity for a call to begin: time for it to arrive.
const MARGIN: Duration = Duration::from_secs(1);

/// This process does not lead, or its leadership ran out during the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this instance does not hold the lease")]
pub(crate) struct NotLeader;

/// How the time since boot is read: `CLOCK_BOOTTIME`, which goes on while the machine sleeps.
pub(crate) type Boottime = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Until when this process may write.
#[derive(Clone)]
pub(crate) struct Fence {
    /// Milliseconds since boot.
    valid_until: Arc<AtomicU64>,
    boottime: Boottime,
}

impl Fence {
    /// Nothing may be written before the first renewal.
    pub(crate) fn closed(boottime: Boottime) -> Self {
        Self {
            valid_until: Arc::new(AtomicU64::new(0)),
            boottime,
        }
    }

    /// Without leader election: always open.
    pub(crate) fn open(boottime: Boottime) -> Self {
        Self {
            valid_until: Arc::new(AtomicU64::new(u64::MAX)),
            boottime,
        }
    }

    /// Leadership was confirmed and holds until `valid_until` (time since boot).
    pub(crate) fn renewed(&self, valid_until: Duration) {
        let milliseconds = u64::try_from(valid_until.as_millis()).unwrap_or(u64::MAX);
        self.valid_until.store(milliseconds, Ordering::SeqCst);
    }

    /// Leadership is lost or given back.
    pub(crate) fn close(&self) {
        self.valid_until.store(0, Ordering::SeqCst);
    }

    /// How long calls may still begin.
    pub(crate) fn left(&self) -> Duration {
        let valid_until = Duration::from_millis(self.valid_until.load(Ordering::SeqCst));
        valid_until
            .saturating_sub((self.boottime)())
            .saturating_sub(MARGIN)
    }
}

impl<S> Layer<S> for Fence {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Fenced<S> {
        Fenced {
            inner,
            fence: self.clone(),
        }
    }
}

/// A service that changes nothing without leadership.
#[derive(Clone)]
pub(crate) struct Fenced<S> {
    inner: S,
    fence: Fence,
}

impl<S, In, Out> Service<Request<In>> for Fenced<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<Out>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Out>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        if matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        ) {
            let answer = self.inner.call(request);
            return Box::pin(async move { answer.await.map_err(Into::into) });
        }
        let left = self.fence.left();
        if left.is_zero() {
            return Box::pin(async { Err(NotLeader.into()) });
        }
        let answer = self.inner.call(request);
        let fence = self.fence.clone();
        Box::pin(async move {
            // One second of margin stays: what is not answered by now may still arrive, but no
            // successor has begun yet.
            match timeout(left, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) if fence.left().is_zero() => Err(NotLeader.into()),
                // Renewed in the meantime: the call was slow, no more.
                Err(_) => Err(Exceeded(left).into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;
    use tower::ServiceExt;

    use super::*;

    fn boottime() -> Boottime {
        let started = Instant::now();
        Arc::new(move || started.elapsed() + Duration::from_secs(1000))
    }

    fn request(method: Method) -> Request<()> {
        Request::builder().method(method).uri("/").body(()).unwrap()
    }

    async fn call(fence: &Fence, method: Method) -> Result<Response<()>, BoxError> {
        let answer = |_: Request<()>| async { Ok::<_, BoxError>(Response::new(())) };
        fence
            .layer(tower::service_fn(answer))
            .oneshot(request(method))
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn without_leadership_only_reads_pass() {
        let fence = Fence::closed(boottime());
        assert!(call(&fence, Method::GET).await.is_ok());
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(call(&fence, method).await.unwrap_err().is::<NotLeader>());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_stop_one_second_before_leadership_ends() {
        let fence = Fence::closed(boottime());
        fence.renewed(Duration::from_secs(1008));
        tokio::time::advance(Duration::from_millis(6900)).await;
        assert!(call(&fence, Method::PATCH).await.is_ok());
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(
            call(&fence, Method::PATCH)
                .await
                .unwrap_err()
                .is::<NotLeader>()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_under_way_ends_with_leadership() {
        let fence = Fence::closed(boottime());
        fence.renewed(Duration::from_secs(1008));
        let never = |_: Request<()>| pending::<Result<Response<()>, BoxError>>();
        let begun = Instant::now();
        let answer = fence
            .layer(tower::service_fn(never))
            .oneshot(request(Method::PATCH))
            .await;
        assert!(answer.unwrap_err().is::<NotLeader>());
        assert_eq!(begun.elapsed(), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_write_of_a_leader_is_only_late() {
        let fence = Fence::closed(boottime());
        fence.renewed(Duration::from_secs(1008));
        let renewed = fence.clone();
        let never = move |_: Request<()>| {
            renewed.renewed(Duration::from_secs(1011));
            pending::<Result<Response<()>, BoxError>>()
        };
        let answer = fence
            .layer(tower::service_fn(never))
            .oneshot(request(Method::PATCH))
            .await;
        assert!(answer.unwrap_err().is::<Exceeded>());
    }

    #[tokio::test(start_paused = true)]
    async fn giving_leadership_back_closes_at_once() {
        let fence = Fence::open(boottime());
        assert!(call(&fence, Method::PATCH).await.is_ok());
        fence.close();
        assert!(call(&fence, Method::PATCH).await.is_err());
    }
}
