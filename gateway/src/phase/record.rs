//! The record of one request, from its head to the last byte of its answer: headers, counts, log line, span.
//!
//! Made first by `phase` and filled in as the phases go. When it is dropped it tells, once and whatever has happened: that the
//! answer was complete, that it broke, or, if nothing of that was noted, that the caller went away. So it moves into the body of
//! the answer, and is dropped with it.

mod answer;
mod line;
mod log;
mod span;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aimass_chassis::listener::{Connection, Secured};
use aimass_chassis::traces::Caller as Trace;
use aimass_protocol::Kind;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Version};
use tokio::time::Instant;

pub use self::log::{AccessLog, Writer};
use super::authenticate::Caller;
use super::choose::{Named, Pods};
use super::grpc::Wire;
use super::refusal::problem;
use super::route::Call;
use crate::app::State;
use crate::headers::{self, Origin, Scheme};
use crate::metrics::{Ended, Model};
use crate::table::Deployment;
use crate::table::live::meter::{Assigned, Outcome};

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
    /// How long it waited for a pod before that.
    waited: Option<Duration>,
    /// Whether there was none that it could wait for.
    cold: bool,
    /// Whether it was the first that waited for its model.
    wakes: bool,
    revision: Option<Named>,
    /// Whether the caller asked for that revision.
    pinned: bool,
    /// The request counts on its revision for as long as there is this.
    assigned: Option<Assigned>,
    /// The pod that was asked last.
    pod: Option<SocketAddr>,
    attempts: u32,
    request_bytes: Arc<AtomicU64>,
    response_bytes: u64,
    status: u16,
    kind: Option<Kind>,
    ended: bool,
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
            waited: None,
            cold: false,
            wakes: false,
            revision: None,
            pinned: false,
            assigned: None,
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

    /// It is `revision` that is to answer; `pin` is the number that was asked for. The request counts there from now on, and
    /// no longer where it counted before.
    pub(super) fn given(&mut self, revision: &Named, pin: Option<i64>) {
        self.pinned = pin.is_some();
        let before = self.revision.replace(revision.clone());
        let same = before.is_some_and(|before| Arc::ptr_eq(&before.live, &revision.live));
        if !same || self.assigned.is_none() {
            self.assigned = Some(revision.live.meter.assign());
        }
    }

    /// It is `revision` that would have answered, and does not.
    pub(super) fn denied(&mut self, revision: Option<Named>) {
        self.assigned = None;
        self.revision = revision.or_else(|| self.revision.take());
    }

    /// It waits for a pod of its revision.
    pub(super) fn waits(&mut self, now: Instant) {
        if let Some(assigned) = &mut self.assigned {
            assigned.wait(now.into_std());
        }
    }

    /// It is the first that waits for a model without pods.
    pub(super) const fn wakes(&mut self) {
        self.wakes = true;
    }

    /// It does not wait any more: it has a pod, or never gets one. `pods` were those that it waited for.
    pub(super) fn waited(&mut self, waited: Duration, pods: Pods) {
        self.cold |= pods == Pods::Missing;
        let before = self.waited.unwrap_or_default();
        self.waited = Some(before.saturating_add(waited));
    }

    /// A pod of its revision is asked.
    pub(super) fn attempt(&mut self, pod: SocketAddr) {
        let now = *self.asked.get_or_insert_with(Instant::now);
        if let Some(assigned) = &mut self.assigned {
            assigned.serve(now.into_std());
        }
        self.attempts = self.attempts.saturating_add(1);
        self.pod = Some(pod);
    }

    /// From the head to the choice of a pod, without waiting for one.
    fn admit(&self) -> Option<Duration> {
        let chosen = self.asked?.duration_since(self.begun);
        Some(chosen.saturating_sub(self.waited.unwrap_or_default()))
    }

    /// Since the choice of a pod.
    fn upstream(&self) -> Option<Duration> {
        Some(self.asked?.elapsed())
    }

    /// How long it took to wake its model, if it did.
    fn cold_start(&self) -> Option<Duration> {
        self.waited.filter(|_| self.cold && self.asked.is_some())
    }

    /// What it went through, in this order; nothing of what it has not.
    fn phases(&self) -> [(&'static str, Option<Duration>); 3] {
        [
            ("admit", self.admit()),
            ("wait", self.waited),
            ("upstream", self.upstream()),
        ]
    }

    /// It is answered; unless the answer breaks off, this is its status and, of a refusal, its kind.
    pub(super) const fn answers(&mut self, status: u16, kind: Option<Kind>) {
        (self.status, self.kind) = (status, kind);
    }

    /// For metrics.
    fn labels(&self) -> Option<Model> {
        self.model.as_ref().map(|model| Model {
            project: Arc::clone(&model.namespace),
            model: Arc::clone(&model.served_name),
        })
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

    /// What the request says of its revision; nothing if its caller went away, or this process ends.
    fn outcome(&self) -> Option<Outcome> {
        if self.kind == Some(Kind::Cancelled) || self.state.aborted().is_cancelled() {
            return None;
        }
        Some(match (self.status, self.kind) {
            _ if self.pinned => Outcome::Uncounted,
            (_, Some(Kind::EngineRejected)) => Outcome::Rejected,
            (..500, _) => Outcome::Ok,
            _ => Outcome::Failed,
        })
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
        if let Some(assigned) = self.assigned.take()
            && let Some(outcome) = self.outcome()
        {
            assigned.end(outcome, Instant::now().into_std());
        }
        let took = self.begun.elapsed();
        let upstream = self.upstream();
        let kind = self.kind();
        self.state.metrics().ended(&Ended {
            model: self.labels(),
            protocol: self.protocol(),
            code: self.status,
            kind,
            took,
            waited: self.waited,
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
