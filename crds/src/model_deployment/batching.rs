//! `spec.batching`: which requests a pod computes together.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::scalars::Duration;

/// Which requests a pod computes together.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batching {
    /// How many rows are computed together at most. 1 to 1024; 1: none, and nothing is measured
    /// when the model is loaded. Default: as many as was measured to be fastest, at most 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub max_size: Option<i32>,

    /// How long a request waits for others although the model is idle. A duration from 0s to 1s.
    /// Default: 0s, so that only those are computed together that wait while it is busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('1s')")
        .message("must be between 0s and 1s"))]
    pub max_delay: Option<Duration>,
}
