//! For how many more pods of a model the quotas of its namespace have room.
//!
//! Reads the caches; the reckoning is pure, in `aimass_plan::model::quota`. Called by `decide`.

use aimass_crds::{ModelDeployment, labels};
use aimass_plan::model::quota::{self, Need, Room};
use k8s_openapi::api::apps::v1::Deployment;

use crate::cache::Known;
use crate::watch::Caches;

/// What there is room for; `None`: no quota limits it, or none is known.
pub(super) fn room(caches: &Caches, namespace: &str, model: &ModelDeployment) -> Option<Room> {
    let quotas = caches.quotas.group(namespace);
    if quotas.is_empty() {
        return None;
    }
    let quotas = quotas.iter().map(|(_, known)| held(known));
    quota::room(quotas, &needs(caches, model))
}

/// What further pods need: those of each revision that has pods or a share of the requests.
fn needs(caches: &Caches, model: &ModelDeployment) -> Vec<Need> {
    let uid = model.metadata.uid.as_deref().unwrap_or_default();
    let deployments = caches.deployments.group(uid);
    let deployments = deployments.iter().map(|(_, known)| held(known));
    let serving =
        deployments.filter(|deployment| has_pods(deployment) || serves(model, deployment));
    let templates = serving.filter_map(|deployment| deployment.spec.as_ref());
    templates.map(|spec| Need::of(&spec.template)).collect()
}

fn has_pods(deployment: &Deployment) -> bool {
    let spec = deployment.spec.as_ref();
    spec.and_then(|spec| spec.replicas).unwrap_or(1) > 0
}

fn serves(model: &ModelDeployment, deployment: &Deployment) -> bool {
    let labels = deployment.metadata.labels.as_ref();
    let revision = labels.and_then(|labels| labels.get(labels::REVISION));
    let status = model.status.as_ref();
    let traffic = status.map(|status| &*status.traffic).unwrap_or_default();
    let mut weights = traffic.iter();
    weights.any(|weight| weight.weight > 0 && Some(&weight.revision) == revision)
}

fn held<V>(known: &Known<V>) -> &V {
    let (Known::Present(value) | Known::Doubtful(value)) = known;
    value
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ResourceQuota;
    use serde_json::json;

    use super::*;
    use crate::watch::{Scope, item, quota as watched};

    fn quota(caches: &Caches, namespace: &str, name: &str, cpu: (&str, &str)) {
        let (hard, used) = cpu;
        let quota: ResourceQuota = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"},
            "status": {"hard": {"requests.cpu": hard}, "used": {"requests.cpu": used}},
        }))
        .unwrap();
        caches.quotas.saw(watched::item(quota));
    }

    /// A revision with pods that need so much.
    fn revision(caches: &Caches, revision: &str, replicas: i32, cpu: &str) {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {
                "name": format!("iris-{revision}"), "namespace": "a", "uid": revision,
                "resourceVersion": "1", "labels": {"aimass.dev/revision": revision},
                "ownerReferences": [{
                    "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
                    "name": "iris", "uid": "u", "controller": true,
                }],
            },
            "spec": {"replicas": replicas, "selector": {}, "template": {"spec": {"containers": [
                {"name": "server", "resources": {"requests": {"cpu": cpu}}},
            ]}}},
        }))
        .unwrap();
        caches.deployments.saw(item::child(deployment));
    }

    fn model() -> ModelDeployment {
        serde_json::from_value(json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": "iris", "namespace": "a", "uid": "u"},
            "spec": {"model": {"source": {"configMap": {"name": "iris"}}}},
            "status": {"traffic": [{"revision": "asleep", "weight": 100}]},
        }))
        .unwrap()
    }

    #[test]
    fn room_is_for_pods_of_every_revision_that_serves() {
        let caches = Caches::new(Scope::Cluster);
        let headroom = || room(&caches, "a", &model()).map(|room| room.headroom);
        revision(&caches, "running", 2, "250m");
        assert_eq!(headroom(), None, "there is no quota");
        quota(&caches, "b", "other", ("0", "0"));
        assert_eq!(headroom(), None, "not in its namespace");
        quota(&caches, "a", "small", ("4", "1"));
        assert_eq!(headroom(), Some(12));
        revision(&caches, "retained", 0, "3");
        assert_eq!(headroom(), Some(12), "no pod of that is made");
        revision(&caches, "asleep", 0, "1");
        assert_eq!(headroom(), Some(3));
        quota(&caches, "a", "smaller", ("1500m", "0"));
        assert_eq!(headroom(), Some(1));
    }

    #[test]
    fn before_its_first_revision_nothing_is_known() {
        let caches = Caches::new(Scope::Cluster);
        quota(&caches, "a", "small", ("4", "4"));
        assert_eq!(room(&caches, "a", &model()), None);
    }
}
