//! What all requests share, and the API of the data ports.
//!
//! Made by `run`, and by tests with a table of their own. What changes is behind its own lock or atomic: the table is swapped
//! whole, so a request that took one keeps to it.

mod chance;
mod redirect;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aimass_chassis::metrics::Registry;
use aimass_chassis::shutdown::Stop;
use aimass_chassis::tasks::Tasks;
use aimass_chassis::traces::Traces;
use aimass_chassis::ws::Endpoint;
use arc_swap::ArcSwap;
use axum::Router;
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::chance::random;
pub use self::redirect::redirect;
use crate::config::Settings;
use crate::limit::{Bounds, Limits, Strangers};
use crate::metrics::{Metrics, Watched};
use crate::peer::Links;
use crate::phase::choose::Draw;
use crate::phase::forward::Pods;
use crate::phase::record::AccessLog;
use crate::phase::route::Addresses;
use crate::phase::wait::Prober;
use crate::phase::{self, websocket};
use crate::review::{Reviewer, Reviews};
use crate::signals::Signals;
use crate::table::Table;
use crate::table::retired::{Obeyed, Retired};
use crate::tls::Certificate;

/// What all requests share; clones share it.
#[derive(Clone)]
pub struct State(Arc<Shared>);

struct Shared {
    settings: Settings,
    addresses: Addresses,
    table: Arc<ArcSwap<Table>>,
    retired: Mutex<Retired>,
    signals: Signals,
    limits: Limits,
    links: Links,
    strangers: Strangers,
    reviews: Option<Reviews>,
    pods: Pods,
    prober: Prober,
    /// Counted up with each table that is swapped in.
    tables: watch::Sender<u64>,
    /// Those that call whoever waits.
    tasks: Tasks,
    websockets: Endpoint,
    metrics: Metrics,
    traces: Option<Traces>,
    access_log: AccessLog,
    /// Where this gateway's turns begin: not where those of the others do.
    offset: u64,
    aborted: Stop,
}

/// What a [`State`] is made of.
pub struct Parts {
    /// How requests are answered.
    pub settings: Settings,
    /// What an address may do before it is known who calls.
    pub bounds: Bounds,
    /// Who asks the API server about tokens; without it no token is accepted.
    pub reviewer: Option<Reviewer>,
    /// The certificate of HTTPS, for its metric.
    pub certificate: Option<Arc<Certificate>>,
    /// Where traces are sent.
    pub traces: Option<Traces>,
    /// Where lines about requests are written.
    pub access_log: AccessLog,
}

impl State {
    /// With an empty table, and its metrics registered in `registry`. It counts limits for itself.
    #[must_use]
    pub fn new(parts: Parts, registry: &mut Registry) -> Self {
        Self::with_links(parts, registry, Links::none())
    }

    /// The same for one of several gateways, which `links` lead to.
    #[must_use]
    pub fn with_links(parts: Parts, registry: &mut Registry, links: Links) -> Self {
        let Parts {
            settings,
            bounds,
            reviewer,
            certificate,
            traces,
            access_log,
        } = parts;
        let table = Arc::new(ArcSwap::default());
        let limits = Limits::default();
        let watched = Watched::new(Arc::clone(&table), limits.clone(), certificate);
        let addresses = Addresses {
            domain: settings.domain.clone(),
            default_project: settings.default_project.clone(),
        };
        let metrics = Metrics::register(registry, Arc::new(watched), links.times().clone());
        let reviews = |reviewer| Reviews::new(reviewer, metrics.review_times());
        let reviews = reviewer.map(reviews);
        Self(Arc::new(Shared {
            settings,
            addresses,
            table,
            retired: Mutex::default(),
            signals: Signals::new(metrics.signals_readers.clone()),
            limits,
            links,
            strangers: Strangers::new(bounds),
            reviews,
            pods: Pods::new(),
            prober: Prober::new(),
            tables: watch::Sender::new(0),
            tasks: Tasks::new(),
            websockets: websocket::endpoint(metrics.websockets.clone()),
            metrics,
            traces,
            access_log,
            offset: random(),
            aborted: Stop::new(),
        }))
    }

    /// How requests are answered.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What addresses mean.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.0.addresses
    }

    /// The table now.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        self.0.table.load_full()
    }

    /// Requests that come from now on are answered by `table`.
    pub fn swap(&self, table: Table) {
        let table = Arc::new(table);
        let mut retired = self.retired();
        let old = self.0.table.swap(Arc::clone(&table));
        retired.replace(&old, &table);
        drop(retired);
        self.0
            .tables
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Changes with every table that is swapped in.
    #[must_use]
    pub fn tables(&self) -> watch::Receiver<u64> {
        self.0.tables.subscribe()
    }

    /// The table now, and how much of it all requests obey. Whoever reads counters afterwards finds all there that older tables
    /// have decided.
    #[must_use]
    pub fn obeyed(&self) -> (Arc<Table>, Obeyed) {
        let mut retired = self.retired();
        (self.table(), retired.obeyed())
    }

    /// How many changes of traffic all requests have come to obey.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.retired().settled()
    }

    fn retired(&self) -> MutexGuard<'_, Retired> {
        // Each step leaves it whole.
        let retired = self.0.retired.lock();
        retired.unwrap_or_else(PoisonError::into_inner)
    }

    /// What the operator is told.
    #[must_use]
    pub fn signals(&self) -> &Signals {
        &self.0.signals
    }

    /// What chance and the clock say, for one choice.
    #[must_use]
    pub fn draw(&self) -> Draw {
        Draw {
            random: random(),
            offset: self.0.offset,
            gateways: self.gateways(),
            now: Instant::now().into_std(),
        }
    }

    /// Gateways that requests come through, this one included.
    #[must_use]
    pub fn gateways(&self) -> u32 {
        u32::try_from(self.0.limits.gateways())
            .unwrap_or(u32::MAX)
            .max(1)
    }

    /// What callers have used of their limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The other gateways.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.0.links
    }

    /// What addresses have done, whoever called.
    #[must_use]
    pub fn strangers(&self) -> &Strangers {
        &self.0.strangers
    }

    /// What is known of callers with tokens; none: tokens are not accepted.
    #[must_use]
    pub fn reviews(&self) -> Option<&Reviews> {
        self.0.reviews.as_ref()
    }

    /// Tasks that end by themselves, when those are gone that they are for.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// Who asks pods whether they are ready.
    pub(crate) fn prober(&self) -> &Prober {
        &self.0.prober
    }

    /// The connections to pods.
    #[must_use]
    pub fn pods(&self) -> &Pods {
        &self.0.pods
    }

    /// Where WebSockets begin.
    pub(crate) fn websockets(&self) -> &Endpoint {
        &self.0.websockets
    }

    /// Ends all requests that are under way: the process ends.
    pub fn abort(&self) {
        self.0.aborted.cancel();
    }

    /// Cancelled by [`State::abort`].
    #[must_use]
    pub fn aborted(&self) -> &Stop {
        &self.0.aborted
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Where traces are sent, if anywhere.
    #[must_use]
    pub fn traces(&self) -> Option<&Traces> {
        self.0.traces.as_ref()
    }

    /// Where lines about requests are written.
    #[must_use]
    pub fn access_log(&self) -> &AccessLog {
        &self.0.access_log
    }
}

/// The API of the data ports.
pub fn app(state: State) -> Router {
    Router::new().fallback(phase::answer).with_state(state)
}
