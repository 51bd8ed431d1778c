//! A gateway with a table made by hand, and what it wrote.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aimass_chassis::listener::{self, Limits, Settings as Listening};
use aimass_chassis::metrics::{Registry, encode};
use aimass_chassis::shutdown::Stop;
use aimass_gateway::app::{Parts, State, app};
use aimass_gateway::config::Settings;
use aimass_gateway::limit::Bounds;
use aimass_gateway::peer::Links;
use aimass_gateway::phase::record::{AccessLog, Writer};
use aimass_gateway::review::Reviewer;
use aimass_gateway::table::live::{EndpointLive, RevisionLive};
use aimass_gateway::table::{
    Access, Capacity, Deployment, Endpoint, EndpointState, Key, Picks, Plan, Retry, Revision,
    RevisionState, Table,
};
use prometheus_client::metrics::gauge::Gauge;
use rustls::ServerConfig;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::client::Client;

/// What must have happened by then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The id of the key that every table has.
pub(crate) const KEY_ID: &str = "abcDEF123456";

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Spawns what a test itself ends.
#[expect(
    clippy::disallowed_methods,
    reason = "tests end their tasks themselves"
)]
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(future)
}

/// The token of that key.
pub(crate) fn token() -> String {
    format!("aim_{KEY_ID}_{}", "s".repeat(43))
}

/// Model `iris` of project `shop`, whom everybody may call, with the pods at `addresses`.
pub(crate) fn model(addresses: &[SocketAddr]) -> Deployment {
    let live = Arc::<RevisionLive>::default();
    let endpoint = |address: &SocketAddr| {
        Arc::new(Endpoint {
            address: *address,
            state: EndpointState::Ready,
            found: AtomicBool::new(false),
            live: Arc::new(EndpointLive::of(&live)),
        })
    };
    Deployment {
        uid: "uid-iris".into(),
        namespace: "shop".into(),
        name: "iris".into(),
        served_name: "iris".into(),
        access: Access {
            public: true,
            allowed: Vec::new(),
        },
        request_timeout: Duration::from_secs(5),
        max_request_bytes: 1 << 20,
        retry: Retry::Unsent,
        capacity: Capacity {
            per_pod: 1000,
            waiting: 100,
            waiting_bytes: 64 << 20,
            wait: Duration::from_secs(5),
        },
        unready: None,
        stable: Some(7),
        target: Some(7),
        traffic_version: 0,
        picks: None,
        revisions: vec![Revision {
            name: "aaaaaaaa".into(),
            number: 7,
            weight: 0,
            state: RevisionState::Ready,
            endpoints: addresses.iter().map(endpoint).collect(),
            live: Arc::clone(&live),
        }],
        live: Arc::default(),
    }
}

/// A revision of a model: number, weight, what is said of it, and its pods. `live` is what is remembered of it, by one table after
/// the other.
pub(crate) fn revision(
    live: &Arc<RevisionLive>,
    (number, weight): (i64, u8),
    state: RevisionState,
    pods: &[(SocketAddr, EndpointState)],
) -> Revision {
    let endpoint = |(address, state): &(SocketAddr, EndpointState)| {
        Arc::new(Endpoint {
            address: *address,
            state: *state,
            found: AtomicBool::new(false),
            live: Arc::new(EndpointLive::of(live)),
        })
    };
    Revision {
        name: format!("revisio{number}").into(),
        number,
        weight,
        state,
        endpoints: pods.iter().map(endpoint).collect(),
        live: Arc::clone(live),
    }
}

/// Model `iris` with these revisions, the newest first, which have 100 as weights in all.
pub(crate) fn shared(revisions: Vec<Revision>) -> Deployment {
    let weights: Vec<u8> = revisions.iter().map(|revision| revision.weight).collect();
    let picks = Picks::lay_out(&weights);
    assert!(picks.is_some(), "{weights:?}");
    Deployment {
        picks,
        revisions,
        ..model(&[])
    }
}

/// A table of these models, with a key for those of `shop` and the plan that it names.
pub(crate) fn table(models: Vec<Deployment>, plan: Option<Plan>) -> Table {
    let mut table = Table {
        version: 1,
        ..Table::default()
    };
    for model in models {
        let namespace = table.models.entry(model.namespace.clone()).or_default();
        namespace.insert(model.served_name.clone(), Arc::new(model));
    }
    let key = Key {
        uid: "uid-key".into(),
        namespace: "shop".into(),
        name: "till".into(),
        sha256: Sha256::digest(token().as_bytes()).into(),
        models: vec!["iris".into()],
        plan: plan.as_ref().map(|_| "free".into()),
        not_after: None,
        disabled: false,
        allowed: Vec::new(),
        used: AtomicBool::new(false),
    };
    table.keys.insert(KEY_ID.into(), Arc::new(key));
    if let Some(plan) = plan {
        table.plans.insert("free".into(), Arc::new(plan));
    }
    table
}

/// A gateway in this process.
pub(crate) struct Gateway {
    pub(crate) state: State,
    pub(crate) address: SocketAddr,
    pub(crate) drain: Stop,
    pub(crate) stop: Stop,
    registry: Registry,
    lines: Arc<Mutex<String>>,
    writer: Writer,
    task: JoinHandle<()>,
}

/// What a gateway of these tests is, where nothing else is said.
pub(crate) struct Setup {
    pub(crate) table: Table,
    pub(crate) settings: Settings,
    pub(crate) bounds: Bounds,
    pub(crate) limits: Limits,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) reviewer: Option<Reviewer>,
    pub(crate) links: Links,
}

impl Setup {
    pub(crate) fn of(table: Table) -> Self {
        Self {
            table,
            settings: Settings {
                default_project: Some("shop".into()),
                access_log_sample: 1.0,
                ..Settings::default()
            },
            bounds: Bounds::default(),
            limits: Limits::default(),
            tls: None,
            reviewer: None,
            links: Links::none(),
        }
    }

    pub(crate) async fn start(self) -> Gateway {
        let Self {
            table,
            settings,
            bounds,
            limits,
            tls,
            reviewer,
            links,
        } = self;
        let lines = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&lines);
        let (access_log, writer) =
            AccessLog::to(move |text| sink.lock().unwrap().push_str(text)).unwrap();
        let mut registry = Registry::default();
        let parts = Parts {
            settings,
            bounds,
            reviewer,
            certificate: None,
            traces: None,
            access_log,
        };
        let state = State::with_links(parts, &mut registry, links);
        state.swap(table);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (drain, stop) = (Stop::new(), Stop::new());
        let listening = Listening {
            limits,
            drain: drain.clone(),
            stop: stop.clone(),
            grace: PATIENCE,
            open: Gauge::default(),
        };
        let app = app(state.clone());
        let task = match tls {
            Some(tls) => spawn(listener::serve_tls(listener, app, listening, tls)),
            None => spawn(listener::serve_with(listener, app, listening)),
        };
        Gateway {
            state,
            address,
            drain,
            stop,
            registry,
            lines,
            writer,
            task,
        }
    }
}

impl Gateway {
    /// With one model and these pods.
    pub(crate) async fn to(addresses: &[SocketAddr]) -> Self {
        Self::with(model(addresses)).await
    }

    /// With this model.
    pub(crate) async fn with(model: Deployment) -> Self {
        Setup::of(table(vec![model], None)).start().await
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// The page of the admin port.
    pub(crate) fn metrics(&self) -> String {
        encode(&self.registry)
    }

    /// The value of a series, by its beginning.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let page = self.metrics();
        let line = page.lines().find(|line| line.starts_with(series));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// The access log, once it has `count` lines.
    pub(crate) async fn lines(&self, count: usize) -> Vec<Value> {
        eventually(|| async {
            self.writer.flush(PATIENCE).await;
            let text = self.lines.lock().unwrap().clone();
            let json = |line| serde_json::from_str(line).unwrap();
            let lines: Vec<Value> = text.lines().map(json).collect();
            (lines.len() >= count).then_some(lines).ok_or(text)
        })
        .await
    }

    /// Waits for the end of the listener.
    pub(crate) async fn ended(self) {
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.expect("the listener ends in time").unwrap();
    }
}

/// Asks again until it is so; the last answer is in the panic.
pub(crate) async fn eventually<T, E, F>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Debug,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(value) => return value,
            Err(error) if tokio::time::Instant::now() > deadline => panic!("never: {error:?}"),
            Err(_) => tokio::time::sleep(ms(5)).await,
        }
    }
}

/// So many requests in flight on the pods of `model`.
pub(crate) fn in_flight(state: &State) -> u32 {
    let table = state.table();
    let deployments = table.models.values().flat_map(HashMap::values);
    let endpoints = deployments
        .flat_map(|deployment| &deployment.revisions)
        .flat_map(|revision| &revision.endpoints);
    let count = |endpoint: &Arc<Endpoint>| {
        let live = &endpoint.live;
        live.in_flight.load(std::sync::atomic::Ordering::Relaxed)
    };
    endpoints.map(count).sum()
}
