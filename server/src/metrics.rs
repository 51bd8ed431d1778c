//! What the server counts: `aimass_server_…` on the admin port.
//!
//! Registered once at start. Labels are closed sets or the model's own identity, so series are bounded.

pub mod tensorflow_serving;

pub use aimass_chassis::metrics::Word;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::engine::Memory;

/// Labels of `requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    /// `tfs`, `oip`, `grpc`.
    pub protocol: Word,
    /// What was asked for.
    pub method: Word,
    /// The HTTP status; for gRPC the one that REST would have.
    pub code: u16,
    /// `ok` or the kind of error.
    pub kind: Word,
}

/// Labels of `request_duration_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Method {
    /// `tfs`, `oip`, `grpc`.
    pub protocol: Word,
    /// What was asked for.
    pub method: Word,
}

/// The label of the byte histograms.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Protocol {
    /// `tfs`, `oip`, `grpc`.
    pub protocol: Word,
}

/// The label of `inference_duration_seconds`: the rows of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Bucket {
    /// A power of two up to the largest, or `other`.
    pub bucket: Word,
}

impl Bucket {
    /// The label for a plan of `rows` rows.
    pub const fn of(rows: usize) -> Self {
        let word = match rows {
            1 => "1",
            2 => "2",
            4 => "4",
            8 => "8",
            16 => "16",
            32 => "32",
            64 => "64",
            128 => "128",
            256 => "256",
            512 => "512",
            1024 => "1024",
            _ => "other",
        };
        Self { bucket: Word(word) }
    }
}

/// The label of `dropped_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Dropped {
    /// Why.
    pub reason: Word,
}

impl Dropped {
    /// The deadline passed in the queue or between chunks.
    pub const DEADLINE: Self = Self {
        reason: Word("deadline"),
    };
    /// The caller went away.
    pub const CANCELLED: Self = Self {
        reason: Word("cancelled"),
    };
}

/// All series.
pub struct Metrics {
    /// Answers, and requests whose caller went away.
    pub requests: Family<Request, Counter>,
    /// From the head's arrival to the answer.
    pub request_duration: Family<Method, Histogram, fn() -> Histogram>,
    /// Between admission and a worker.
    pub queue_duration: Histogram,
    /// In the engine.
    pub inference_duration: Family<Bucket, Histogram, fn() -> Histogram>,
    /// Real rows in each run.
    pub batch_rows: Histogram,
    /// Inflated request bodies.
    pub request_bytes: Family<Protocol, Histogram, fn() -> Histogram>,
    /// Answers.
    pub response_bytes: Family<Protocol, Histogram, fn() -> Histogram>,
    /// Inference requests between arrival and answer.
    pub in_flight: Gauge,
    /// Connections open on the data ports.
    pub connections: Gauge,
    /// Connections of these that are WebSockets.
    pub websockets: Gauge,
    /// Rows that wait for a worker.
    pub queue_rows: Gauge,
    /// Bytes of request bodies held.
    pub buffered_bytes: Gauge,
    /// Plans of the engine.
    pub plans: Gauge,
    /// What model and plans hold, as an estimate.
    pub engine_memory: Gauge,
    /// 1 while requests may be sent.
    pub ready: Gauge,
    /// How long the last load took.
    pub model_load_duration: Gauge<f64, std::sync::atomic::AtomicU64>,
    /// Requests that never ran.
    pub dropped: Family<Dropped, Counter>,
    /// Panics of the engine.
    pub engine_panics: Counter,
    /// TensorFlow Serving's own, on a page of their own.
    pub tensorflow_serving: tensorflow_serving::Series,
    /// Batches that failed and whose requests ran once more, one by one.
    pub batch_retries: Counter,
    /// 1 for the model that answers.
    pub model_info: Family<Vec<(&'static str, String)>, Gauge>,
}

fn seconds() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ])
}

fn fine_seconds() -> Histogram {
    Histogram::new([
        1e-5, 1e-4, 2.5e-4, 0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0,
    ])
}

fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(1024.0, 4.0, 8))
}

impl Metrics {
    /// Series without observations, registered in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::new();
        let r = registry.sub_registry_with_prefix("aimass_server");
        // Counters get their `_total` from the encoder.
        r.register("requests", "Answers", metrics.requests.clone());
        let help = "From the head's arrival to the answer";
        r.register(
            "request_duration_seconds",
            help,
            metrics.request_duration.clone(),
        );
        let help = "Between admission and a worker";
        r.register(
            "queue_duration_seconds",
            help,
            metrics.queue_duration.clone(),
        );
        let help = "In the engine";
        r.register(
            "inference_duration_seconds",
            help,
            metrics.inference_duration.clone(),
        );
        r.register(
            "batch_rows",
            "Real rows in each run of the engine",
            metrics.batch_rows.clone(),
        );
        r.register(
            "request_bytes",
            "Inflated request bodies",
            metrics.request_bytes.clone(),
        );
        r.register("response_bytes", "Answers", metrics.response_bytes.clone());
        r.register(
            "in_flight",
            "Inference requests not yet answered",
            metrics.in_flight.clone(),
        );
        r.register(
            "connections",
            "Connections open on the data ports",
            metrics.connections.clone(),
        );
        r.register(
            "websockets",
            "Connections that are WebSockets",
            metrics.websockets.clone(),
        );
        let help = "Background tasks that panicked";
        r.register("task_panics", help, aimass_chassis::tasks::panics());
        r.register(
            "queue_rows",
            "Rows that wait for a worker",
            metrics.queue_rows.clone(),
        );
        let help = "Bytes of request bodies held";
        r.register("buffered_bytes", help, metrics.buffered_bytes.clone());
        r.register("plans", "Plans of the engine", metrics.plans.clone());
        let help = "What the model and its plans hold, as an estimate";
        r.register("engine_memory_bytes", help, metrics.engine_memory.clone());
        r.register(
            "ready",
            "1 while requests may be sent",
            metrics.ready.clone(),
        );
        let help = "How long the last load of the model took";
        r.register(
            "model_load_duration_seconds",
            help,
            metrics.model_load_duration.clone(),
        );
        r.register(
            "dropped",
            "Requests that never ran",
            metrics.dropped.clone(),
        );
        r.register(
            "engine_panics",
            "Panics of the engine",
            metrics.engine_panics.clone(),
        );
        let help = "Batches that failed and whose requests ran once more, one by one";
        r.register("batch_retries", help, metrics.batch_retries.clone());
        r.register(
            "model_info",
            "1 for the model that answers",
            metrics.model_info.clone(),
        );
        metrics
    }

    fn new() -> Self {
        Self {
            requests: Family::default(),
            request_duration: Family::new_with_constructor(seconds),
            queue_duration: fine_seconds(),
            inference_duration: Family::new_with_constructor(fine_seconds),
            batch_rows: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            request_bytes: Family::new_with_constructor(sizes),
            response_bytes: Family::new_with_constructor(sizes),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            websockets: Gauge::default(),
            queue_rows: Gauge::default(),
            buffered_bytes: Gauge::default(),
            plans: Gauge::default(),
            engine_memory: Gauge::default(),
            ready: Gauge::default(),
            model_load_duration: Gauge::default(),
            dropped: Family::default(),
            engine_panics: Counter::default(),
            tensorflow_serving: tensorflow_serving::Series::default(),
            batch_retries: Counter::default(),
            model_info: Family::default(),
        }
    }

    /// Shows the model that answers from now on, and no other.
    pub fn show_model(&self, labels: &Vec<(&'static str, String)>) {
        self.model_info.clear();
        self.model_info.get_or_create(labels).set(1);
    }

    /// Counts a run of `rows` real rows.
    pub fn observe_batch(&self, rows: usize) {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        self.batch_rows.observe(f64::from(rows));
    }

    /// Shows what the engine holds.
    pub fn show_memory(&self, memory: Memory) {
        self.plans
            .set(i64::try_from(memory.plans).unwrap_or(i64::MAX));
        self.engine_memory
            .set(i64::try_from(memory.bytes).unwrap_or(i64::MAX));
    }
}
