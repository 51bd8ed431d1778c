//! What is routed where: one immutable table, swapped whole, so that all that is decided of one request fits together.
//!
//! Plain values. [`build`] makes it of objects; `watch` swaps it; the phases read it. What changes with every request
//! (counts, ejections) hangs on [`live`], and is found again by the next table.

pub mod build;
pub mod live;
mod picks;
pub mod retired;
#[cfg(test)]
pub(crate) mod samples;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use live::{DeploymentLive, EndpointLive, RevisionLive};
pub use picks::{Picks, sticky};

/// Everything that the gateway knows of the cluster.
#[derive(Debug, Default)]
pub struct Table {
    /// Counted up with each table.
    pub version: u64,
    /// By namespace, then by served name. Where two objects want one name, the older one has it.
    pub models: HashMap<Arc<str>, HashMap<Arc<str>, Arc<Deployment>>>,
    /// By id. Where two objects claim one id, the older one has it.
    pub keys: HashMap<Arc<str>, Arc<Key>>,
    /// By name.
    pub plans: HashMap<Arc<str>, Arc<Plan>>,
    /// Objects that are left aside, or kept as they were, or lose a name to an older one.
    pub nacks: u32,
}

impl Table {
    /// The model with this name in addresses of this namespace.
    #[must_use]
    pub fn model(&self, namespace: &str, served_name: &str) -> Option<&Arc<Deployment>> {
        self.models.get(namespace)?.get(served_name)
    }
}

/// A ModelDeployment as callers meet it.
#[derive(Debug)]
pub struct Deployment {
    /// `metadata.uid`
    pub uid: Arc<str>,
    /// `metadata.namespace`
    pub namespace: Arc<str>,
    /// `metadata.name`
    pub name: Arc<str>,
    /// The name in addresses.
    pub served_name: Arc<str>,
    /// Who may call.
    pub access: Access,
    /// The time of a request in all (`spec.traffic.requestTimeout`).
    pub request_timeout: Duration,
    /// Bytes of a request's body (`spec.traffic.maxRequestBytes`).
    pub max_request_bytes: u64,
    /// What may be sent again (`spec.traffic.retry`).
    pub retry: Retry,
    /// How many requests its pods take, and how many wait.
    pub capacity: Capacity,
    /// Why nothing is to be expected, if so: `Suspended`, or a reason of `status`.
    pub unready: Option<Unready>,
    /// The number that `/labels/stable` means.
    pub stable: Option<i64>,
    /// The number that `/labels/canary` means: that of the revision that the spec asks for.
    pub target: Option<i64>,
    /// What changes of the weights are counted by (`status.trafficVersion`); 0 before the first.
    pub traffic_version: i64,
    /// Whose turn it is; none where nobody has said how to share: then all endpoints are equal.
    pub picks: Option<Picks>,
    /// Those with endpoints, and those that `status` names; newest first.
    pub revisions: Vec<Revision>,
    /// What changes with every request.
    pub live: Arc<DeploymentLive>,
}

impl Deployment {
    /// The revision of this name.
    #[must_use]
    pub fn revision(&self, name: &str) -> Option<&Revision> {
        let mut revisions = self.revisions.iter();
        revisions.find(|revision| *revision.name == *name)
    }
}

/// How many requests the pods of a model take, and how many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Requests that one pod is given at once, by all gateways together (`spec.traffic.maxConcurrency`); at least 1.
    pub per_pod: u32,
    /// Requests that wait for one revision at most (`spec.traffic.queue`).
    pub waiting: u32,
    /// Bytes of their bodies at most.
    pub waiting_bytes: u64,
    /// How long a request waits at most.
    pub wait: Duration,
}

/// Who may call a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Without credentials, too (`spec.access.mode: Public`).
    pub public: bool,
    /// Addresses that callers may have; empty = all.
    pub allowed: Vec<Network>,
}

/// A range of addresses, as in `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address of it.
    pub address: IpAddr,
    /// Bits that all of its addresses share: at most 32, or 128.
    pub prefix: u8,
}

/// What may be sent to a pod once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retry {
    /// Nothing.
    Never,
    /// What no pod has seen a byte of.
    #[default]
    Unsent,
    /// Also what a pod may have begun to compute.
    Idempotent,
}

/// Why a model does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unready {
    /// In the words of conditions: `Suspended`, `Starting`, `ModelLoadFailed` …
    pub reason: Arc<str>,
    /// Whether its owner wants it so: then nobody need wait.
    pub decided: bool,
}

/// One revision of a model.
#[derive(Debug)]
pub struct Revision {
    /// Eight characters.
    pub name: Arc<str>,
    /// The version that callers see.
    pub number: i64,
    /// Its share of the requests, in percent.
    pub weight: u8,
    /// How it is.
    pub state: RevisionState,
    /// Its pods.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// What changes with every request.
    pub live: Arc<RevisionLive>,
}

/// What `status` says of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevisionState {
    /// It has pods that are ready.
    Ready,
    /// Its pods are on their way.
    Starting,
    /// It has no pods because nobody called; they come when somebody does.
    AtZero,
    /// What its pods fail from, in the words of conditions.
    Failing(Arc<str>),
}

impl RevisionState {
    /// That of a revision with this reason.
    #[must_use]
    pub fn of(reason: &str) -> Self {
        match reason {
            "Ready" => Self::Ready,
            "Starting" => Self::Starting,
            "AtZero" => Self::AtZero,
            other => Self::Failing(other.into()),
        }
    }
}

/// One pod that serves.
#[derive(Debug)]
pub struct Endpoint {
    /// The pod's own; never a Service's.
    pub address: SocketAddr,
    /// What its EndpointSlice says.
    pub state: EndpointState,
    /// Whether it said itself that it is ready, since its EndpointSlice says what it says.
    pub found: AtomicBool,
    /// What changes with every request.
    pub live: Arc<EndpointLive>,
}

impl Endpoint {
    /// How it is: what its EndpointSlice says, or what it said itself after that.
    #[must_use]
    pub fn now(&self) -> EndpointState {
        match self.state {
            EndpointState::NotReady if self.found.load(Ordering::Relaxed) => EndpointState::Ready,
            told => told,
        }
    }

    /// It says that it is ready.
    pub fn says_ready(&self) {
        self.found.store(true, Ordering::Relaxed);
    }

    /// It failed, whatever it said.
    pub fn doubt(&self) {
        self.found.store(false, Ordering::Relaxed);
    }
}

/// The conditions of an endpoint, as far as they matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// Condition `ready`, or none.
    Ready,
    /// Not ready, but still answers (`serving`): a pod that drains.
    Serving,
    /// Neither.
    NotReady,
}

/// One credential of an APIKey.
#[derive(Debug)]
pub struct Key {
    /// `metadata.uid` of the APIKey: whose limits it uses.
    pub uid: Arc<str>,
    /// `metadata.namespace`: the only one whose models it may call.
    pub namespace: Arc<str>,
    /// `metadata.name`
    pub name: Arc<str>,
    /// SHA-256 of the whole token.
    pub sha256: [u8; 32],
    /// Names of ModelDeployments, or `*` alone.
    pub models: Vec<Arc<str>>,
    /// Its UsagePlan.
    pub plan: Option<Arc<str>>,
    /// From then on it is refused: the soonest of the credential's and the key's own end.
    pub not_after: Option<Timestamp>,
    /// `spec.disabled`
    pub disabled: bool,
    /// Addresses that its callers may have; empty = all.
    pub allowed: Vec<Network>,
    /// Whether somebody has shown it since `signals` last looked.
    pub used: AtomicBool,
}

/// How much a holder may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Limits per time; all hold.
    pub rates: Vec<Rate>,
    /// Requests in flight.
    pub concurrency: Option<u32>,
    /// Count, and let pass.
    pub shadow: bool,
}

/// So many requests per window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What the headers call it.
    pub name: Arc<str>,
    /// Requests per window, at least 1.
    pub requests: u64,
    /// The window.
    pub window: Duration,
    /// Requests at once after a pause, at least 1.
    pub burst: u64,
}

impl Network {
    /// Whether `address` is in it; an IPv4 address inside of IPv6 is one of IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(four) => (32_u32, u128::from(four.to_bits())),
            IpAddr::V6(six) => (128, six.to_bits()),
        };
        let ((width, own), (other_width, other)) = (bits(self.address), bits(address));
        let differing = width.saturating_sub(u32::from(self.prefix));
        width == other_width
            && (differing >= width || own.checked_shr(differing) == other.checked_shr(differing))
    }
}
