//! What the gateway counts: `aimass_gateway_…` on the admin port.
//!
//! Registered once at start. Labels are closed sets or names of objects, and of those only so many: the rest is `_other`. Keys,
//! addresses and what callers made up are never labels. What is known at any time anyway is not counted but looked at when
//! somebody asks: see `live`.

mod labels;
mod live;

use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::metrics::COLD_START_SECONDS;
pub use aimass_chassis::metrics::Word;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::labels::Capped;
use self::live::Live;
pub use self::live::Watched;
use crate::table::build::Kind;

/// Models that have series of their own.
const MODELS: usize = 2_000;
/// Limits that have series of their own.
const POLICIES: usize = 1_000;

/// A model, as labels; both empty where a request never got as far as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Model {
    /// The namespace.
    pub project: Arc<str>,
    /// The name in addresses.
    pub model: Arc<str>,
}

/// Labels of `requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    project: Arc<str>,
    model: Arc<str>,
    protocol: Word,
    code: u16,
    kind: Word,
}

/// Labels of `limited_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limited {
    policy: Arc<str>,
    mode: Word,
}

/// Labels of `auth_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Authenticated {
    method: Word,
    result: Word,
}

/// Labels of `token_review_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reviewed {
    review: Word,
    result: Word,
}

/// How long the API server takes to say who shows a token, and what it may; clones are one.
#[derive(Clone, Debug)]
pub struct ReviewTimes(Family<Reviewed, Histogram, fn() -> Histogram>);

impl ReviewTimes {
    /// `review` is `token`, `access`, or `admin` for tokens that are shown on the admin port; `result` is `yes`, `no` or `unavailable`.
    pub fn observe(&self, review: &'static str, result: &'static str, took: Duration) {
        let labels = Reviewed {
            review: Word(review),
            result: Word(result),
        };
        self.0.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

impl Default for ReviewTimes {
    fn default() -> Self {
        Self(Family::new_with_constructor(seconds))
    }
}

/// How a request ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The model that it was about.
    pub model: Option<Model>,
    /// `tfs`, `oip`, `grpc`, or `other`.
    pub protocol: &'static str,
    /// The HTTP status; 499 if the caller went away.
    pub code: u16,
    /// `ok` or the kind of error.
    pub kind: &'static str,
    /// From its head to the last byte of its answer.
    pub took: Duration,
    /// Of that, until a pod was free or there, if it had to wait.
    pub waited: Option<Duration>,
    /// Of that, waiting for a pod's answer, if one was asked.
    pub upstream: Option<Duration>,
}

/// Labels of `cold_start_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ColdStart {
    project: Arc<str>,
    model: Arc<str>,
    phase: Word,
}

type Times = Family<Model, Histogram, fn() -> Histogram>;

/// All series.
pub struct Metrics {
    requests: Family<Request, Counter>,
    request_duration: Times,
    upstream_duration: Times,
    queue_wait: Times,
    cold_starts: Family<ColdStart, Histogram, fn() -> Histogram>,
    overhead: Histogram,
    limited: Family<Limited, Counter>,
    auth: Family<Authenticated, Counter>,
    review_times: ReviewTimes,
    retries: Counter,
    table_build: Histogram,
    table_nacks: Counter,
    access_log_dropped: Counter,
    /// Connections open on the data ports.
    pub connections: Gauge,
    /// WebSockets open.
    pub websockets: Gauge,
    /// Whoever reads the signals.
    pub signals_readers: Gauge,
    /// Replaced tables that some requests still go by.
    pub tables_held: Gauge,
    models: Capped<(Arc<str>, Arc<str>)>,
    policies: Capped<Arc<str>>,
    watched: Arc<Watched>,
}

fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    ])
}

fn cold_seconds() -> Histogram {
    Histogram::new(COLD_START_SECONDS)
}

/// For what takes microseconds to milliseconds.
pub(crate) fn fine_seconds() -> Histogram {
    Histogram::new([
        2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0,
    ])
}

impl Metrics {
    /// Series without observations, registered in `registry`; `watched` is looked at when they are asked for. `peer_times` is
    /// counted elsewhere.
    pub fn register(registry: &mut Registry, watched: Arc<Watched>, peer_times: Histogram) -> Self {
        let metrics = Self::new(Arc::clone(&watched));
        let r = registry.sub_registry_with_prefix("aimass_gateway");
        // Counters get their `_total` from the encoder.
        r.register(
            "requests",
            "Answers, and requests whose caller went away",
            metrics.requests.clone(),
        );
        r.register(
            "request_duration_seconds",
            "From the head's arrival to the last byte of the answer",
            metrics.request_duration.clone(),
        );
        r.register(
            "upstream_duration_seconds",
            "From the choice of a pod to the last byte of its answer",
            metrics.upstream_duration.clone(),
        );
        r.register(
            "queue_wait_seconds",
            "How long those that had to waited for a pod, or for nothing",
            metrics.queue_wait.clone(),
        );
        r.register(
            "cold_start_seconds",
            "What the requests took that woke a model, the first of all that waited, to the first byte of their answers",
            metrics.cold_starts.clone(),
        );
        r.register(
            "overhead_seconds",
            "What requests that a pod was asked for took besides the pod and the wait for one",
            metrics.overhead.clone(),
        );
        r.register(
            "limited",
            "Requests beyond a limit",
            metrics.limited.clone(),
        );
        r.register(
            "limit_peer_seconds",
            "Waiting for the gateway that counts a caller",
            peer_times,
        );
        r.register("auth", "Callers", metrics.auth.clone());
        r.register(
            "token_review_seconds",
            "Asking the API server who shows a token, and what it may",
            metrics.review_times.0.clone(),
        );
        r.register(
            "retries",
            "Requests that were sent to a second pod",
            metrics.retries.clone(),
        );
        r.register(
            "table_build_seconds",
            "Building the route table anew",
            metrics.table_build.clone(),
        );
        r.register(
            "table_nacks",
            "Objects, or parts of them, that were not obeyed",
            metrics.table_nacks.clone(),
        );
        r.register(
            "access_log_dropped",
            "Lines that found the access log full",
            metrics.access_log_dropped.clone(),
        );
        r.register(
            "connections",
            "Connections open on the data ports",
            metrics.connections.clone(),
        );
        r.register("websockets", "WebSockets open", metrics.websockets.clone());
        let help = "Whoever reads what the operator is told";
        r.register("signals_readers", help, metrics.signals_readers.clone());
        let help = "Replaced tables that some requests went by when signals were last taken";
        r.register("tables_held", help, metrics.tables_held.clone());
        let help = "Background tasks that panicked";
        r.register("task_panics", help, aimass_chassis::tasks::panics());
        r.register_collector(Box::new(Live(watched)));
        metrics
    }

    fn new(watched: Arc<Watched>) -> Self {
        Self {
            requests: Family::default(),
            request_duration: Family::new_with_constructor(seconds),
            upstream_duration: Family::new_with_constructor(seconds),
            queue_wait: Family::new_with_constructor(seconds),
            cold_starts: Family::new_with_constructor(cold_seconds),
            overhead: fine_seconds(),
            limited: Family::default(),
            auth: Family::default(),
            review_times: ReviewTimes::default(),
            retries: Counter::default(),
            table_build: fine_seconds(),
            table_nacks: Counter::default(),
            access_log_dropped: Counter::default(),
            connections: Gauge::default(),
            websockets: Gauge::default(),
            signals_readers: Gauge::default(),
            tables_held: Gauge::default(),
            models: Capped::new(MODELS),
            policies: Capped::new(POLICIES),
            watched,
        }
    }

    /// A request has ended.
    pub fn ended(&self, ended: &Ended) {
        let model = self.labels(ended.model.as_ref());
        let labels = Request {
            project: Arc::clone(&model.project),
            model: Arc::clone(&model.model),
            protocol: Word(ended.protocol),
            code: ended.code,
            kind: Word(ended.kind),
        };
        self.requests.get_or_create(&labels).inc();
        let took = ended.took.as_secs_f64();
        self.request_duration.get_or_create(&model).observe(took);
        if let Some(waited) = ended.waited {
            let times = self.queue_wait.get_or_create(&model);
            times.observe(waited.as_secs_f64());
        }
        if let Some(upstream) = ended.upstream {
            let times = self.upstream_duration.get_or_create(&model);
            times.observe(upstream.as_secs_f64());
            let waited = ended.waited.unwrap_or_default();
            let overhead = ended.took.saturating_sub(upstream + waited);
            self.overhead.observe(overhead.as_secs_f64());
        }
    }

    /// The request that woke `model` has got so far.
    pub fn cold_started(&self, model: &Model, phase: &'static str, took: Duration) {
        let Model { project, model } = self.labels(Some(model));
        let phase = Word(phase);
        let labels = ColdStart {
            project,
            model,
            phase,
        };
        self.cold_starts
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    fn labels(&self, model: Option<&Model>) -> Model {
        let Some(model) = model else {
            return labels::none();
        };
        let pair = (Arc::clone(&model.project), Arc::clone(&model.model));
        match self.models.admits(&pair) {
            true => model.clone(),
            false => labels::other(),
        }
    }

    /// A request was beyond a limit and was refused, or would have been.
    pub fn limited(&self, policy: &Arc<str>, mode: &'static str) {
        let policy = match self.policies.admits(policy) {
            true => Arc::clone(policy),
            false => labels::OTHER.into(),
        };
        let labels = Limited {
            policy,
            mode: Word(mode),
        };
        self.limited.get_or_create(&labels).inc();
    }

    /// A caller was known, or not; `method` is `key`, `token` or `anonymous`.
    pub fn authenticated(&self, method: &'static str, result: &'static str) {
        let labels = Authenticated {
            method: Word(method),
            result: Word(result),
        };
        self.auth.get_or_create(&labels).inc();
    }

    /// Where the times of reviews are counted.
    #[must_use]
    pub const fn review_times(&self) -> &ReviewTimes {
        &self.review_times
    }

    /// A request is sent to a second pod.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// A line of the access log was lost.
    pub fn line_dropped(&self) {
        self.access_log_dropped.inc();
    }

    /// A table was built, and is used from now on.
    pub fn built(&self, took: Duration) {
        self.table_build.observe(took.as_secs_f64());
        self.watched.swapped();
    }

    /// Something was not obeyed.
    pub fn nacked(&self) {
        self.table_nacks.inc();
    }

    /// A stream said something.
    pub fn heard_of(&self, kind: Kind) {
        self.watched.heard_of(kind);
    }
}
