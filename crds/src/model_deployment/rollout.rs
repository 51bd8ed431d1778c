//! `spec.rollout`: how a new revision replaces the old one.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model_deployment::Analysis;
use crate::scalars::{self, CountOrPercent, Duration};

/// How a new revision replaces the old one.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.rollingUpdate) || !has(self.strategy) || self.strategy == 'RollingUpdate'")
    .message("rollingUpdate needs strategy: RollingUpdate"))]
#[x_kube(validation = Rule::new("!has(self.canary) || has(self.strategy) && self.strategy == 'Canary'")
    .message("canary needs strategy: Canary"))]
#[x_kube(validation = Rule::new("!has(self.blueGreen) || has(self.strategy) && self.strategy == 'BlueGreen'")
    .message("blueGreen needs strategy: BlueGreen"))]
#[x_kube(validation = Rule::new("!has(self.analysis) || has(self.strategy) && self.strategy in ['Canary', 'BlueGreen']")
    .message("analysis needs strategy: Canary or BlueGreen"))]
pub struct Rollout {
    /// The way: RollingUpdate (new pods replace old ones in portions, without a gap), Recreate (all
    /// old pods end before the first new one starts), Canary (the new ones get a growing share of the
    /// requests and are watched) or BlueGreen (all new pods stand ready, then all requests move at
    /// once). Default: RollingUpdate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,

    /// How long a rollout may wait for a further ready pod before it counts as failed. A duration from
    /// 30s to 24h; pauses, watched steps and approvals stop the clock. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('30s') && duration(self) <= duration('24h')")
        .message("must be between 30s and 24h"))]
    pub progress_deadline: Option<Duration>,

    /// Whether a failed rollout is taken back. false: it stops where it is, and RolledOut says why.
    /// Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_rollback: Option<bool>,

    /// Whether the rollout stands still. true: no further new pod, no further request to the new
    /// revision; scaling and a return to the old one go on. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,

    /// How many old revisions are kept at zero replicas, to return to. 0 to 6. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 6))]
    pub history: Option<i32>,

    /// The size of the portions, for strategy RollingUpdate. Default: maxSurge 25%, maxUnavailable 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,

    /// The steps, for strategy Canary. Default: 10 and 50 percent, each watched for 2m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,

    /// The switch, for strategy BlueGreen. Default: as soon as all pods are ready; the old ones stay
    /// for 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,

    /// What is asked of the new revision while it is watched, for strategies Canary and BlueGreen.
    /// Default: at most 1 point more of its requests fail than of the old one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,

    /// A word of a person on a rollout under way. It holds for the revision that it names and for no
    /// other, so that it may stay. Absent: the rollout goes by its own rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,

    /// A revision that is kept, to be served whatever the rest of spec says: eight characters, as in
    /// status.revisions. Absent: spec is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), regex(pattern = "^[a-z2-7]{8}$"))]
    pub pin: Option<String>,
}

/// The way in which a new revision replaces the old one.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = scalars::without_description)]
pub enum Strategy {
    /// New pods replace old ones in portions, without a gap.
    #[default]
    RollingUpdate,
    /// All old pods end before the first new one starts.
    Recreate,
    /// The new pods get a growing share of the requests and are watched.
    Canary,
    /// All new pods stand ready, then all requests move at once.
    BlueGreen,
}

/// The size of a rolling update's portions.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.maxSurge) || !(string(self.maxSurge) in ['0', '0%']) || has(self.maxUnavailable) && !(string(self.maxUnavailable) in ['0', '0%'])")
    .message("maxSurge: 0 needs maxUnavailable above 0"))]
pub struct RollingUpdate {
    /// How many pods there may be above the number wanted. 0 to 1000, or a percentage of the number
    /// wanted, rounded up. Default: 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalars::count_or_percent")]
    pub max_surge: Option<CountOrPercent>,

    /// How many pods may be missing from the number wanted. 0 to 1000, or a percentage of the number
    /// wanted, rounded down. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalars::count_or_percent")]
    pub max_unavailable: Option<CountOrPercent>,
}

/// The steps of strategy Canary.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The shares, one after the other; behind the last one the rest follows in portions of 25 percent.
    /// 1 to 20 steps with rising weights. Default: 10 and 50 percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight))")
        .message("weights must rise from step to step"))]
    pub steps: Option<Vec<CanaryStep>>,

    /// The share that is not exceeded: the rollout stops before it until the field is raised. 0 to 100
    /// percent. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_weight: Option<i32>,
}

/// One step of strategy Canary.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    /// The new revision's share in the requests. 1 to 99 percent. Required.
    #[schemars(range(min = 1, max = 99))]
    pub weight: i32,

    /// How long it is watched at least. A duration from 0s to 168h. Default: 2m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('168h')")
        .message("must be between 0s and 168h"))]
    pub duration: Option<Duration>,

    /// Whether a person must say Continue, in decision, before the next step. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<bool>,
}

/// The switch of strategy BlueGreen.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreen {
    /// How long all new pods stand ready before the switch. A duration from 0s to 168h. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('168h')")
        .message("must be between 0s and 168h"))]
    pub soak: Option<Duration>,

    /// Whether a person must say Continue, in decision with step 1, before the switch. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<bool>,

    /// How long the old pods stay after the switch: until then one change leads back. A duration from
    /// 0s to 168h. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('168h')")
        .message("must be between 0s and 168h"))]
    pub keep_old: Option<Duration>,
}

/// A word of a person on a rollout under way.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.action != 'Continue' || has(self.step)")
    .message("action: Continue needs step"))]
#[x_kube(validation = Rule::new("self.action != 'Retry' || has(self.attempt)")
    .message("action: Retry needs attempt"))]
pub struct Decision {
    /// The revision that it holds for, as in status.target. Required.
    #[schemars(length(max = 8), regex(pattern = "^[a-z2-7]{8}$"))]
    pub revision: String,

    /// Continue (past the approval of a step), Promote (no step waits any more), Abort (back to the
    /// old revision) or Retry (once more after a failure). Required.
    pub action: Action,

    /// The step whose approval Continue gives. 1 to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub step: Option<i32>,

    /// The attempt that failed, as in status.rollout.failure: Retry holds for that one alone. 1 to
    /// 1000000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt: Option<i32>,
}

/// What a person says.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = scalars::without_description)]
pub enum Action {
    /// Past the approval of a step.
    Continue,
    /// No step waits any more.
    Promote,
    /// Back to the old revision.
    Abort,
    /// Once more after a failure.
    Retry,
}
