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

/// How requests are carried to the model.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
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
