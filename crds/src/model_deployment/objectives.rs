//! `spec.objectives`: what a model that serves shall keep to. Nothing is done about it but to say so.
//!
//! Judged by `aimass_plan::model::objectives` from what the gateways counted.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::scalars::{Duration, Percent};

/// What a model that serves shall keep to.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.errorRate) || has(self.latencyP95) || has(self.latencyP99)")
    .message("at least one of errorRate, latencyP95, latencyP99 must be set"))]
pub struct Objectives {
    /// The time that 95 of 100 answers shall not exceed, rounded up by up to 19 %. A duration from 1ms
    /// to 10m; above 74s nothing exceeds it. Absent: it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1ms') && duration(self) <= duration('10m')")
        .message("must be between 1ms and 10m"))]
    pub latency_p95: Option<Duration>,

    /// The time that 99 of 100 answers shall not exceed, rounded up by up to 19 %. A duration from 1ms
    /// to 10m; above 74s nothing exceeds it. Absent: it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1ms') && duration(self) <= duration('10m')")
        .message("must be between 1ms and 10m"))]
    pub latency_p99: Option<Duration>,

    /// The share of the requests that may fail, as in 1%. From 0% to 100%. Absent: it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<Percent>,

    /// Over how long requests are counted. A duration from 1m to 1h. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('1h')")
        .message("must be between 1m and 1h"))]
    pub window: Option<Duration>,
}
