//! What comes out of a plan: objects with how they are written, what is deleted, and what became
//! of it.
//!
//! Pure. Made by [`super::plan`]; `aimass_operator::apply` does what it says.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;

use aimass_crds::reason::Reason;

use super::observed::{Children, Pod};
use super::outlook::Outlook;

/// What is to be done: in order, with nothing left to choose.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// All objects that should exist, in the order in which they are written.
    pub objects: Vec<Desired>,
    /// Children that should no longer exist; deleted last, with preconditions.
    pub prune: Vec<Prune>,
    /// What `status` must know of the decisions (rollout, revisions, what is waited for).
    pub outlook: Outlook,
}

/// One object with how it has to be written.
#[derive(Clone, Debug, Serialize)]
pub struct Desired {
    /// The object, whole, as we want it.
    pub object: Object,
    /// What has to be done for it.
    #[serde(skip)]
    pub write: Write,
}

/// A child of any kind.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Object {
    /// `<name>-<revision>`
    ConfigMap(Box<ConfigMap>),
    /// `<name>-<revision>`
    ControllerRevision(Box<ControllerRevision>),
    /// `<name>-<revision>` (headless), `<name>` (the address)
    Service(Box<Service>),
    /// `<name>-<revision>`
    Deployment(Box<Deployment>),
    /// `<name>`
    PodDisruptionBudget(Box<PodDisruptionBudget>),
    /// `<name>`
    NetworkPolicy(Box<NetworkPolicy>),
}

/// How a desired object gets into the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// It is there as we want it: no request.
    Keep,
    /// It is not among our children: server-side apply that only creates. An object of that name
    /// that is there all the same is read live; it is a stranger's unless its controller is ours.
    Create,
    /// It differs: server-side apply onto exactly this object.
    Update {
        /// Of the child that was observed; never another one of the same name.
        uid: String,
        /// Set where the write lowers `replicas`: it must be judged on the latest state.
        resource_version: Option<String>,
    },
}

/// A child to be deleted, and exactly which one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prune {
    /// Kind: `Deployment`, `Service`, `ConfigMap` …
    pub kind: ChildKind,
    /// Name.
    pub name: String,
    /// Precondition.
    pub uid: String,
    /// Precondition.
    pub resource_version: String,
}

/// The kinds of children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub enum ChildKind {
    ConfigMap,
    ControllerRevision,
    Service,
    Deployment,
    PodDisruptionBudget,
    NetworkPolicy,
}

/// What `apply` brought about: the plan's outlook and the children as the API server returned them
/// (the observed ones where nothing was written, without the pruned).
#[derive(Clone, Debug)]
pub struct Applied {
    /// From the plan.
    pub outlook: Outlook,
    /// The state of the children after the writes.
    pub children: Children,
    /// From the observation.
    pub pods: Vec<Pod>,
}

/// Why a reconcile did not end in `Applied`; a client's error as plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Nothing but a change of the object, or of a reference, can help: no retry by time.
    pub terminal: bool,
    /// Reason of the condition that it concerns.
    pub reason: Reason,
    /// What is, then what to do; at most 1 KiB.
    pub message: String,
}
