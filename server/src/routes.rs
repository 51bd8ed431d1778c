//! All routes of the data ports, and what every answer has: an id, headers, a log line, its counts.
//!
//! The protocols have grammars of their own for paths, so there is one entry and the protocols' parsers below it.
//! A request is a line from top to bottom: route, handler, answer, record.

mod body;
mod caller;
mod grpc;
mod health;
mod infer;
mod record;
mod reply;
mod suppress;
mod v1;
mod v2;
mod wire;
mod ws;

use std::panic::AssertUnwindSafe;

use aimass_protocol::{Error, Kind};
use axum::body::Body;
use axum::extract::State as Extracted;
use axum::http::{Method, Request, Response, header};
use futures_util::FutureExt as _;

use crate::metrics::tensorflow_serving;
use crate::state::State;
use record::Trace;
use reply::Reply;
use wire::Wire;

/// Answers every request.
pub async fn answer(Extracted(state): Extracted<State>, request: Request<Body>) -> Response<Body> {
    if Wire::is_grpc(&request) {
        return grpc::answer(&state, request).await;
    }
    let mut trace = Trace::begin(&state, &request);
    // A panic ends this request alone.
    let result = AssertUnwindSafe(route(&state, request, &mut trace))
        .catch_unwind()
        .await;
    let result = result.unwrap_or_else(|_| Err(Error::internal(trace.id())));
    let mut reply = result.unwrap_or_else(|error| Reply::error(&error, &trace));
    if state.settings().cors {
        // On every answer, errors too: a page may read only what says so.
        reply = reply.with_cors();
    }
    trace.end(reply)
}

async fn route(state: &State, request: Request<Body>, trace: &mut Trace) -> Result<Reply, Error> {
    if request.method() == Method::OPTIONS {
        return preflight(&request);
    }
    let path = request.uri().path();
    if state.settings().monitoring.as_deref() == Some(path) {
        return monitoring(state, request.method(), path);
    }
    if is_below(path, "/v1") {
        trace.protocol("tfs");
        v1::answer(state, request, trace).await
    } else if is_below(path, "/v2") {
        v2::answer(state, request, trace).await
    } else {
        let text = format!(
            "Not found: {} {}",
            request.method(),
            aimass_protocol::error::cut(path)
        );
        Err(Error::new(Kind::NotFound, text))
    }
}

/// Whether the first segment of `path` is `prefix`; TensorFlow Serving ignores its case.
fn is_below(path: &str, prefix: &str) -> bool {
    path.split_at_checked(prefix.len())
        .is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/'))
        })
}

/// TensorFlow Serving's series, where its configuration file puts them.
fn monitoring(state: &State, method: &Method, path: &str) -> Result<Reply, Error> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let text = format!("Method {method} not allowed: {path}");
        return Err(Error::new(Kind::MethodNotAllowed, text));
    }
    Ok(Reply {
        content_type: tensorflow_serving::CONTENT_TYPE,
        ..Reply::json(state.monitoring_page().into_bytes())
    })
}

/// What browsers ask before they call.
fn preflight(request: &Request<Body>) -> Result<Reply, Error> {
    let origin = request
        .headers()
        .get(header::ORIGIN)
        .map(|value| value.as_bytes());
    let web = |origin: &[u8]| {
        let text = String::from_utf8_lossy(origin);
        text.contains("http://") || text.contains("https://")
    };
    if !origin.is_some_and(web) {
        return Err(Error::missing_origin());
    }
    Ok(Reply::json(Vec::new()))
}
