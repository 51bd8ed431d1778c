//! The service that the layer makes of another: strikes calls as the plan says.
//!
//! kube's stack is not `Clone`: the inner service is called inside `call`, and the answer gets a
//! body of our own. Called by [`super::Faults`] alone.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::Body;
use tower::{BoxError, Layer, Service};

use super::plan::{Action, Strike};
use super::point::Call;
use super::{Answer, Faults};

impl<S> Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty {
            inner,
            faults: self.clone(),
        }
    }
}

/// The service that the layer makes of another.
pub struct Faulty<S> {
    inner: S,
    faults: Faults,
}

impl<S, B> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let faults = self.faults.clone();
        if faults.is_dead() {
            return Box::pin(std::future::pending());
        }
        let call = {
            let body = bytes_of(request.body());
            Call::of(request.method(), request.uri(), request.headers(), &body)
        };
        if let Some(uri) = faults.rewrite(&call, request.uri()) {
            *request.uri_mut() = uri;
        }
        let (number, strike) = faults.judge(&call);
        match strike {
            Strike::Action(Action::CrashBefore) => {
                faults.kill();
                return Box::pin(std::future::pending());
            }
            Strike::Action(Action::Hang) => return Box::pin(std::future::pending()),
            Strike::Action(Action::Refused {
                status,
                retry_after,
            }) => return Box::pin(async move { Ok(refusal(status, retry_after)) }),
            Strike::Reset => return Box::pin(async { Err(broken()) }),
            Strike::None
            | Strike::LateTimeout
            | Strike::Action(Action::CrashAfter | Action::Lost | Action::Panic) => {}
        }
        // The stack below is not `Clone`: the inner service is called here, not in the future.
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await.map_err(Into::into)?;
            faults.answered(number, &response);
            match strike {
                Strike::Action(Action::CrashAfter) => faults.kill(),
                Strike::Action(Action::Lost) => return Err(broken()),
                Strike::Action(Action::Panic) => {
                    let (head, _) = response.into_parts();
                    return Ok(Response::from_parts(head, panicking()));
                }
                Strike::LateTimeout => return Ok(refusal(504, None)),
                Strike::None | Strike::Reset | Strike::Action(_) => {}
            }
            if faults.is_dead() {
                std::future::pending::<()>().await;
            }
            Ok(faults.view(&call, response))
        })
    }
}

/// The request's body, which kube holds in one piece.
fn bytes_of(body: &Body) -> Bytes {
    let Some(copy) = body.try_clone() else {
        return Bytes::new();
    };
    match copy.collect_bytes().now_or_never() {
        Some(Ok(bytes)) => bytes,
        Some(Err(_)) | None => Bytes::new(),
    }
}

fn broken() -> BoxError {
    std::io::Error::new(
        std::io::ErrorKind::ConnectionReset,
        "connection reset by the fault layer",
    )
    .into()
}

fn panicking() -> UnsyncBoxBody<Bytes, BoxError> {
    let stream = futures_util::stream::poll_fn(
        |_| -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
            panic!("{PANIC}");
        },
    );
    StreamBody::new(stream).boxed_unsync()
}

/// The text of the panic that [`Action::Panic`] causes.
pub const PANIC: &str = "ordered by the fault layer";

/// What the API server says when it refuses, in its own form.
fn refusal(status: u16, retry_after: Option<u32>) -> Answer {
    let reason = match status {
        403 => "Forbidden",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("refused by the fault layer with {status}"), "reason": reason, "code": status,
    });
    let body = Full::new(Bytes::from(body.to_string()))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let json = HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
