//! `status`: what is, and why. Written by the operator alone, as one server-side apply.
//!
//! Fields marked R are memory: the operator reads them back (and each condition's
//! `lastTransitionTime`); nothing else of status is read back by it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;

/// What is, and why.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelDeploymentStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub observed_generation: Option<i64>,

    /// The model's address within the cluster. Append :predict for predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub url: Option<String>,

    /// The model's name in URLs: spec.servedName, else metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub served_name: Option<String>,

    /// How many pods there are, over all revisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub replicas: Option<i32>,

    /// How many of these pods are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub ready_replicas: Option<i32>,

    /// Ready pods and wanted pods, as in 2/3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub ready: Option<String>,

    /// The labels of the pods, for the scale subresource and for kubectl get pods -l.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub selector: Option<String>,

    /// The last revision that was rolled out completely. Absent before the first.
    // R
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<RevisionRef>,

    /// The revision that the spec asks for. Absent while the spec is not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<RevisionRef>,

    /// The revisions that exist, the newest first. At most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub revisions: Vec<RevisionStatus>,

    /// The share of the requests that each revision gets, in percent; 100 in all. Empty: none is to
    /// get any, or nothing was ready yet. The gateways obey it.
    // R
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["revision".into()]))]
    pub traffic: Vec<Weight>,

    /// Counted up with each change of traffic; the gateways say which one they obey.
    // R
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub traffic_version: Option<i64>,

    /// How many pods there shall be, and who says so.
    // R: desired, since
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,

    /// The rollout under way, or the last one if it failed.
    // R
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,

    /// The last failure of pods. Kept until the next one.
    // R
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailureStatus>,

    /// Ready, Accepted, Applied, RolledOut, Scaled, Routed, WithinObjectives, and while true Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A revision by its name and its number.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionRef {
    /// The revision: eight characters, a hash of everything that decides what its pods serve.
    #[schemars(length(max = 8), regex(pattern = "^[a-z2-7]{8}$"))]
    pub revision: String,

    /// Its number, counted up; callers see it as the model's version.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub number: i64,
}

/// The share of a revision in the requests.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Weight {
    /// Eight characters.
    #[schemars(length(max = 8), regex(pattern = "^[a-z2-7]{8}$"))]
    pub revision: String,

    /// In percent.
    #[schemars(range(min = 0, max = 100))]
    pub weight: i32,
}

/// How many pods there shall be, and who says so.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// Who says it: Automatic (the load), Fixed (spec.replicas) or Suspended.
    pub mode: ScalingMode,

    /// How many there are at least, where the load says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min: Option<i32>,

    /// How many there are at most, where the load says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max: Option<i32>,

    /// How many there shall be.
    #[schemars(range(min = 0, max = 1000))]
    pub desired: i32,

    /// What keeps them from being as many as the load calls for: Max, Quota or Unschedulable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<LimitedBy>,

    /// Since when it is this number.
    pub since: Time,
}

/// Who says how many pods there shall be.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::scalars::without_description)]
pub enum ScalingMode {
    /// The load, within `spec.scaling`.
    Automatic,
    /// `spec.replicas`.
    Fixed,
    /// Nobody: `spec.suspend`.
    Suspended,
}

/// What keeps pods from being as many as the load calls for.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::scalars::without_description)]
pub enum LimitedBy {
    /// `spec.scaling.max`.
    Max,
    /// A ResourceQuota.
    Quota,
    /// No node has room.
    Unschedulable,
}

/// One revision.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// The revision: eight characters. Its children are named NAME-REVISION.
    #[schemars(length(max = 8), regex(pattern = "^[a-z2-7]{8}$"))]
    pub name: String,

    /// Its number.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub number: i64,

    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,

    /// What it is for: Stable, Target, Draining (its pods end) or Retained (to return to).
    pub role: Role,

    /// Where its files come from, for people.
    #[schemars(length(max = 256))]
    pub model: String,

    /// The digest of its files, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub digest: Option<String>,

    /// How many pods it has.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub replicas: i32,

    /// How many of them are ready.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub ready_replicas: i32,

    /// Ready, Starting, AtZero, or what its pods fail from.
    #[schemars(length(max = 64))]
    pub reason: String,

    /// The same in words. At most 256 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub message: String,
}

/// What a revision is for.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The last one that was rolled out completely.
    Stable,
    /// The one that the spec asks for, while it is not the stable one.
    Target,
    /// It still has pods, but is neither.
    Draining,
    /// It has none, and is kept to return to.
    Retained,
}

/// A rollout under way, or one that failed.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The revision that is rolled out.
    #[schemars(length(max = 8), regex(pattern = "^[a-z2-7]{8}$"))]
    pub revision: String,

    /// When the rollout began.
    pub started_at: Time,

    /// Which attempt it is: counted up by each Retry.
    #[serde(default = "first")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt: i32,

    /// The step that it has come to, counted from 1. 0: its first pods come up.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub step: i32,

    /// Since when every gateway obeys the step's weight: what the step's duration counts from. Absent:
    /// not all do yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_started_at: Option<Time>,

    /// Since when a further ready pod is waited for: what progressDeadline counts from. Absent: the
    /// clock stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progressed_at: Option<Time>,

    /// The highest number of its pods that were ready at once so far.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub ready_pods: i32,

    /// The share of the requests that it is to have by now, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub weight: i32,

    /// The listed steps that have passed and are not judged again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(range(min = 1, max = 20)))]
    pub passed: Vec<i32>,

    /// When it was last judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Time>,

    /// What was said of it then, limit by limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub checks: Vec<CheckStatus>,

    /// Why the rollout failed. Absent: it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RolloutFailure>,
}

/// Why a rollout failed.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutFailure {
    /// The attempt that failed: what a Retry names.
    #[serde(default = "first")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt: i32,

    /// When it was noticed.
    pub time: Time,

    /// What failed.
    #[schemars(length(max = 64))]
    pub reason: String,

    /// The same in words, then what to do.
    #[schemars(length(max = 1024))]
    pub message: String,

    /// The pod that failed, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
}

/// Of a status from before attempts were counted.
fn first() -> i32 {
    1
}

/// What is said of a new revision with regard to one limit.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// The limit, as a path below spec.rollout.analysis.
    #[schemars(length(max = 32))]
    pub metric: String,

    /// Pass, Hold (too few requests) or Fail (beyond it; twice running fails the revision).
    pub verdict: CheckVerdict,

    /// How many requests on the new revision that is judged from.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub requests: i64,

    /// The new revision's figure. Absent: there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub new: String,

    /// The stable revision's figure. Absent: there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub stable: String,

    /// The limit's value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub limit: String,
}

/// What is said with regard to one limit.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::scalars::without_description)]
pub enum CheckVerdict {
    /// Within it.
    Pass,
    /// Within it, by too few requests.
    Hold,
    /// Beyond it.
    Fail,
}

/// A failure of pods.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureStatus {
    /// When it was noticed.
    pub time: Time,

    /// The revision whose pods failed.
    #[schemars(length(max = 8), regex(pattern = "^[a-z2-7]{8}$"))]
    pub revision: String,

    /// What failed.
    #[schemars(length(max = 64))]
    pub reason: String,

    /// The same in words, then what to do.
    #[schemars(length(max = 1024))]
    pub message: String,

    /// The pod that failed, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
}
