//! What every part of the operator shares: the client, the clock, the caches. Nothing is global.
//!
//! The only place that builds clients and streams. Tests build a [`Context`] over a client of
//! their own: the layers set here (deadline, fence, pulse) lie above whatever it does.

use std::borrow::Cow;
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::admin::{Admin, Heartbeat};
use aimass_chassis::clock;
use aimass_chassis::metrics::Registry;
use aimass_chassis::readiness::Readiness;
use aimass_plan::model::scale::Tick;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{Request, Response};
use jiff::Timestamp;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::client::{Body, ClientBuilder};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tower::{Layer, Service, service_fn};

use crate::backoff::Attempts;
use crate::config::{Config, Election};
use crate::deadline::{Deadline, Limits};
use crate::event::Published;
use crate::lease::Candidate;
use crate::lease::fence::{Boottime, Fence};
use crate::liveness::Pulse;
use crate::metrics::Metrics;
use crate::model::memory::Memory;
use crate::signals::{self, Desk, Endpoints, Used, Wakes};
use crate::watch::{Caches, Scope};

/// All events of one kind, for ever.
pub(crate) type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// Everything that one running operator holds.
pub struct Context {
    /// Every call has a deadline; changes need leadership.
    client: Client,
    /// For the Lease alone: a short deadline, no fence.
    leases: Client,
    registry: Arc<Registry>,
    readiness: Readiness,
    boottime: Boottime,
    pub(crate) config: Config,
    pub(crate) fence: Fence,
    pub(crate) pulse: Pulse,
    pub(crate) metrics: Metrics,
    pub(crate) caches: Caches,
    pub(crate) memory: Memory,
    pub(crate) published: Published,
    pub(crate) attempts: Attempts,
    /// What the gateways have told.
    pub(crate) signals: Desk,
    /// Models that are being woken.
    pub(crate) wakes: Wakes,
    /// Which gateways there are.
    pub(crate) endpoints: Endpoints,
    /// When keys were last used.
    pub(crate) used: Used,
    /// Name of this instance, never used twice.
    pub(crate) identity: String,
}

impl Context {
    /// An operator over `client`. Needs a tokio runtime; does no request.
    #[must_use]
    pub fn new(client: Client, mut config: Config) -> Self {
        let boottime: Boottime = Arc::new(clock::boottime);
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let signals = Desk::default();
        signals::figures::register(&mut registry, &signals, &boottime);
        let wakes = Wakes::new(&mut registry);
        let pulse = Pulse::new(Arc::clone(&boottime), metrics.clone());
        let fence = match config.election {
            Election::Off => Fence::open(Arc::clone(&boottime)),
            Election::Lease { .. } => Fence::closed(Arc::clone(&boottime)),
        };
        let namespace = client.default_namespace().to_owned();
        // The client is the pod's own: its namespace is ours.
        config.platform.operator_namespace = Some(namespace.clone());
        let scope = match config.watch_namespace {
            Some(_) => Scope::Namespace,
            None => Scope::Cluster,
        };
        let felt = pulse.layer(service(client));
        let leases = Client::new(
            Deadline(Limits::LEASE).layer(felt.clone()),
            namespace.clone(),
        );
        let fenced = fence.layer(felt);
        let client = Client::new(Deadline(Limits::CALLS).layer(fenced), namespace);
        Self {
            client,
            leases,
            registry: Arc::new(registry),
            readiness: Readiness::new("Starting", "the caches are being filled"),
            boottime,
            config,
            fence,
            pulse,
            metrics,
            caches: Caches::new(scope),
            memory: Memory::default(),
            published: Published::default(),
            attempts: Attempts::default(),
            signals,
            wakes,
            endpoints: Endpoints::default(),
            used: Used::default(),
            identity: identity(),
        }
    }

    /// The figures of this operator, for the admin port.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Whether the caches are filled and the API server answers, for the admin port.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// What the admin port of this operator serves: alive is whose watches and main loop are.
    #[must_use]
    pub fn admin(&self) -> Admin {
        let (pulse, heartbeat) = (self.pulse.clone(), Heartbeat::start());
        Admin {
            registry: self.registry(),
            readiness: self.readiness(),
            live: Arc::new(move || heartbeat.check().and_then(|()| pulse.verdict())),
            extra: signals::decisions::routes(self.signals.clone()),
        }
    }

    /// The time, to whole seconds as Kubernetes writes it.
    pub(crate) fn now(&self) -> Timestamp {
        clock::now()
    }

    /// Time since boot: never steps, goes on in suspend.
    pub(crate) fn boottime(&self) -> Duration {
        (self.boottime)()
    }

    /// The same for decisions that know milliseconds alone.
    pub(crate) fn tick(&self) -> Tick {
        tick(self.boottime())
    }

    /// Sends a request that is of no object, and returns the answer as it is.
    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> kube::Result<Response<Body>> {
        self.client.send(request.map(Body::from)).await
    }

    /// Access to the objects of one kind in `namespace`.
    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Access to the objects of one kind that is of no namespace.
    pub(crate) fn api_of_cluster<K>(&self) -> Api<K>
    where
        K: Resource<Scope = ClusterResourceScope>,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// The same for a kind that is known only at run time; an empty namespace: of none.
    pub(crate) fn api_with<K>(&self, namespace: &str, kind: &K::DynamicType) -> Api<K>
    where
        K: Resource<Scope = kube::core::DynamicResourceScope>,
    {
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), kind)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, kind)
        }
    }

    /// All events of one kind in what we watch, for ever; errors are followed by a pause.
    pub(crate) fn stream<K>(&self, config: watcher::Config) -> Events<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + 'static,
        K::DynamicType: Default,
    {
        let api: Api<K> = match &self.config.watch_namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        events(api, config)
    }

    /// The same for a namespace, whether it is among those that we watch or not.
    pub(crate) fn stream_in<K>(&self, namespace: &str, config: watcher::Config) -> Events<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + 'static,
        K::DynamicType: Default,
    {
        events(self.api(namespace), config)
    }

    /// The same for a kind that is of no namespace.
    pub(crate) fn stream_of_cluster<K>(&self) -> Events<K>
    where
        K: Resource<Scope = ClusterResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + 'static,
        K::DynamicType: Default,
    {
        events(self.api_of_cluster(), watcher::Config::default())
    }

    /// Asks the API server how it is; the answer goes to the pulse.
    pub(crate) async fn probe(&self) {
        let request = Request::get("/readyz")
            .body(Vec::new())
            .expect("a constant path is valid");
        if self.client.request_text(request).await.is_ok() {
            self.pulse.probed();
        }
    }

    /// Who stands for election; `None` without leader election.
    pub(crate) fn candidate(&self) -> Option<Candidate> {
        let Election::Lease { namespace } = &self.config.election else {
            return None;
        };
        let own = self.leases.default_namespace().to_owned();
        let namespace = namespace.as_ref().unwrap_or(&own);
        Some(Candidate {
            leases: Api::namespaced(self.leases.clone(), namespace),
            identity: self.identity.clone(),
            fence: self.fence.clone(),
            boottime: Arc::clone(&self.boottime),
            now: clock::now,
        })
    }
}

/// A time since boot as decisions take it.
pub(crate) fn tick(since_boot: Duration) -> Tick {
    Tick::from_millis(u64::try_from(since_boot.as_millis()).unwrap_or(u64::MAX))
}

fn events<K>(api: Api<K>, config: watcher::Config) -> Events<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    // 25 s: a stream that died without a word is noticed after 30.
    watcher(api, config.timeout(25)).default_backoff().boxed()
}

/// A client for `kubectl`'s or the pod's own cluster, without kube's own retries: a reconcile is
/// retried as a whole, from what is then the case.
///
/// # Errors
/// If neither a kubeconfig nor a service account is found, or one is unusable.
pub async fn client() -> anyhow::Result<Client> {
    let mut config = kube::Config::infer().await?;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(Duration::from_secs(15));
    // A read timeout would cut watches: the `Deadline` layer bounds the other calls.
    config.read_timeout = None;
    config.default_retry = false;
    Ok(ClientBuilder::try_from(config)?.build())
}

/// A client as a service, so that layers can be put over it.
fn service(
    client: Client,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = kube::Error, Future: Send + 'static>
+ Clone
+ Send
+ 'static {
    service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move { client.send(request).await }
    })
}

/// The pod's name and something that no other process, nor this one's successor, has.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let random = RandomState::new().hash_one(std::process::id());
    format!("{}_{random:016x}", host.trim())
}

/// `deployments.apps`, as RBAC and `kubectl` name a kind.
pub(crate) fn resource_of<K: Resource>(kind: &K::DynamicType) -> String {
    let group = K::group(kind);
    let plural = K::plural(kind);
    if group.is_empty() {
        plural.into_owned()
    } else {
        format!("{plural}.{group}")
    }
}

/// `Deployment`
pub(crate) fn kind_of<K: Resource<DynamicType = ()>>() -> Cow<'static, str> {
    K::kind(&()).into_owned().into()
}
