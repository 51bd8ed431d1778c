//! The deadline of every call to the API server, as a tower layer under `kube::Client`.
//!
//! kube has no read timeout, because one would cut watches: a call into a black hole never returns.
//! This layer bounds the head *and* the body of an answer, for a watch its head alone. It also
//! turns an answer that says `Retry-After` into [`Throttled`], since kube drops the header. Knows
//! nothing of models; set by `context`, outermost.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::RETRY_AFTER;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tower::{BoxError, Layer, Service};

/// How long each kind of call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// One object: GET, and every write.
    pub(crate) call: Duration,
    /// A page of a list.
    pub(crate) list: Duration,
    /// Until a watch begins to answer; afterwards the watcher itself notices silence.
    pub(crate) watch_head: Duration,
}

impl Limits {
    /// For everything but the lease. A watch lasts 25 s, and so may waiting for its head.
    pub(crate) const CALLS: Self = Self {
        call: Duration::from_secs(15),
        list: Duration::from_secs(60),
        watch_head: Duration::from_secs(30),
    };
    /// For the lease: two tries must fit between a renewal and the end of its validity.
    pub(crate) const LEASE: Self = Self {
        call: Duration::from_millis(2500),
        list: Duration::from_millis(2500),
        watch_head: Duration::from_millis(2500),
    };
}

/// The API server did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {} ms", .0.as_millis())]
pub(crate) struct Exceeded(pub(crate) Duration);

/// The API server asks us to come back later (429 or 503 with `Retry-After`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("answered {status}, asks to retry after {} s", .after.as_secs())]
pub(crate) struct Throttled {
    pub(crate) status: StatusCode,
    pub(crate) after: Duration,
}

/// What a request is, as far as its deadline is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    One,
    List,
    Watch,
}

/// Sets [`Limits`] on all calls of the service below.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(pub(crate) Limits);

impl<S> Layer<S> for Deadline {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited {
            inner,
            limits: self.0,
        }
    }
}

/// A service whose calls end in time.
#[derive(Clone, Debug)]
pub(crate) struct Limited<S> {
    inner: S,
    limits: Limits,
}

impl<S, In, Out> Service<Request<In>> for Limited<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    Out: Send + 'static,
{
    type Response = Response<LimitedBody<Out>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let call = classify(&request);
        let limit = match call {
            Call::One => self.limits.call,
            Call::List => self.limits.list,
            Call::Watch => self.limits.watch_head,
        };
        let deadline = Instant::now() + limit;
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answered = timeout_at(deadline, answer).await;
            let Ok(answer) = answered else {
                return Err(Exceeded(limit).into());
            };
            let response = answer.map_err(Into::into)?;
            if let Some(throttled) = throttled(&response) {
                return Err(throttled.into());
            }
            let sleep = (call != Call::Watch).then(|| Box::pin(sleep_until(deadline)));
            Ok(response.map(|body| LimitedBody {
                body: Box::pin(body),
                sleep,
                limit,
            }))
        })
    }
}

/// A body that must have ended by the call's deadline.
pub(crate) struct LimitedBody<B> {
    body: Pin<Box<B>>,
    sleep: Option<Pin<Box<Sleep>>>,
    limit: Duration,
}

impl<B> Body for LimitedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        if let Poll::Ready(frame) = self.body.as_mut().poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = self.limit;
        match &mut self.sleep {
            Some(sleep) => sleep
                .as_mut()
                .poll(context)
                .map(|()| Some(Err(Exceeded(limit).into()))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Tells lists and watches from the rest. A path `…/<plural>` without a name is a list; since only
/// the API's kinds are known to have one, it is enough to see `limit=` or `watch=` in the query,
/// which kube always sends.
fn classify<B>(request: &Request<B>) -> Call {
    if request.method() != Method::GET {
        return Call::One;
    }
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    if has("watch") {
        Call::Watch
    } else if has("limit") {
        Call::List
    } else {
        Call::One
    }
}

fn throttled<B>(response: &Response<B>) -> Option<Throttled> {
    let status = response.status();
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let seconds = response
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    Some(Throttled {
        status,
        after: Duration::from_secs(seconds),
    })
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use http_body::Body as _;
    use kube::client::Body;
    use tower::ServiceExt;

    use super::*;

    fn get(path: &str) -> Request<Body> {
        Request::get(path).body(Body::empty()).unwrap()
    }

    async fn after(path: &'static str) -> (Exceeded, Duration) {
        let never =
            tower::service_fn(|_: Request<Body>| pending::<Result<Response<Body>, BoxError>>());
        let begun = Instant::now();
        let result = Deadline(Limits::CALLS)
            .layer(never)
            .oneshot(get(path))
            .await;
        let Err(error) = result else {
            panic!("answered")
        };
        (*error.downcast::<Exceeded>().unwrap(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_into_a_black_hole_ends() {
        for (path, seconds) in [
            ("/api/v1/namespaces/default/configmaps/a", 15),
            ("/api/v1/configmaps?&limit=500", 60),
            ("/api/v1/configmaps?&watch=true&timeoutSeconds=25", 30),
        ] {
            let (error, waited) = after(path).await;
            assert_eq!(error, Exceeded(Duration::from_secs(seconds)), "{path}");
            assert_eq!(waited.as_secs(), seconds, "{path}");
        }
    }

    /// A body that never yields.
    struct Stuck;

    impl http_body::Body for Stuck {
        type Data = std::collections::VecDeque<u8>;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
            Poll::Pending
        }
    }

    async fn body_of(path: &str) -> LimitedBody<Stuck> {
        let service =
            tower::service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Stuck)) });
        Deadline(Limits::CALLS)
            .layer(service)
            .oneshot(get(path))
            .await
            .unwrap()
            .into_body()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_half_way_ends() {
        let mut body = body_of("/api/v1/namespaces/default/configmaps/a").await;
        let begun = Instant::now();
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert!(frame.unwrap().unwrap_err().is::<Exceeded>());
        assert_eq!(begun.elapsed(), Duration::from_secs(15));
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_of_a_watch_has_no_deadline() {
        let mut body = body_of("/api/v1/configmaps?watch=true").await;
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        assert!(
            tokio::time::timeout(Duration::from_secs(3600), frame)
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn retry_after_is_kept() {
        let service = tower::service_fn(|_: Request<Body>| async {
            let response = Response::builder().status(429).header("Retry-After", "7");
            Ok::<_, BoxError>(response.body(Body::empty()).unwrap())
        });
        let result = Deadline(Limits::CALLS)
            .layer(service)
            .oneshot(get("/api"))
            .await;
        let Err(error) = result else {
            panic!("passed on")
        };
        let throttled = error.downcast::<Throttled>().unwrap();
        assert_eq!(throttled.after, Duration::from_secs(7));
    }

    #[tokio::test]
    async fn other_answers_pass() {
        let (mut mock, mut handle) = tower_test::mock::spawn_layer(Deadline(Limits::CALLS));
        assert!(mock.poll_ready().is_ready());
        let answer = mock.call(get("/api"));
        let (_, send) = handle.next_request().await.unwrap();
        send.send_response(Response::builder().status(503).body(Body::empty()).unwrap());
        assert_eq!(answer.await.unwrap().status(), 503);
    }
}
