//! `spec.rollout`: how a new revision replaces the old one.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalars::{self, CountOrPercent, Duration};

/// How a new revision replaces the old one.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.rollingUpdate) || !has(self.strategy) || self.strategy == 'RollingUpdate'")
    .message("rollingUpdate needs strategy: RollingUpdate"))]
pub struct Rollout {
    /// The way: RollingUpdate (new pods replace old ones in portions, without a gap) or Recreate
    /// (all old pods end before the first new one starts). Default: RollingUpdate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,

    /// How long a rollout may go without a further ready pod before it counts as failed. A duration
    /// from 30s to 24h; a pause stops the clock. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('30s') && duration(self) <= duration('24h')")
        .message("must be between 30s and 24h"))]
    pub progress_deadline: Option<Duration>,

    /// Whether a failed rollout is taken back. false: it stops where it is, and RolledOut says why.
    /// Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_rollback: Option<bool>,

    /// Whether the rollout stands still. true: no further new pod; scaling and a return to the old
    /// revision go on. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,

    /// How many old revisions are kept at zero replicas, to return to. 0 to 6. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 6))]
    pub history: Option<i32>,

    /// The size of the portions, for strategy RollingUpdate. Default: maxSurge 25%, maxUnavailable 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,
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
