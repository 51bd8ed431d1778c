//! `ModelDeployment`: a model served as a prediction API.
//!
//! Pure. Written by users; read by `aimass-plan`. The docstrings are what `kubectl explain` prints:
//! the first sentence is complete by itself, then default, unit, range, what absence means.
//! Defaults are applied in `aimass_plan::model::valid`, never by the schema.
#![expect(
    unreachable_pub,
    reason = "KubeSchema derives from a copy of each type, inside a function"
)]

mod access;
mod analysis;
mod batching;
mod objectives;
mod rollout;
mod runtime;
mod scaling;
mod source;
mod status;
mod traffic;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use access::{Access, AccessMode};
pub use analysis::{Analysis, ErrorRate, Latency, OnMaxHold};
pub use batching::Batching;
pub use objectives::Objectives;
pub use rollout::{
    Action, BlueGreen, Canary, CanaryStep, Decision, RollingUpdate, Rollout, Strategy,
};
pub use runtime::{Builtin, Effect, Engine, Operator, PullSecret, Resources, Runtime, Toleration};
pub use scaling::{IN_FLIGHT, Scaling, Target, concurrency};
pub use source::{ConfigMapSource, Credentials, Format, HttpSource, Model, PvcSource, Source};
pub use status::{
    CheckStatus, CheckVerdict, FailureStatus, LimitedBy, ModelDeploymentStatus, RevisionRef,
    RevisionStatus, Role, RolloutFailure, RolloutStatus, ScalingMode, ScalingStatus, Weight,
};
pub use traffic::{
    MAX_REQUEST_BYTES, QUEUE_BYTES, QUEUE_REQUESTS, QUEUE_TIMEOUT, Queue, REQUEST_TIMEOUT, Retry,
    Traffic,
};

/// What a user asks for.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.traffic) && has(self.traffic.maxConcurrency) && has(self.scaling) && has(self.scaling.target) && has(self.scaling.target.inFlight)) || self.scaling.target.inFlight <= self.traffic.maxConcurrency")
    .message("scaling.target.inFlight must be at most traffic.maxConcurrency, or scaling never starts"))]
#[kube(
    group = "aimass.dev",
    version = "v1alpha1",
    kind = "ModelDeployment",
    plural = "modeldeployments",
    shortname = "aimd",
    category = "aimass",
    namespaced,
    status = "ModelDeploymentStatus",
    derive = "PartialEq",
    doc = "A model served as a prediction API. Example: spec: {model: {source: {configMap: {name: iris-model}}}} serves the ONNX file in ConfigMap iris-model.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether callers get answers"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is or is not ready"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "string",
        json_path = ".status.ready",
        description = "Ready of desired replicas"
    ),
    printcolumn(
        name = "Rev",
        type_ = "integer",
        json_path = ".status.stable.number",
        description = "Number of the last revision that was rolled out completely"
    ),
    printcolumn(
        name = "Rollout",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"RolledOut\")].reason",
        description = "How far the change to the present spec is"
    ),
    printcolumn(
        name = "New%",
        type_ = "integer",
        json_path = ".status.rollout.weight",
        description = "Share of the requests that the new revision gets, in percent"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".status.url",
        priority = 1,
        description = "Address of the model within the cluster; append :predict"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1,
        description = "Why, in words"
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$')")
        .message("metadata.name must start with a letter and hold at most 52 characters (a-z, 0-9, '-'): children are named <name>-<revision>")
)]
pub struct ModelDeploymentSpec {
    /// The model to serve: where its files are and what they are. Required. A change makes a new
    /// revision.
    pub model: Model,

    /// The model's name in URLs, where Kubernetes forbids it as object name (my_model). 1 to 128
    /// letters, digits, '.', '_' and '-', first and last a letter or digit. Default: metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 128),
        regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$")
    )]
    pub served_name: Option<String>,

    /// What serves the model, and where its pods may run. Default: the built-in server with 250m
    /// CPU and 512Mi memory on any node. A change makes a new revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,

    /// Which requests a pod computes together. Default: as many as is fastest of those that wait
    /// while the model is busy. A change makes a new revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batching: Option<Batching>,

    /// Any value; a new one makes new pods by the usual rollout. At most 63 letters, digits, '.',
    /// '_', ':' and '-'. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^[A-Za-z0-9._:-]*$"))]
    pub restart_token: Option<String>,

    /// The number of pods that serve, whatever the load is. 0 to 1000; kubectl scale and autoscalers
    /// of others set this field. 0: no pod, callers are refused. Absent: as many as the load calls
    /// for, within scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// How many pods the load may call for, where replicas is absent. Default: 1 to 10 pods with 8
    /// requests each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,

    /// How requests are carried to the model: how long they may take, how large they may be, which
    /// are sent again. Default: 60s, 16Mi, those that no pod has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,

    /// How a new revision replaces the old one. Default: pod by pod, with a return to the old
    /// revision when the new one fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,

    /// What the model shall keep to while it serves: condition WithinObjectives says whether it does,
    /// and nothing else follows. Absent: nothing is asked of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,

    /// Who may call the model. Default: callers with a key or a token that opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,

    /// Whether the model is switched off. true: zero pods, no rollout; nothing is forgotten, and
    /// false brings everything back. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}
