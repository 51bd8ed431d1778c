//! ModelDeployments and what they refer to, as JSON: the tests see the API as a user does.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::Namespace;

/// The ConfigMap that [`model`] refers to.
pub const FILES: &str = "linear-model";

/// The kind, for a client.
#[must_use]
pub fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("aimass.dev", "v1alpha1", "ModelDeployment");
    ApiResource::from_gvk_with_plural(&kind, "modeldeployments")
}

/// The ModelDeployments of a namespace, with the harness's own rights.
#[must_use]
pub fn api(ns: &Namespace) -> Api<DynamicObject> {
    Api::namespaced_with(ns.client.clone(), &ns.name, &resource())
}

/// A ModelDeployment that serves the files of ConfigMap [`FILES`] with `replicas` pods.
#[must_use]
pub fn model(name: &str, replicas: i32) -> Value {
    json!({
        "apiVersion": "aimass.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"source": {"configMap": {"name": FILES}}},
            "replicas": replicas,
        },
    })
}

/// Sets what `pointer` says, making the objects on the way.
#[must_use]
pub fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let mut at = &mut object;
    for key in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[key];
    }
    *at = value;
    object
}

/// Applies a ModelDeployment as `kubectl apply --server-side` does.
///
/// # Errors
/// What the API server says.
pub async fn apply(ns: &Namespace, object: &Value) -> kube::Result<DynamicObject> {
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let params = PatchParams::apply("aimass-tests").force();
    api(ns).patch(name, &params, &Patch::Apply(object)).await
}

/// Merges into the spec of a ModelDeployment, as `kubectl patch --type=merge` does.
///
/// # Errors
/// What the API server says.
pub async fn merge(ns: &Namespace, name: &str, spec: &Value) -> kube::Result<DynamicObject> {
    let patch = json!({"spec": spec});
    let params = PatchParams::default();
    api(ns).patch(name, &params, &Patch::Merge(&patch)).await
}

/// Makes a ConfigMap of model files.
///
/// # Panics
/// If the API server refuses it.
pub async fn files(ns: &Namespace, name: &str, files: &[(&str, &[u8])]) {
    let binary_data: BTreeMap<String, ByteString> = files
        .iter()
        .map(|(key, bytes)| ((*key).to_owned(), ByteString(bytes.to_vec())))
        .collect();
    let object = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        binary_data: Some(binary_data),
        ..ConfigMap::default()
    };
    let params = PatchParams::apply("aimass-tests").force();
    let maps: Api<ConfigMap> = ns.api();
    maps.patch(name, &params, &Patch::Apply(&object))
        .await
        .unwrap_or_else(|e| panic!("the API server refuses ConfigMap {name}: {e}"));
}

/// A condition of an object's status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// One of the closed set of the kind.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Of the spec that it speaks of.
    pub observed_generation: i64,
}

/// The condition of `kind`, if it is there.
#[must_use]
pub fn condition(object: &DynamicObject, kind: &str) -> Option<Condition> {
    let all = object.data.pointer("/status/conditions")?.as_array()?;
    let found = all.iter().find(|c| c["type"] == kind)?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Some(Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
        observed_generation: found["observedGeneration"].as_i64().unwrap_or_default(),
    })
}

/// A text of an object, by pointer; empty if it is not there.
#[must_use]
pub fn text<'a>(object: &'a DynamicObject, pointer: &str) -> &'a str {
    object
        .data
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Complains unless the condition `kind` is `status` for `reason`, of the present generation.
///
/// # Errors
/// What the condition is.
pub fn expect_condition(
    object: &DynamicObject,
    kind: &str,
    status: &str,
    reason: &str,
) -> Result<Condition, String> {
    let found = condition(object, kind)
        .ok_or_else(|| format!("no condition {kind}: {}", conditions(object)))?;
    let fresh = Some(found.observed_generation) == object.metadata.generation;
    if found.status == status && found.reason == reason && fresh {
        return Ok(found);
    }
    Err(format!(
        "{kind} should be {status} for {reason} at generation {:?}: {}",
        object.metadata.generation,
        conditions(object)
    ))
}

/// All conditions in one line, for messages.
#[must_use]
pub fn conditions(object: &DynamicObject) -> String {
    let all = object.data.pointer("/status/conditions");
    let Some(all) = all.and_then(Value::as_array) else {
        return "no conditions at all".to_owned();
    };
    all.iter()
        .map(|c| {
            let text = |key: &str| c[key].as_str().unwrap_or("?").to_owned();
            format!(
                "{}={} {} @{} ({})",
                text("type"),
                text("status"),
                text("reason"),
                c["observedGeneration"],
                text("message")
            )
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// Complains unless the object is as its spec says: Ready, rolled out, of the present generation.
///
/// # Errors
/// What is missing.
pub fn settled(object: &DynamicObject) -> Result<(), String> {
    let ready = condition(object, "Ready").unwrap_or_default();
    let rolled = condition(object, "RolledOut").unwrap_or_default();
    let seen = object.data.pointer("/status/observedGeneration");
    let fresh = seen.and_then(Value::as_i64) == object.metadata.generation;
    let fine = ready.status == "True" && rolled.status == "True";
    let working = condition(object, "Reconciling").is_some();
    if fine && fresh && !working {
        return Ok(());
    }
    Err(format!(
        "generation {:?}, observed {seen:?}: {}",
        object.metadata.generation,
        conditions(object)
    ))
}
