//! The record of one request, from its head to the last byte of its answer: headers, counts, log line, span.
//!
//! Made first by `phase` and filled in as the phases go. When it is dropped it tells, once and whatever has happened: that the
//! answer was complete, that it broke, or, if nothing of that was noted, that the caller went away. So it moves into the body of
//! the answer, and is dropped with it.

mod line;
mod log;
mod span;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aimass_chassis::listener::{Connection, Secured};
use aimass_chassis::traces::Caller as Trace;
use aimass_protocol::Kind;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use tokio::time::Instant;

pub use self::log::{AccessLog, Writer};
use super::authenticate::Caller;
use super::forward::{Answered, End, Reply};
use super::grpc::{self, Wire};
use super::refusal::{Refusal, problem};
use super::route::Call;
use crate::app::State;
use crate::headers::{self, Origin, Scheme};
use crate::metrics::{Ended, Model};
use crate::table::Deployment;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ERROR: HeaderName = HeaderName::from_static("aimass-error");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const TRANSPORT_SECURITY: HeaderName = HeaderName::from_static("strict-transport-security");
/// A year: callers that came by HTTPS once keep to it.
const YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What happened to a request so far.
pub struct Record {
    state: State,
    begun: Instant,
    id: String,
    trace: Trace,
    origin: Origin,
    secured: Option<Secured>,
    version: Version,
    wire: Wire,
    /// Whether refusals are to be problem details.
    wants_problem: bool,
    method: String,
    path: String,
    call: Option<Call>,
    caller: Option<Caller>,
    model: Option<Arc<Deployment>>,
    limits: Vec<(HeaderName, HeaderValue)>,
    /// When a pod was asked for the first time.
    asked: Option<Instant>,
    pod: Option<Pod>,
    attempts: u32,
    request_bytes: Arc<AtomicU64>,
    response_bytes: u64,
    status: u16,
    kind: Option<Kind>,
    ended: bool,
}

/// Who answers.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its revision, without the model's name.
    pub revision: Arc<str>,
    /// The revision's number; 0 if it is not known yet.
    pub number: i64,
    /// Where it is.
    pub address: std::net::SocketAddr,
}

impl Record {
    pub(super) fn begin(state: &State, request: &Request<Body>) -> Self {
        let connection = request.extensions().get::<Connection>();
        let secured = request.extensions().get::<Secured>().cloned();
        let scheme = match secured {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        };
        // Without a connection, in tests of the application alone, nobody is at the other end.
        let peer = connection.map_or([0, 0, 0, 0].into(), |c| c.peer().ip());
        let trusted = &state.settings().trusted_proxies;
        let id = headers::request_id(request.headers());
        Self {
            state: state.clone(),
            begun: Instant::now(),
            id: id.map_or_else(line::new_id, str::to_owned),
            trace: Trace::of(request.headers()),
            origin: headers::origin(peer, scheme, request.headers(), trusted),
            secured,
            version: request.version(),
            wire: Wire::of(request),
            wants_problem: problem::is_wanted(request.headers()),
            method: line::cut(request.method().as_str(), 20).to_owned(),
            path: line::cut(request.uri().path(), 256).to_owned(),
            call: None,
            caller: None,
            model: None,
            limits: Vec::new(),
            asked: None,
            pod: None,
            attempts: 0,
            request_bytes: Arc::default(),
            response_bytes: 0,
            status: Kind::Cancelled.status(),
            kind: Some(Kind::Cancelled),
            ended: false,
        }
    }

    /// What all requests share.
    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// How it travels.
    pub(super) const fn wire(&self) -> Wire {
        self.wire
    }

    /// When the head had arrived.
    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    /// Where the request came from.
    pub(super) const fn origin(&self) -> Origin {
        self.origin
    }

    /// The host of the connection's handshake.
    pub(super) fn server_name(&self) -> Option<&str> {
        self.secured.as_ref()?.server_name()
    }

    /// Where the bytes of the caller's body are counted.
    pub(super) fn request_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.request_bytes)
    }

    pub(super) const fn asks(&mut self, call: Call) {
        self.call = Some(call);
    }

    pub(super) fn called_by(&mut self, caller: &Caller) {
        self.caller = Some(caller.clone());
    }

    pub(super) fn about(&mut self, deployment: &Arc<Deployment>) {
        self.model = Some(Arc::clone(deployment));
    }

    /// The caller's limits allow it; `limits` is said on every answer.
    pub(super) fn admitted(&mut self, limits: Vec<(HeaderName, HeaderValue)>) {
        self.limits = limits;
    }

    /// A pod is asked.
    pub(super) fn attempt(&mut self, pod: Pod) {
        self.asked.get_or_insert_with(Instant::now);
        self.attempts = self.attempts.saturating_add(1);
        self.pod = Some(pod);
    }

    /// The answer to a refusal: complete as it is.
    pub(super) fn refuse(mut self, refusal: Refusal) -> Response<Body> {
        let kind = refusal.error.kind;
        self.answers(refusal.status.as_u16(), Some(kind));
        let mut response = match self.wire {
            Wire::Plain => {
                let (text, form) = match self.wants_problem {
                    true => (problem::body(&refusal), problem::CONTENT_TYPE),
                    false => (refusal.error.body(), "application/json"),
                };
                self.sent(text.len());
                let mut response = Response::new(Body::from(text));
                *response.status_mut() = refusal.status;
                let map = response.headers_mut();
                map.insert(CONTENT_TYPE, HeaderValue::from_static(form));
                map.insert(ERROR, HeaderValue::from_static(kind.name()));
                response
            }
            Wire::Grpc => {
                let mut response = Response::new(Body::empty());
                *response.headers_mut() = grpc::refusal(&refusal.error);
                response
            }
        };
        self.complete();
        let map = response.headers_mut();
        map.extend(refusal.headers);
        if refusal.close && self.version < Version::HTTP_2 {
            map.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.sign(map);
        response
    }

    /// The answer after which the connection goes on as a WebSocket.
    pub(super) fn upgrade(mut self, headers: HeaderMap) -> Response<Body> {
        self.answers(StatusCode::SWITCHING_PROTOCOLS.as_u16(), None);
        self.complete();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = headers;
        self.sign(response.headers_mut());
        response
    }

    /// The answer of a pod, whose body is yet to come.
    pub(super) fn stream(mut self, answered: Answered) -> Response<Body> {
        let Answered {
            head,
            body,
            holds,
            deadline,
        } = answered;
        let plain = || (head.status.as_u16(), grpc::kind(&head.headers));
        let (status, kind) = match self.wire {
            Wire::Plain => plain(),
            // What stands in trailers is not known yet.
            Wire::Grpc => grpc::status(&head.headers).unwrap_or((200, None)),
        };
        self.answers(status, kind);
        let end = End::of(self.wire, &head.headers);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = head.status;
        *response.headers_mut() = headers::from_pod(&head.headers);
        if self.method != "HEAD" {
            // The listener writes it by what the body has, whatever the pod said.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        self.sign(response.headers_mut());
        let reply = Reply::new((body, end), deadline, holds, self);
        *response.body_mut() = Body::new(reply);
        response
    }

    /// What every answer says of itself.
    fn sign(&self, map: &mut HeaderMap) {
        if let Ok(id) = self.id.parse() {
            map.insert(REQUEST_ID, id);
        }
        if self.secured.is_some() {
            map.insert(TRANSPORT_SECURITY, YEAR);
        }
        for (name, value) in &self.limits {
            // A refusal by these limits has said them already.
            if !map.contains_key(name) {
                map.insert(name.clone(), value.clone());
            }
        }
        if let (Some(model), Some(pod)) = (&self.model, &self.pod)
            && pod.number > 0
        {
            headers::identify(map, &model.name, &pod.revision, pod.number);
        }
        if let Some(timing) = line::server_timing(self.admit(), self.upstream()) {
            // Beside what the pod says of its own time.
            map.append(SERVER_TIMING, timing);
        }
    }

    /// From the head to the choice of a pod.
    fn admit(&self) -> Option<Duration> {
        Some(self.asked?.duration_since(self.begun))
    }

    /// Since the choice of a pod.
    fn upstream(&self) -> Option<Duration> {
        Some(self.asked?.elapsed())
    }

    /// It is answered; unless the answer breaks off, this is its status and, of a refusal, its kind.
    pub(super) const fn answers(&mut self, status: u16, kind: Option<Kind>) {
        (self.status, self.kind) = (status, kind);
    }

    /// For metrics, log and spans.
    fn protocol(&self) -> &'static str {
        self.call.map_or(self.wire.protocol(), Call::protocol)
    }

    /// More of the answer has gone out.
    pub(super) fn sent(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.response_bytes = self.response_bytes.saturating_add(bytes);
    }

    /// The answer has gone out to its end.
    pub(super) const fn complete(&mut self) {
        self.ended = true;
    }

    /// The answer ends here, cut short, because of `kind`.
    pub(super) const fn broke(&mut self, kind: Kind) {
        self.kind = Some(kind);
        self.status = kind.status();
        self.ended = true;
    }

    /// For metrics and log; a pod may refuse without a word of ours.
    fn kind(&self) -> &'static str {
        match self.kind {
            Some(kind) => kind.name(),
            None if self.status < 400 => "ok",
            None => "other",
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.ended {
            self.broke(Kind::Cancelled);
        }
        let took = self.begun.elapsed();
        let upstream = self.upstream();
        let kind = self.kind();
        self.state.metrics().ended(&Ended {
            model: self.model.as_ref().map(|model| Model {
                project: Arc::clone(&model.namespace),
                model: Arc::clone(&model.served_name),
            }),
            protocol: self.protocol(),
            code: self.status,
            kind,
            took,
            upstream,
        });
        let trace = match self.state.traces() {
            Some(traces) => traces.end(&self.trace, span::of(self, kind, took)),
            None => self.trace.trace_id(),
        };
        let sample = self.state.settings().access_log_sample;
        if kind == "ok" && !line::is_sampled(&self.id, sample) {
            return;
        }
        let line = line::of(self, kind, took, trace.as_deref());
        if !self.state.access_log().write(line) {
            self.state.metrics().line_dropped();
        }
    }
}
