//! What all requests share: the model, if there is one, the queue, the counts, and whether the process is stopping.
//!
//! Made by `run.rs` (and by tests); changed by the loader, the workers and the shutdown. Cheap to clone.

mod held;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use aimass_chassis::readiness::Readiness;
use aimass_chassis::shutdown::Stop;
use aimass_chassis::traces::Traces;
use aimass_chassis::ws::{Endpoint, Limits};
use aimass_protocol::Checks;
use aimass_protocol::v1::{State as Life, VersionStatus};
use aimass_protocol::ws::SUBPROTOCOL;
use axum::http::HeaderValue;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::history::History;
use crate::metrics::Metrics;
use crate::model::{LARGEST_BUCKET, Model, sizes};
use crate::queue::{Bounds, Queue};

pub use held::{InFlight, Reservation};

/// Panics of the engine within [`PANIC_WINDOW`] that take the model out of service.
const MAX_PANICS: usize = 5;
/// See [`MAX_PANICS`].
const PANIC_WINDOW: Duration = Duration::from_secs(60);

/// What decides how requests are answered.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name that callers use.
    pub model_name: String,
    /// The number of the revision, where one is set. Elsewhere versions come and go with their folders.
    pub model_version: Option<i64>,
    /// The revision's name, if an operator gave one.
    pub revision: Option<String>,
    /// Labels and the versions that they mean.
    pub labels: BTreeMap<String, i64>,
    /// Where the data ports show TensorFlow Serving's series, if anywhere.
    pub monitoring: Option<String>,
    /// How strictly JSON is read.
    pub checks: Checks,
    /// Whether `OPTIONS` gets the headers that let browsers call.
    pub cors: bool,
    /// Without a shorter one from the caller.
    pub timeout: Duration,
    /// Bytes of an inflated body.
    pub max_body: usize,
    /// Bytes of an answer.
    pub max_response: usize,
    /// Inference requests at once.
    pub max_in_flight: usize,
    /// Bytes of all bodies at once.
    pub max_buffered: u64,
    /// Rows in the queue.
    pub max_queue_rows: usize,
    /// Engine threads.
    pub workers: usize,
    /// Which rows are run together.
    pub batching: Batching,
}

/// Which rows are run together, and how long they wait for each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batching {
    /// Rows of the largest bucket: 1 = none are run together, 0 = as measured, at most 64.
    pub max_batch_size: usize,
    /// How long the oldest request waits for others although a thread is idle.
    pub max_queue_delay: Duration,
    /// The only buckets to be used besides 1; empty = 1, 2, 4 … the largest.
    pub allowed_batch_sizes: Vec<usize>,
}

impl Batching {
    /// Rows of the largest bucket that may be used.
    pub fn largest(&self) -> usize {
        let allowed = self.allowed_batch_sizes.iter().copied().max();
        match self.max_batch_size {
            0 => allowed.unwrap_or(LARGEST_BUCKET),
            largest => largest,
        }
    }

    /// The buckets to be measured, ascending from 1.
    pub fn sizes(&self) -> Vec<usize> {
        sizes(self.largest(), &self.allowed_batch_sizes)
    }
}

/// Where the model is.
#[derive(Clone)]
pub enum Slot {
    /// Not loaded yet.
    Loading,
    /// Answers.
    Ready(Arc<Model>),
    /// Its engine panicked too often; it is loaded anew.
    Quarantined,
}

/// What answers a request: taken once, at its start, so that one version makes the whole answer.
#[derive(Clone)]
pub struct Serving {
    /// Where the model is.
    pub slot: Slot,
    /// Its version, as soon as that is known.
    pub version: Option<i64>,
}

/// What is served, and what became of all other versions: changed under one lock, so that none is ever missing.
struct Place {
    serving: Serving,
    history: History,
}

/// Shared state.
#[derive(Clone)]
pub struct State(Arc<Shared>);

struct Shared {
    settings: Settings,
    /// `settings.revision`, as it stands in answers.
    revision: Option<HeaderValue>,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
    place: Mutex<Place>,
    panics: Mutex<VecDeque<Instant>>,
    reload: mpsc::SyncSender<()>,
    traces: Option<Traces>,
    in_flight: AtomicUsize,
    buffered: AtomicU64,
    codecs: Arc<Semaphore>,
    websockets: Endpoint,
    stopping: Stop,
    aborted: Stop,
}

impl State {
    /// State without a model. `reload` is signalled when the model is to be loaded anew; one pending signal is enough.
    pub fn new(
        settings: Settings,
        readiness: Readiness,
        metrics: Arc<Metrics>,
        reload: mpsc::SyncSender<()>,
        traces: Option<Traces>,
    ) -> Self {
        let bounds = Bounds {
            max_rows: settings.max_queue_rows,
            max_delay: settings.batching.max_queue_delay,
            workers: settings.workers,
        };
        let queue = Arc::new(Queue::new(bounds, metrics.queue_rows.clone()));
        let codecs = Arc::new(Semaphore::new(settings.workers));
        let limits = Limits::new(
            settings.max_body,
            settings.max_response,
            settings.max_buffered,
        );
        let websockets = Endpoint::new(limits, SUBPROTOCOL, metrics.websockets.clone());
        let place = Place {
            serving: Serving {
                slot: Slot::Loading,
                version: settings.model_version,
            },
            history: History::default(),
        };
        let revision = settings.revision.as_deref();
        let revision = revision.and_then(|revision| revision.parse().ok());
        let state = Self(Arc::new(Shared {
            settings,
            revision,
            readiness,
            metrics,
            queue,
            place: Mutex::new(place),
            panics: Mutex::default(),
            reload,
            traces,
            in_flight: AtomicUsize::new(0),
            buffered: AtomicU64::new(0),
            codecs,
            websockets,
            stopping: Stop::new(),
            aborted: Stop::new(),
        }));
        state.show();
        state
    }

    /// What decides how requests are answered.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The revision's name for answers, if an operator gave one.
    pub fn revision(&self) -> Option<&HeaderValue> {
        self.0.revision.as_ref()
    }

    /// The series.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// TensorFlow Serving's series as text.
    pub fn monitoring_page(&self) -> String {
        let model = &self.0.settings.model_name;
        self.0.metrics.tensorflow_serving.page(model)
    }

    /// Where ended requests are noted, if anywhere.
    pub fn traces(&self) -> Option<&Traces> {
        self.0.traces.as_ref()
    }

    /// The queue.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.0.queue
    }

    /// Permits for work on large bodies, off the async threads.
    pub fn codecs(&self) -> &Arc<Semaphore> {
        &self.0.codecs
    }

    /// The WebSockets.
    pub fn websockets(&self) -> &Endpoint {
        &self.0.websockets
    }

    /// Where the model is now.
    pub fn slot(&self) -> Slot {
        self.lock_place().serving.slot.clone()
    }

    /// What answers now.
    pub fn serving(&self) -> Serving {
        self.lock_place().serving.clone()
    }

    /// Puts the model into another place, in one step, and tells the probes. A version that is replaced drains from now
    /// on.
    pub fn set_slot(&self, slot: Slot) {
        let mut place = self.lock_place();
        let Place { serving, history } = &mut *place;
        if let Slot::Ready(model) = &slot {
            let version = model.version();
            if let Some(old) = serving.version.filter(|old| *old != version) {
                history.drains(old);
            }
            history.forget(version);
            serving.version = Some(version);
        }
        serving.slot = slot;
        drop(place);
        // Panics of what answered before say nothing of what answers now.
        self.lock_panics().clear();
        self.show();
    }

    /// Tells callers what became of a version that does not answer.
    pub fn note(&self, status: VersionStatus) {
        self.lock_place().history.note(status);
    }

    /// Tells callers nothing of a version any more.
    pub fn forget(&self, version: i64) {
        self.lock_place().history.forget(version);
    }

    /// All versions that are known, the highest first.
    pub fn versions(&self) -> Vec<VersionStatus> {
        let place = self.lock_place();
        let Serving { slot, version } = &place.serving;
        let state = match slot {
            _ if self.is_stopping() => Life::Unloading,
            Slot::Loading | Slot::Quarantined => Life::Loading,
            Slot::Ready(_) => Life::Available,
        };
        let served = version.map(|version| VersionStatus {
            version,
            state,
            error_code: "OK",
            error_message: String::new(),
        });
        place.history.with(served)
    }

    /// The process was told to stop: not ready from now on, all else goes on.
    pub fn stop(&self) {
        self.0.stopping.cancel();
        self.show();
    }

    /// Whether the process was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.is_cancelled()
    }

    /// The grace is over: requests, new and in flight, are answered with `draining`. Not before: whoever
    /// reached this server while it drains was sent here, and could only fail elsewhere.
    pub fn abort(&self) {
        self.0.aborted.cancel();
    }

    /// Whether the grace is over.
    pub fn is_aborted(&self) -> bool {
        self.0.aborted.is_cancelled()
    }

    /// Returns when the grace is over.
    pub async fn aborted(&self) {
        self.0.aborted.cancelled().await;
    }

    /// Counts an inference request in, unless there are too many.
    pub fn enter(&self) -> Option<InFlight> {
        let max = self.0.settings.max_in_flight;
        let entered = self.0.in_flight.fetch_add(1, Ordering::Relaxed) < max;
        let guard = InFlight(Arc::clone(&self.0));
        self.0.metrics.in_flight.inc();
        entered.then_some(guard)
    }

    /// A reservation for the bytes of a body; nothing yet.
    pub fn reserve(&self) -> Reservation {
        Reservation {
            shared: Arc::clone(&self.0),
            bytes: 0,
        }
    }

    /// Counts a panic of the engine; the fifth within a minute takes the model out of service.
    pub fn engine_panicked(&self, now: Instant) {
        self.0.metrics.engine_panics.inc();
        let mut panics = self.lock_panics();
        panics.push_back(now);
        while panics
            .front()
            .is_some_and(|first| now.saturating_duration_since(*first) > PANIC_WINDOW)
        {
            panics.pop_front();
        }
        if panics.len() >= MAX_PANICS {
            drop(panics);
            tracing::error!("the engine panicked {MAX_PANICS} times within a minute: quarantined");
            self.set_slot(Slot::Quarantined);
            // A full channel already holds the signal.
            let _pending = self.0.reload.try_send(());
        }
    }

    fn show(&self) {
        let readiness = &self.0.readiness;
        // Held to the end, so that the last change is what probes see.
        let place = self.lock_place();
        if self.is_stopping() {
            readiness.not_ready("Draining", "the server is shutting down");
        } else {
            match place.serving.slot {
                Slot::Loading => readiness.not_ready("Loading", "the model is being loaded"),
                Slot::Ready(_) => readiness.ready(),
                Slot::Quarantined => readiness.not_ready(
                    "Quarantined",
                    "the engine panicked too often; the model is being loaded anew",
                ),
            }
        }
        self.0.metrics.ready.set(i64::from(readiness.is_ready()));
    }

    fn lock_panics(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.0.panics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_place(&self) -> MutexGuard<'_, Place> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
