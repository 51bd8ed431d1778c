//! Whether a child has to be written: the decision `Keep`, `Create` or `Update`.
//!
//! Pure. Called by the planner for each desired object. Something has to be written if what is
//! desired is not part of what is there, or if it is not what was last applied (so that a field that
//! is no longer desired is removed). Fields of others are theirs.

use aimass_crds::labels::APPLIED;
use aimass_crds::quantity::Amount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::canonical::{hash, hex};
use super::observed::Children;
use super::planned::{Desired, Object, Write};

/// Completes `object` (annotation with its hash) and decides how it gets into the cluster.
pub(crate) fn desired(mut object: Object, children: &Children) -> Desired {
    let digest = hash(&json(&object));
    let digest = hex(digest.get(..8).unwrap_or_default());
    let annotations = object.metadata_mut().annotations.get_or_insert_default();
    annotations.insert(APPLIED.to_owned(), digest);
    let write = write(&object, children);
    Desired { object, write }
}

fn write(object: &Object, children: &Children) -> Write {
    let name = object.metadata().name.clone().unwrap_or_default();
    let live = match object {
        // immutable: its metadata is all that can differ, and all that is observed
        Object::ConfigMap(desired) => children
            .config_maps
            .get(&name)
            .map(|live| (live, subset(&json(&desired.metadata), &json(live), false))),
        Object::ControllerRevision(desired) => children
            .controller_revisions
            .get(&name)
            .map(|live| (&live.metadata, same(desired.as_ref(), live))),
        Object::Service(desired) => children
            .services
            .get(&name)
            .map(|live| (&live.metadata, same(desired.as_ref(), live))),
        Object::Deployment(desired) => children
            .deployments
            .get(&name)
            .map(|live| (&live.metadata, same(desired.as_ref(), live))),
        Object::PodDisruptionBudget(desired) => children
            .disruption_budgets
            .get(&name)
            .map(|live| (&live.metadata, same(desired.as_ref(), live))),
        Object::NetworkPolicy(desired) => children
            .network_policies
            .get(&name)
            .map(|live| (&live.metadata, same(desired.as_ref(), live))),
    };
    match live {
        None => Write::Create,
        Some((_, true)) => Write::Keep,
        Some((metadata, false)) => Write::Update {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: lowers(object, children)
                .then(|| metadata.resource_version.clone().unwrap_or_default()),
        },
    }
}

/// The annotation with the hash is part of `desired`, so that this finds removed fields too.
fn same<T: Serialize>(desired: &T, live: &T) -> bool {
    subset(&json(desired), &json(live), false)
}

/// Whether the write takes pods away: it must be judged on the latest state.
fn lowers(object: &Object, children: &Children) -> bool {
    let Object::Deployment(desired) = object else {
        return false;
    };
    let name = desired.metadata.name.as_deref().unwrap_or_default();
    let replicas = |spec: Option<&k8s_openapi::api::apps::v1::DeploymentSpec>| {
        spec.and_then(|spec| spec.replicas).unwrap_or(1)
    };
    let live = children.deployments.get(name);
    live.is_some_and(|live| replicas(desired.spec.as_ref()) < replicas(live.spec.as_ref()))
}

/// Whether everything in `desired` is in `live`. What Kubernetes leaves out because it is empty
/// (false, 0, "", [], {}) equals absence. `amounts`: the values are quantities.
fn subset(desired: &Value, live: &Value, amounts: bool) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => desired.iter().all(|(key, value)| {
            let amounts = matches!(key.as_str(), "requests" | "limits" | "sizeLimit") || amounts;
            match live.get(key) {
                Some(other) => subset(value, other, amounts),
                None => is_empty(value),
            }
        }),
        (Value::Array(desired), Value::Array(live)) => subset_of_list(desired, live),
        (Value::String(desired), Value::String(live)) if amounts => {
            desired == live || {
                let (desired, live) = (Amount::parse(desired), Amount::parse(live));
                desired.is_some() && desired == live
            }
        }
        _ => desired == live,
    }
}

/// Lists of named items are compared by name, others item by item.
fn subset_of_list(desired: &[Value], live: &[Value]) -> bool {
    // in this order: volume mounts have a name too, but it is no key
    const KEYS: [&str; 5] = ["mountPath", "uid", "topologyKey", "type", "name"];
    let key = KEYS.into_iter().find(|key| {
        !desired.is_empty()
            && desired
                .iter()
                .all(|item| item.get(key).is_some_and(Value::is_string))
    });
    match key {
        Some(key) => desired.iter().all(|item| {
            let same_key = |other: &&Value| other.get(key) == item.get(key);
            live.iter()
                .find(same_key)
                .is_some_and(|other| subset(item, other, false))
        }),
        None => {
            desired.len() == live.len()
                && desired
                    .iter()
                    .zip(live)
                    .all(|(item, other)| subset(item, other, false))
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_i64() == Some(0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    }
}

fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

impl Object {
    /// The object's metadata.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::ConfigMap(object) => &object.metadata,
            Self::ControllerRevision(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::Deployment(object) => &object.metadata,
            Self::PodDisruptionBudget(object) => &object.metadata,
            Self::NetworkPolicy(object) => &object.metadata,
        }
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::ConfigMap(object) => &mut object.metadata,
            Self::ControllerRevision(object) => &mut object.metadata,
            Self::Service(object) => &mut object.metadata,
            Self::Deployment(object) => &mut object.metadata,
            Self::PodDisruptionBudget(object) => &mut object.metadata,
            Self::NetworkPolicy(object) => &mut object.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(desired: &Value, live: &Value, expect: bool) {
        assert_eq!(subset(desired, live, false), expect, "{desired} in {live}");
    }

    #[test]
    fn fields_of_others_are_theirs() {
        check(&json!({"a": 1}), &json!({"a": 1, "b": 2}), true);
        check(&json!({"a": 1}), &json!({"b": 2}), false);
        check(&json!({"a": {"x": 1}}), &json!({"a": {"x": 2}}), false);
    }

    #[test]
    fn what_kubernetes_leaves_out_is_not_missed() {
        check(
            &json!({"a": false, "b": [], "c": {}, "d": "", "e": 0}),
            &json!({}),
            true,
        );
        check(&json!({"a": true}), &json!({}), false);
        check(&json!({"replicas": 0}), &json!({"replicas": 1}), false);
    }

    #[test]
    fn named_items_are_found_by_name() {
        let two = json!([{"name": "a", "v": 1, "more": 3}, {"name": "b", "v": 2}]);
        check(&json!([{"name": "b", "v": 2}]), &two, true);
        check(&json!([{"name": "b", "v": 3}]), &two, false);
        check(&json!([{"name": "c"}]), &two, false);
        let mounts = json!([{"name": "m", "mountPath": "/a"}, {"name": "m", "mountPath": "/b"}]);
        check(&json!([{"name": "m", "mountPath": "/b"}]), &mounts, true);
    }

    #[test]
    fn other_lists_are_equal_or_not() {
        check(&json!(["a", "b"]), &json!(["a", "b"]), true);
        check(&json!(["a"]), &json!(["a", "b"]), false);
        check(&json!([]), &json!(["a"]), false);
    }

    #[test]
    fn quantities_are_compared_as_amounts() {
        check(
            &json!({"limits": {"memory": "1024Mi"}}),
            &json!({"limits": {"memory": "1Gi"}}),
            true,
        );
        check(
            &json!({"limits": {"memory": "1Gi"}}),
            &json!({"limits": {"memory": "1G"}}),
            false,
        );
        check(&json!({"label": "1024Mi"}), &json!({"label": "1Gi"}), false);
    }
}
