//! `spec.traffic`: how requests are carried to the model.
//!
//! Obeyed by the gateway; a `requestTimeout` above 60 s also decides how long pods may take to end.
//! The defaults stand here, because the gateway and `aimass-plan` both apply them.

use std::time::Duration as StdDuration;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalars::{self, Duration, Quantity};

/// `spec.traffic.requestTimeout` where it is absent.
pub const REQUEST_TIMEOUT: StdDuration = StdDuration::from_secs(60);
/// `spec.traffic.maxRequestBytes` where it is absent: 16Mi.
pub const MAX_REQUEST_BYTES: u64 = 16 << 20;
/// `spec.traffic.queue.maxRequests` where it is absent.
pub const QUEUE_REQUESTS: i32 = 100;
/// `spec.traffic.queue.maxBytes` where it is absent: 64Mi.
pub const QUEUE_BYTES: u64 = 64 << 20;
/// `spec.traffic.queue.timeout` where it is absent.
pub const QUEUE_TIMEOUT: StdDuration = StdDuration::from_secs(30);

/// How requests are carried to the model.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.queue) && has(self.queue.timeout) && has(self.requestTimeout)) || duration(self.queue.timeout) <= duration(self.requestTimeout)")
    .message("queue.timeout must be at most requestTimeout"))]
pub struct Traffic {
    /// How many requests a pod is given at once; further ones wait. 1 to 10000. Default: twice
    /// scaling.target.inFlight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_concurrency: Option<i32>,

    /// Where requests wait while all pods are busy or none has started yet. Default: 100 requests,
    /// 64Mi, 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,

    /// How long a request may take in all, from its first byte to the last one of the answer. A
    /// duration from 100ms to 1h; callers may ask for less. Above 60s a change makes a new revision,
    /// because pods need that long to end. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('1h')")
        .message("must be between 100ms and 1h"))]
    pub request_timeout: Option<Duration>,

    /// How large the body of a request may be. A quantity from 1Ki to 256Mi; larger ones are refused
    /// with status 413. Default: 16Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalars::quantity")]
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity('1Ki')) >= 0 && quantity(string(self)).compareTo(quantity('256Mi')) <= 0")
        .message("must be between 1Ki and 256Mi"))]
    pub max_request_bytes: Option<Quantity>,

    /// Which requests are sent once more, to another pod, when the first one fails: Never, Unsent
    /// (those that no pod has seen a byte of) or Idempotent (also those that a pod may have begun to
    /// compute). Default: Unsent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// Where requests wait, in each gateway.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// How many requests wait in one gateway at most; further ones are refused with status 503. 0 to
    /// 10000. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_requests: Option<i32>,

    /// How large the bodies of those that wait may be together. A quantity from 1Ki to 16Gi. Default:
    /// 64Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalars::quantity")]
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity('1Ki')) >= 0 && quantity(string(self)).compareTo(quantity('16Gi')) <= 0")
        .message("must be between 1Ki and 16Gi"))]
    pub max_bytes: Option<Quantity>,

    /// How long a request waits at most; requestTimeout holds, too. A duration from 0s to 10m.
    /// Default: 30s, or requestTimeout if that is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('10m')")
        .message("must be between 0s and 10m"))]
    pub timeout: Option<Duration>,
}

/// Which requests are sent once more.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = scalars::without_description)]
pub enum Retry {
    /// None.
    Never,
    /// Those that no pod has seen a byte of.
    #[default]
    Unsent,
    /// Also those that a pod may have begun to compute.
    Idempotent,
}
