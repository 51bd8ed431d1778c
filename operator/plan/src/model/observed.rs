//! The facts that go into a plan: what `observe` saw, without judgement.
//!
//! Pure. Filled by `aimass_operator::model::observe`; read by everything under `model`.

use std::collections::BTreeMap;

use aimass_crds::model_deployment::LimitedBy;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::analysis::Counts;
use super::objectives::Judged;
use super::quota::Quota;

/// Everything that `observe` saw of one ModelDeployment: facts, no judgement.
#[derive(Clone, Debug)]
pub struct Observed {
    /// When the observation was made: the only time that a plan knows.
    pub now: Timestamp,
    /// What the installation says, the same for every object.
    pub platform: Platform,
    /// What `spec.model.source` refers to in the namespace.
    pub reference: Reference,
    /// The children that the object owns (controller owner reference with its uid), by name.
    pub children: Children,
    /// The pods of all revisions, in order of their names.
    pub pods: Vec<Pod>,
    /// What the gateways tell.
    pub signals: Signals,
    /// The quotas of its namespace, as far as they are known.
    pub quotas: Vec<Quota>,
}

/// What the gateways tell of one ModelDeployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Whether there are gateways at all. Without: nobody obeys weights, nobody counts requests, and
    /// the number of pods is `spec.replicas`, else `spec.scaling.min` (at least 1).
    pub expected: bool,
    /// The gateways that are there (their endpoints are listed and serve), by the uid of their pods.
    pub gateways: BTreeMap<String, Gateway>,
    /// How many pods the load calls for; `None`: nobody knows yet, and the number stays.
    pub recommended: Option<Recommended>,
    /// Answers by revision over all gateways, since all of them obey the present `trafficVersion`.
    pub counts: BTreeMap<String, Counts>,
    /// Whether the model keeps to its objectives; `None`: it has none, or no whole window was seen yet.
    pub judged: Option<Judged>,
}

/// One gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// It has said nothing for more than 3 s, or never yet.
    pub silent: bool,
    /// The `trafficVersion` that it obeys; `None`: it has not said so, or does not know the model.
    pub traffic_version: Option<i64>,
    /// Requests that wait for a revision or are on its pods, as of its last report after it took over
    /// `traffic_version`.
    pub assigned: BTreeMap<String, u32>,
}

/// How many pods the load calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recommended {
    /// Within `spec.scaling` and quota.
    pub desired: i32,
    /// What keeps it from being more.
    pub limited_by: Option<LimitedBy>,
    /// The decision in words: what was seen, what it calls for.
    pub message: String,
    /// Which quota has no room for more, and what to do.
    pub held: Option<String>,
    /// Somebody waits although there is no pod.
    pub waking: bool,
}

/// What the installation configures, from the operator's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Image of the model server, with tag or digest. Part of each new revision's hash.
    pub server_image: String,
    /// The same with onnxruntime in it, for models that ask for that; `None` if there is none.
    pub onnxruntime_image: Option<String>,
    /// Whether `http://` sources are allowed besides `https://`.
    pub allow_http: bool,
    /// Hosts that `fetch` may reach although their addresses are private (`--allow-host`).
    pub allow_hosts: Vec<String>,
    /// Where model servers send traces, if anywhere. Taken over by revisions that begin after it was set.
    pub traces: Option<Traces>,
    /// How callers reach models from outside of the cluster (`--gateway-url`), without a slash at its
    /// end; `None`: not.
    pub gateway_url: Option<String>,
    /// Namespace of the gateways (`--gateway-namespace`): nobody else may reach pods. `None`: anybody.
    pub gateway_namespace: Option<String>,
    /// The operator's own namespace; `None` offline, where there is none.
    pub operator_namespace: Option<String>,
}

/// Where model servers send traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// `http://collector:4318/v1/traces`
    pub endpoint: String,
    /// Share of the requests that are traced where callers do not say, from 0 to 1.
    pub ratio: String,
}

/// What the source of a model refers to, as seen in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The source needs nothing of the cluster (http).
    NotNeeded,
    /// A ConfigMap with its files (`data` and `binaryData` joined; at most 1 MiB).
    ConfigMap(BTreeMap<String, ByteString>),
    /// A PersistentVolumeClaim that exists.
    Claim,
    /// The ConfigMap or claim does not exist.
    Absent,
    /// We may not read it: what the API server said.
    Forbidden(String),
}

/// The children of one ModelDeployment, as the API server has them, by name.
#[derive(Clone, Debug, Default)]
pub struct Children {
    /// The memory of revisions.
    pub controller_revisions: BTreeMap<String, ControllerRevision>,
    /// One per revision.
    pub deployments: BTreeMap<String, Deployment>,
    /// One headless per revision, one plain per object.
    pub services: BTreeMap<String, Service>,
    /// Copies of the model's files, one per revision; immutable, so that metadata is enough.
    pub config_maps: BTreeMap<String, ObjectMeta>,
    /// At most one.
    pub disruption_budgets: BTreeMap<String, PodDisruptionBudget>,
    /// At most one.
    pub network_policies: BTreeMap<String, NetworkPolicy>,
}

/// What is known of one pod: a projection, so that whole pods need not stay in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.name`.
    pub name: String,
    /// Label `aimass.dev/revision`.
    pub revision: String,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Condition `Ready` is True.
    pub ready: bool,
    /// `status.phase`.
    pub phase: String,
    /// `status.reason` and `status.message` (Evicted …).
    pub reason: Option<(String, String)>,
    /// Condition `PodScheduled` is False: its message.
    pub unschedulable: Option<String>,
    /// Its containers, init containers first.
    pub containers: Vec<Container>,
    /// Messages of `FailedMount` and `FailedAttachVolume` Events; read only for a pod that has
    /// waited for its volumes for more than 30 s.
    pub volume_failures: Vec<String>,
}

/// What is known of one container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// `server` or `fetch`.
    pub name: String,
    /// The image of the spec.
    pub image: String,
    /// How often it was restarted.
    pub restarts: i32,
    /// Whether it runs now.
    pub running: bool,
    /// Whether its startup probe succeeded since it was last started (`started`).
    pub started: bool,
    /// `state.waiting`: reason and message.
    pub waiting: Option<(String, String)>,
    /// `state.terminated`, else `lastState.terminated`.
    pub terminated: Option<Terminated>,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminated {
    /// `OOMKilled`, `Error`, `Completed` …
    pub reason: String,
    /// Exit code.
    pub exit_code: i32,
    /// The termination message (at most 4 KiB), as the container wrote it.
    pub message: String,
}
