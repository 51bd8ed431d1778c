//! `spec.runtime`: what serves the model, and where its pods may run.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalars::{self, Duration, Quantity};

/// What serves the model, and where its pods may run.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// The built-in model server. Default: {}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<Builtin>,

    /// What each pod asks for and may use. Default: requests of 250m CPU and 512Mi memory, and a
    /// memory limit equal to the memory request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Labels that a node must have. At most 16, values of at most 63 characters. Default: any node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalars::label_map")]
    pub node_selector: Option<BTreeMap<String, String>>,

    /// Taints of nodes that the pods tolerate. At most 16. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub tolerations: Option<Vec<Toleration>>,

    /// The PriorityClass of the pods. At most 253 characters. Default: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub priority_class_name: Option<String>,

    /// The RuntimeClass of the pods. At most 253 characters. Default: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub runtime_class_name: Option<String>,

    /// The ServiceAccount of the pods; its token is never mounted. At most 253 characters. Default:
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub service_account_name: Option<String>,

    /// Secrets for pulling the server's image. At most 4. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["secretName".into()]))]
    pub image_pull_secrets: Option<Vec<PullSecret>>,

    /// Further labels of the pods. At most 16, values of at most 63 characters. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalars::label_map")]
    #[x_kube(validation = Rule::new("self.all(k, k.size() <= 317 && !k.startsWith('aimass.dev/') && !k.startsWith('app.kubernetes.io/'))")
        .message("keys under aimass.dev/ and app.kubernetes.io/ are reserved"))]
    pub pod_labels: Option<BTreeMap<String, String>>,

    /// Further annotations of the pods. At most 16, values of at most 1024 characters. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalars::annotation_map")]
    #[x_kube(validation = Rule::new("self.all(k, k.size() <= 317 && !k.startsWith('aimass.dev/') && !k.startsWith('app.kubernetes.io/'))")
        .message("keys under aimass.dev/ and app.kubernetes.io/ are reserved"))]
    pub pod_annotations: Option<BTreeMap<String, String>>,

    /// How long one pod may take from its start until it is ready, fetching the model included. A
    /// duration from 5s to 2h; later the pod is started anew and StartTimeout is reported. Default:
    /// 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('2h')")
        .message("must be between 5s and 2h"))]
    pub start_deadline: Option<Duration>,
}

/// The built-in model server.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Builtin {
    /// What computes: Auto (Tract or Rten, whichever the model's graph speaks for), Tract, Rten or
    /// OnnxRuntime (in an image of its own). Default: Auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,

    /// How many requests one pod computes at the same time. 1 to 64. Default: the CPU limit, else
    /// the CPU request, rounded down, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub threads: Option<i32>,
}

/// What computes.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = scalars::without_description)]
pub enum Engine {
    /// Tract or Rten, by the model's graph; the same in all pods of a revision.
    #[default]
    Auto,
    /// tract, in pure Rust.
    Tract,
    /// rten, in pure Rust: any shape without preparation.
    Rten,
    /// onnxruntime, a shared library in an image of its own.
    OnnxRuntime,
}

/// What each pod asks for and may use.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)")
    .message("each request must be at most its limit"))]
pub struct Resources {
    /// What a node must have free for a pod, by resource. At most 8 quantities. Default: cpu 250m
    /// (less if the limit is), memory the limit, else 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalars::quantities")]
    pub requests: Option<BTreeMap<String, Quantity>>,

    /// What a pod may use at most, by resource; GPUs as nvidia.com/gpu. At most 8 quantities.
    /// Default: memory as requested; nothing else is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scalars::quantities")]
    pub limits: Option<BTreeMap<String, Quantity>>,
}

/// A taint of nodes that the pods tolerate.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.operator) || self.operator != 'Exists' || !has(self.value)")
    .message("value must be left out with operator: Exists"))]
#[x_kube(validation = Rule::new("has(self.key) || has(self.operator) && self.operator == 'Exists'")
    .message("without key, operator must be Exists"))]
#[x_kube(validation = Rule::new("!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'")
    .message("tolerationSeconds needs effect: NoExecute"))]
pub struct Toleration {
    /// The taint's key. At most 317 characters. Absent: every key, with operator Exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub key: Option<String>,

    /// How the key's value is compared: Equal or Exists. Default: Equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,

    /// The taint's value, for operator Equal. At most 63 characters. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,

    /// The taint's effect: NoSchedule, PreferNoSchedule or NoExecute. Absent: every effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,

    /// How long a pod stays on a node tainted NoExecute, in seconds. 0 to 1000000. Absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub toleration_seconds: Option<i64>,
}

/// How a toleration compares.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = scalars::without_description)]
pub enum Operator {
    /// Key and value are those of the taint.
    Equal,
    /// The key is that of the taint, whatever its value.
    Exists,
}

/// What a taint does.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = scalars::without_description)]
pub enum Effect {
    /// No new pods.
    NoSchedule,
    /// New pods only if there is no other node.
    PreferNoSchedule,
    /// No new pods, and present ones must leave.
    NoExecute,
}

/// A Secret for pulling images.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullSecret {
    /// The Secret's name; its type is kubernetes.io/dockerconfigjson. Required; at most 253
    /// characters.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub secret_name: String,
}
