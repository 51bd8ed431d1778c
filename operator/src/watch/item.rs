//! How the objects of each kind are kept in the caches, and which model they concern.
//!
//! Pure. Used by the streams of `watch`, and by `apply` and `observe` for what they were answered.

use aimass_crds::model_deployment::Source;
use aimass_crds::{ModelDeployment, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use crate::cache::{Item, key_of, version_of};
use crate::watch::Guarded;
use crate::watch::references::Kind;

/// A child, whole but for `managedFields`; found by the uid of its controller.
pub(crate) fn child<K: Resource>(mut object: K) -> Item<K> {
    object.meta_mut().managed_fields = None;
    let (group, model) = belongs(object.meta());
    Item {
        key: key_of(&object),
        uid: object.meta().uid.clone().unwrap_or_default(),
        version: version_of(&object),
        group,
        model,
        value: object,
    }
}

/// A ConfigMap: the metadata of a copy, little more than the name of any other one.
pub(crate) fn config_map<K: Resource>(object: K) -> Item<ObjectMeta> {
    let Item {
        key,
        uid,
        version,
        group,
        model,
        mut value,
    } = child(object);
    let mut metadata = std::mem::take(value.meta_mut());
    if model.is_none() {
        metadata.labels = None;
        metadata.annotations = None;
        metadata.owner_references = None;
        metadata.finalizers = None;
    }
    Item {
        key,
        uid,
        version,
        group,
        model,
        value: metadata,
    }
}

/// A claim: that it exists.
pub(crate) fn claim<K: Resource>(object: K) -> Item<()> {
    let Item {
        key,
        uid,
        version,
        group: _,
        model: _,
        value: _,
    } = child(object);
    Item {
        key,
        uid,
        version,
        group: None,
        model: None,
        value: (),
    }
}

/// The uid of the ModelDeployment that controls an object, and the name of the one it concerns:
/// the same, or the one that its label names, should its owner reference have been stripped.
fn belongs(metadata: &ObjectMeta) -> (Option<String>, Option<String>) {
    let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name));
    let ours = label(labels::MANAGED_BY).is_some_and(|value| value == labels::MANAGED_BY_VALUE);
    let model = label(labels::DEPLOYMENT).filter(|_| ours).cloned();
    match controller(metadata) {
        Some((uid, name)) => (Some(uid), Some(name)),
        None => (None, model),
    }
}

/// Uid and name of the ModelDeployment that controls an object.
fn controller(metadata: &ObjectMeta) -> Option<(String, String)> {
    let kind = ModelDeployment::kind(&());
    let group = ModelDeployment::group(&());
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| {
        owner.controller == Some(true)
            && owner.kind == kind
            && owner.api_version.split('/').next() == Some(&*group)
    })?;
    Some((owner.uid.clone(), owner.name.clone()))
}

/// What becomes of an object that has the name of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The model controls it.
    Ours,
    /// We made it for this very model, and somebody stripped its owner reference.
    Stripped,
    /// A deleted model of the same name controls it: the garbage collector is about to remove it.
    Predecessor,
    /// It is somebody else's.
    Stranger,
}

/// Judges the owner of an object by its metadata, as seen from `model`.
#[must_use]
pub(crate) fn owner(metadata: &ObjectMeta, model: &ObjectMeta) -> Owner {
    let uid = model.uid.as_deref().unwrap_or_default();
    if let Some((controller, name)) = controller(metadata) {
        return match () {
            () if controller == uid => Owner::Ours,
            () if model.name.as_ref() == Some(&name) => Owner::Predecessor,
            () => Owner::Stranger,
        };
    }
    let controlled = metadata
        .owner_references
        .iter()
        .flatten()
        .any(|o| o.controller == Some(true));
    let annotation = metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(labels::OWNER_UID));
    let label = metadata
        .labels
        .as_ref()
        .and_then(|all| all.get(labels::MANAGED_BY));
    let ours = annotation.is_some_and(|value| value == uid)
        && label.is_some_and(|value| value == labels::MANAGED_BY_VALUE);
    if ours && !controlled {
        Owner::Stripped
    } else {
        Owner::Stranger
    }
}

/// What the source of a model refers to.
pub(crate) fn reference(model: &Guarded<ModelDeployment>) -> Option<(Kind, String)> {
    source_reference(&model.0.as_ref().ok()?.spec.model.source)
}

/// The object in the model's namespace that a source names.
pub(crate) fn source_reference(source: &Source) -> Option<(Kind, String)> {
    let Source {
        config_map,
        pvc,
        http: _,
    } = source;
    let config_map = config_map
        .as_ref()
        .map(|source| (Kind::ConfigMap, source.name.clone()));
    config_map.or_else(|| {
        pvc.as_ref()
            .map(|source| (Kind::Claim, source.claim_name.clone()))
    })
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "literals are passed")]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Service};
    use serde_json::{Value, json};

    use super::*;

    fn service(metadata: Value) -> Service {
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    fn owner_reference(uid: &str) -> Value {
        json!([{
            "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment", "name": "iris",
            "uid": uid, "controller": true,
        }])
    }

    fn ours() -> Value {
        json!({
            "app.kubernetes.io/managed-by": "aimass-operator", "aimass.dev/deployment": "iris",
        })
    }

    #[test]
    fn a_child_is_found_by_its_controller() {
        let item = child(service(json!({
            "name": "iris", "namespace": "a", "uid": "s", "resourceVersion": "42",
            "ownerReferences": owner_reference("m"), "managedFields": [{"manager": "x"}],
        })));
        assert_eq!((item.version, item.uid.as_str()), (42, "s"));
        assert_eq!(
            (item.group.as_deref(), item.model.as_deref()),
            (Some("m"), Some("iris"))
        );
        assert_eq!(item.value.metadata.managed_fields, None);
    }

    #[test]
    fn a_child_that_lost_its_owner_concerns_the_model_of_its_label() {
        let item = child(service(json!({"name": "iris", "labels": ours()})));
        assert_eq!((item.group, item.model.as_deref()), (None, Some("iris")));
    }

    #[test]
    fn nothing_but_the_name_is_kept_of_a_users_config_map() {
        let object: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": "files", "labels": {"a": "b"}, "annotations": {"a": "b"}},
        }))
        .unwrap();
        let item = config_map(object);
        assert_eq!((item.value.labels, item.value.annotations), (None, None));
        assert_eq!(item.value.name.as_deref(), Some("files"));
    }

    #[test]
    fn whose_an_object_is() {
        let model = service(json!({"name": "iris", "uid": "m"})).metadata;
        let mine = json!({"aimass.dev/owner-uid": "m"});
        for (name, metadata, expect) in [
            (
                "we control it",
                json!({"ownerReferences": owner_reference("m")}),
                Owner::Ours,
            ),
            (
                "a predecessor of the same name controls it",
                json!({"ownerReferences": owner_reference("old"), "labels": ours(), "annotations": mine}),
                Owner::Predecessor,
            ),
            (
                "stripped",
                json!({"labels": ours(), "annotations": mine}),
                Owner::Stripped,
            ),
            (
                "stripped, of a predecessor",
                json!({"labels": ours(), "annotations": {"aimass.dev/owner-uid": "old"}}),
                Owner::Stranger,
            ),
            (
                "annotation alone",
                json!({"annotations": mine}),
                Owner::Stranger,
            ),
            ("nothing of ours", json!({}), Owner::Stranger),
            (
                "another model controls it",
                json!({"ownerReferences": [{
                    "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
                    "name": "rose", "uid": "r", "controller": true,
                }]}),
                Owner::Stranger,
            ),
            (
                "somebody else controls it now",
                json!({"labels": ours(), "annotations": mine, "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p", "controller": true,
                }]}),
                Owner::Stranger,
            ),
        ] {
            assert_eq!(owner(&service(metadata).metadata, &model), expect, "{name}");
        }
    }

    #[test]
    fn a_source_refers_to_one_object_or_none() {
        let reference = |source: Value| {
            let model = json!({
                "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
                "metadata": {"name": "iris"}, "spec": {"model": {"source": source}},
            });
            reference(&serde_json::from_value(model).unwrap())
        };
        let config_map = json!({"configMap": {"name": "files"}});
        assert_eq!(
            reference(config_map),
            Some((Kind::ConfigMap, "files".to_owned()))
        );
        let claim = json!({"pvc": {"claimName": "disk", "path": "a.onnx"}});
        assert_eq!(reference(claim), Some((Kind::Claim, "disk".to_owned())));
        let url = json!({"http": {"url": "https://a/b.onnx", "digest": "sha256:00"}});
        assert_eq!(reference(url), None);
        assert_eq!(reference(json!({"configMap": 7})), None, "undecodable");
    }
}
