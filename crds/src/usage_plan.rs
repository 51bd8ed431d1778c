//! `UsagePlan`: how much a caller may do.
//!
//! Pure. Written by the platform's administrators, named by `APIKey`s; obeyed by the gateway, counted
//! by the operator. Holders of a plan have it each for itself: ten keys with one plan may do ten
//! times as much together.
#![expect(
    unreachable_pub,
    reason = "KubeSchema derives from a copy of each type, inside a function"
)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::scalars::{self, Duration};

/// How much a caller may do.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "aimass.dev",
    version = "v1alpha1",
    kind = "UsagePlan",
    plural = "usageplans",
    shortname = "aimu",
    category = "aimass",
    status = "UsagePlanStatus",
    derive = "PartialEq",
    doc = "How much a caller may do. Example: spec: {rates: [{name: per-minute, requests: 60, window: 1m}], concurrency: 4}; each APIKey with plan: NAME has these limits for itself.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the plan can be used"
    ),
    printcolumn(
        name = "Concurrency",
        type_ = "integer",
        json_path = ".spec.concurrency",
        description = "Requests in flight that each holder may have"
    ),
    printcolumn(
        name = "Mode",
        type_ = "string",
        json_path = ".spec.mode",
        description = "Whether requests beyond the limits are refused or only counted"
    ),
    printcolumn(
        name = "Keys",
        type_ = "integer",
        json_path = ".status.keys",
        description = "How many API keys name the plan"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')")
        .message("metadata.name must be a DNS label (a-z, 0-9, '-', at most 63): API keys name the plan by it")
)]
#[x_kube(validation = Rule::new("has(self.rates) || has(self.concurrency)")
    .message("at least one of rates, concurrency must be set"))]
pub struct UsagePlanSpec {
    /// Limits per time; a request must pass all of them. 1 to 8, each with a name of its own.
    /// Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub rates: Option<Vec<Rate>>,

    /// How many requests a holder may have in flight. 1 to 100000. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrency: Option<i32>,

    /// What happens beyond the limits: Enforce (requests are refused with status 429) or Shadow
    /// (they are counted and shown, never refused). Default: Enforce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// So many requests per time.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// What the limit is called in the RateLimit headers of answers. Required; at most 63 of a-z,
    /// 0-9 and '-'; inflight is taken, by the limit of concurrency.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self != 'inflight'")
        .message("inflight is what the RateLimit headers call the limit of concurrency: choose another name"))]
    pub name: String,

    /// How many requests there may be in each window. Required; 1 to 1000000000.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: i64,

    /// The length of the window. Required; a duration from 1s to 24h.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("must be between 1s and 24h"))]
    pub window: Duration,

    /// How many requests may come at once after a pause. 1 to 1000000. Default: a tenth of requests,
    /// at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<i64>,
}

impl Rate {
    /// How many requests may come at once: at least 1.
    #[must_use]
    pub fn effective_burst(&self) -> i64 {
        self.burst.unwrap_or(self.requests / 10).max(1)
    }
}

/// What happens beyond the limits.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = scalars::without_description)]
pub enum Mode {
    /// Requests are refused.
    #[default]
    Enforce,
    /// Requests are counted and shown, never refused.
    Shadow,
}

/// What is, and why. Nothing of it but `lastTransitionTime` is read back.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsagePlanStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub observed_generation: Option<i64>,

    /// How many API keys name the plan, in all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub keys: Option<i32>,

    /// Ready, Accepted, and while true Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(requests: i64, burst: Option<i64>, expect: i64) {
        let rate = Rate {
            name: "per-minute".to_owned(),
            requests,
            window: Duration("1m".to_owned()),
            burst,
        };
        assert_eq!(rate.effective_burst(), expect, "{requests}, {burst:?}");
    }

    #[test]
    fn a_burst_is_a_tenth_and_never_none() {
        check(60, None, 6);
        check(5, None, 1);
        check(60, Some(60), 60);
        check(60, Some(0), 1);
    }
}
