//! `spec.rollout.analysis`: what is asked of a new revision while it is watched.
//!
//! Judged by `aimass_plan::model::analysis` from what the gateways counted.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalars::{self, Duration, Increase, Percent};

/// What is asked of a new revision while it is watched.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.errorRate) || has(self.latencyP95) || has(self.latencyP99)")
    .message("at least one of errorRate, latencyP95, latencyP99 must be set"))]
#[x_kube(validation = Rule::new("!has(self.onMaxHold) || has(self.maxHold)")
    .message("onMaxHold needs maxHold"))]
pub struct Analysis {
    /// How often it is judged; what is amiss twice running fails the revision. A duration from 5s to
    /// 1h. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('1h')")
        .message("must be between 5s and 1h"))]
    pub interval: Option<Duration>,

    /// Requests that the new revision must have had in a step before it passes. 1 to 1000000.
    /// Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_requests: Option<i32>,

    /// How long a step may wait for enough requests once its duration is over. A duration from 1m to
    /// 720h. Absent: until they come, or a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('720h')")
        .message("must be between 1m and 720h"))]
    pub max_hold: Option<Duration>,

    /// What happens after maxHold: Rollback (back to the old revision) or Promote (the step passes).
    /// Needs maxHold. Default: Rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_max_hold: Option<OnMaxHold>,

    /// The share of the requests that fail. Absent: it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<ErrorRate>,

    /// The time that 95 of 100 answers do not exceed. Absent: it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p95: Option<Latency>,

    /// The time that 99 of 100 answers do not exceed. Absent: it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p99: Option<Latency>,
}

/// What happens after maxHold.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = scalars::without_description)]
pub enum OnMaxHold {
    /// Back to the old revision.
    #[default]
    Rollback,
    /// The step passes.
    Promote,
}

/// Limits of the share of the requests that fail.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.max) || has(self.maxIncrease)")
    .message("at least one of max, maxIncrease must be set"))]
pub struct ErrorRate {
    /// The share itself, as in 1%. From 0% to 100%. Absent: no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Percent>,

    /// How many points it may be above the old revision's, as in 0.5%. From 0% to 100%. Absent: no
    /// such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_increase: Option<Percent>,
}

/// Limits of a time that most answers do not exceed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.max) || has(self.maxIncrease)")
    .message("at least one of max, maxIncrease must be set"))]
pub struct Latency {
    /// The time itself. A duration from 1ms to 1h. Absent: no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1ms') && duration(self) <= duration('1h')")
        .message("must be between 1ms and 1h"))]
    pub max: Option<Duration>,

    /// How much longer it may be than the old revision's, as in 20%. From 0% to 9999%. Absent: no such
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_increase: Option<Increase>,
}
