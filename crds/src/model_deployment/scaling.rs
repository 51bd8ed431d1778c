//! `spec.scaling`: how many pods the load may call for.
//!
//! Obeyed by the operator. The defaults stand here, because the gateway (how many requests a pod gets
//! at once) and `aimass-plan` both apply them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::model_deployment::Traffic;
use crate::scalars::Duration;

/// `spec.scaling.target.inFlight` where neither it nor `spec.traffic.maxConcurrency` is given.
pub const IN_FLIGHT: i32 = 8;

/// How many pods the load may call for.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max")
    .message("min must be at most max"))]
#[x_kube(validation = Rule::new("!has(self.idleTimeout) || has(self.min) && self.min == 0")
    .message("idleTimeout needs min: 0"))]
pub struct Scaling {
    /// How many pods there are at least. 0 to 1000; 0: none while nobody calls, and the first request
    /// waits for a pod. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub min: Option<i32>,

    /// How many pods there are at most, but for those of a rollout. 1 to 1000. Default: 10, or min if
    /// that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max: Option<i32>,

    /// How much a pod shall have to do. The signal that calls for most pods decides. Default:
    /// inFlight alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,

    /// Over how long the load is averaged; a rise is seen within a twentieth of it. A duration from
    /// 6s to 1h. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('6s') && duration(self) <= duration('1h')")
        .message("must be between 6s and 1h"))]
    pub window: Option<Duration>,

    /// For how long fewer pods must be enough before there are fewer. A duration from 0s to 1h.
    /// Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('1h')")
        .message("must be between 0s and 1h"))]
    pub scale_down_delay: Option<Duration>,

    /// How long nobody must have called before the last pod goes; needs min: 0. A duration from 10s to
    /// 24h. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')")
        .message("must be between 10s and 24h"))]
    pub idle_timeout: Option<Duration>,
}

/// How much a pod shall have to do.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Requests that a pod computes or holds, as a mean. 1 to 10000. Default: 8, or 0.7 times
    /// traffic.maxConcurrency where that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub in_flight: Option<i32>,

    /// Requests per second and pod. 1 to 100000. Absent: their number does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub rate: Option<i32>,

    /// The time that 95 of 100 answers shall not exceed; beyond it pods are added, at most twice as
    /// many at a time. A duration from 1ms to 10m. Absent: it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1ms') && duration(self) <= duration('10m')")
        .message("must be between 1ms and 10m"))]
    pub latency: Option<Duration>,
}

/// Requests that a pod shall have, and those that it may have at once: `target.inFlight` and
/// `traffic.maxConcurrency`, each by itself or from the other one.
#[must_use]
pub fn concurrency(scaling: Option<&Scaling>, traffic: Option<&Traffic>) -> (i32, i32) {
    let target = scaling.and_then(|scaling| scaling.target.as_ref()?.in_flight);
    let most = traffic.and_then(|traffic| traffic.max_concurrency);
    let target = target.or_else(|| Some((most?.saturating_mul(7) / 10).max(1)));
    let target = target.unwrap_or(IN_FLIGHT).max(1);
    (target, most.unwrap_or(target.saturating_mul(2)).max(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(in_flight: Option<i32>, max_concurrency: Option<i32>, expect: (i32, i32)) {
        let target = Some(Target {
            in_flight,
            ..Target::default()
        });
        let scaling = Scaling {
            target,
            ..Scaling::default()
        };
        let traffic = Traffic {
            max_concurrency,
            ..Traffic::default()
        };
        assert_eq!(concurrency(Some(&scaling), Some(&traffic)), expect);
    }

    #[test]
    fn target_and_bound_follow_from_each_other() {
        check(None, None, (8, 16));
        check(Some(4), None, (4, 8));
        check(None, Some(16), (11, 16));
        check(None, Some(1), (1, 1));
        check(Some(1), Some(1), (1, 1));
        check(Some(5), Some(7), (5, 7));
        assert_eq!(concurrency(None, None), (8, 16));
    }
}
