//! The record of one request, from its head to its answer: headers, counts; its log line and its span are below it.
//!
//! Made first and ended last by `routes`; the handlers fill it in. Dropped without an end, the caller went away.

mod line;
mod span;

use std::fmt::Write as _;
use std::time::Duration;

use aimass_chassis::traces::Caller;
use aimass_protocol::Kind;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use tokio::time::Instant;

use super::caller::request_id;
use super::reply::Reply;
use crate::metrics::{Method, Protocol, Request as RequestLabels, Word};
use crate::model::Model;
use crate::queue::Times;
use crate::state::{Serving, State};

use line::End;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ERROR: HeaderName = HeaderName::from_static("aimass-error");
const MODEL_VERSION: HeaderName = HeaderName::from_static("aimass-model-version");
const MODEL_DIGEST: HeaderName = HeaderName::from_static("aimass-model-digest");
const REVISION: HeaderName = HeaderName::from_static("aimass-revision");
const BATCH_ROWS: HeaderName = HeaderName::from_static("aimass-batch-rows");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// As many as an answer has at most, so that the map never grows.
const HEADERS: usize = 16;

/// What happened to a request so far.
pub(super) struct Trace {
    state: State,
    /// What was served when the head had arrived: it makes the whole answer.
    serving: Serving,
    id: String,
    caller: Caller,
    begun: Instant,
    version: Version,
    protocol: &'static str,
    method: &'static str,
    allowed: &'static str,
    retry_after: Duration,
    /// The digest of the model that answers; whether there is one to name at all.
    identity: Option<Option<HeaderValue>>,
    pub(super) request_bytes: usize,
    pub(super) rows: Option<usize>,
    pub(super) decode: Option<Duration>,
    pub(super) times: Option<Times>,
    pub(super) encode: Option<Duration>,
    ended: bool,
}

impl Trace {
    pub(super) fn begin(state: &State, request: &Request<Body>) -> Self {
        Self {
            state: state.clone(),
            serving: state.serving(),
            id: request_id(request.headers()),
            caller: Caller::of(request.headers()),
            begun: Instant::now(),
            version: request.version(),
            protocol: "oip",
            method: "other",
            allowed: "GET, HEAD",
            retry_after: Duration::from_secs(1),
            identity: None,
            request_bytes: 0,
            rows: None,
            decode: None,
            times: None,
            encode: None,
            ended: false,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What answers this request.
    pub(super) const fn serving(&self) -> &Serving {
        &self.serving
    }

    /// When the head had arrived.
    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    pub(super) const fn protocol(&mut self, protocol: &'static str) {
        self.protocol = protocol;
    }

    /// What is asked for, as a label.
    pub(super) const fn method(&mut self, method: &'static str) {
        self.method = method;
    }

    pub(super) const fn set_allowed(&mut self, allowed: &'static str) {
        self.allowed = allowed;
    }

    pub(super) const fn allowed(&self) -> &'static str {
        self.allowed
    }

    /// What a caller is told who is refused for lack of capacity.
    pub(super) fn set_retry_after(&mut self, delay: Duration) {
        self.retry_after = delay;
    }

    pub(super) const fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// This answer is about a model: it names the revision, whether it succeeds or not.
    pub(super) fn about(&mut self, model: Option<&Model>) {
        self.identity = Some(model.and_then(|model| model.digest().parse().ok()));
    }

    /// The response; and the end of the record.
    pub(super) fn end(mut self, reply: Reply) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        *headers = self.close(reply.status.as_u16(), reply.kind, reply.body.len());
        // What follows 101 is no body of HTTP, and its `Connection` says so.
        let upgraded = reply.status == StatusCode::SWITCHING_PROTOCOLS;
        if !upgraded {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
            headers.insert(CONTENT_LENGTH, reply.body.len().into());
        }
        headers.extend(reply.headers);
        let last = self.state.is_stopping()
            || matches!(reply.kind, Some(Kind::Draining | Kind::BodyTooSlow));
        // HTTP/2 has no such header; its connections end by GOAWAY.
        if last && self.version < Version::HTTP_2 && !upgraded {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        *response.body_mut() = Body::from(reply.body);
        response
    }

    /// Ends the record: what every answer says of itself, in any protocol.
    pub(super) fn close(&mut self, status: u16, kind: Option<Kind>, bytes: usize) -> HeaderMap {
        self.ended = true;
        self.count(status, kind, bytes);
        let mut headers = HeaderMap::with_capacity(HEADERS);
        if let Ok(id) = self.id.parse() {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(kind) = kind {
            headers.insert(ERROR, HeaderValue::from_static(kind.name()));
        }
        self.identify(&mut headers);
        if let Some(times) = self.times.filter(|_| kind.is_none()) {
            headers.insert(BATCH_ROWS, times.batch_rows.into());
        }
        if let Some(timing) = self.server_timing() {
            headers.insert(SERVER_TIMING, timing);
        }
        headers
    }

    /// Names what answers, if this is about a model.
    fn identify(&self, headers: &mut HeaderMap) {
        let Some(digest) = &self.identity else {
            return;
        };
        if let Some(version) = self.serving.version {
            headers.insert(MODEL_VERSION, version.into());
        }
        if let Some(digest) = digest {
            headers.insert(MODEL_DIGEST, digest.clone());
        }
        if let Some(revision) = self.state.revision() {
            headers.insert(REVISION, revision.clone());
        }
    }

    /// `decode;dur=0.041, queue;dur=0.012`: milliseconds.
    fn server_timing(&self) -> Option<HeaderValue> {
        let parts = [
            ("decode", self.decode),
            ("queue", self.times.map(|times| times.queued)),
            ("infer", self.times.map(|times| times.ran)),
            ("encode", self.encode),
        ];
        // On every answer: floats and a list of texts would cost more than the rest of the record.
        let mut text = String::with_capacity(96);
        for (name, took) in parts {
            let Some(took) = took else { continue };
            let separator = if text.is_empty() { "" } else { ", " };
            let (whole, thousandths) = (took.as_millis(), took.subsec_micros() % 1000);
            let _infallible = write!(text, "{separator}{name};dur={whole}.{thousandths:03}");
        }
        if text.is_empty() {
            return None;
        }
        HeaderValue::try_from(text).ok()
    }

    fn count(&self, status: u16, kind: Option<Kind>, response_bytes: usize) {
        let metrics = self.state.metrics();
        let (protocol, method) = (Word(self.protocol), Word(self.method));
        let word = kind.map_or("ok", Kind::name);
        let labels = RequestLabels {
            protocol,
            method,
            code: status,
            kind: Word(word),
        };
        metrics.requests.get_or_create(&labels).inc();
        let took = self.begun.elapsed();
        let labels = Method { protocol, method };
        metrics
            .request_duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        let labels = Protocol { protocol };
        metrics
            .request_bytes
            .get_or_create(&labels)
            .observe(float(self.request_bytes));
        metrics
            .response_bytes
            .get_or_create(&labels)
            .observe(float(response_bytes));
        if self.protocol == "tfs" {
            let series = &metrics.tensorflow_serving;
            let ran = self.times.map(|times| times.ran);
            series.count(self.method, status, took, ran);
        }
        let trace = match self.state.traces() {
            Some(traces) => traces.end(&self.caller, span::of(self, status, word, took)),
            None => self.caller.trace_id(),
        };
        line::write(
            self,
            &End {
                status,
                kind: word,
                bytes: response_bytes,
                took,
                trace,
            },
        );
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !self.ended {
            self.count(Kind::Cancelled.status(), Some(Kind::Cancelled), 0);
        }
    }
}

/// Sizes as a metric's value.
fn float(size: usize) -> f64 {
    f64::from(u32::try_from(size).unwrap_or(u32::MAX))
}
