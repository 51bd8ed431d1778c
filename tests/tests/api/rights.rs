//! P2, R28: the rights that the chart grants are the rights that are used.

use std::collections::BTreeSet;
use std::time::Duration;

use aimass_tests::cluster::{Cluster, Namespace};
use aimass_tests::eventually;
use aimass_tests::faults::point::Verb;
use aimass_tests::models;
use aimass_tests::normal;
use aimass_tests::operator::{Settings, rules};
use aimass_tests::pods::Behaviour;
use aimass_tests::workload::Run;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::isolation::store_undecodable;

/// `verb resource.group/subresource`, of every combination that a rule allows.
fn granted() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for rule in rules() {
        for group in rule.api_groups.clone().unwrap_or_default() {
            for resource in rule.resources.clone().unwrap_or_default() {
                for verb in &rule.verbs {
                    all.insert(right(verb, &group, &resource));
                }
            }
        }
    }
    all
}

fn right(verb: &str, group: &str, resource: &str) -> String {
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
    let dot = if group.is_empty() { "" } else { "." };
    let slash = if sub.is_empty() { "" } else { "/" };
    format!("{verb} {resource}{dot}{group}{slash}{sub}")
}

#[test]
fn no_rule_is_a_wildcard_or_reaches_secrets() {
    let all = granted();
    assert!(!all.is_empty(), "the chart grants something");
    for right in &all {
        let words = [
            "*",
            "secrets",
            "escalate",
            "bind",
            "impersonate",
            "pods/exec",
            "nodes/proxy",
        ];
        for word in words {
            let has = right.split([' ', '.', '/']).any(|part| part == word) || right.contains("*");
            assert!(!has, "{right}");
        }
    }
}

/// Two keys: one that is well, and one whose end the API server takes for a time and nobody else does.
async fn keys(ns: &Namespace) {
    let kind = GroupVersionKind::gvk("aimass.dev", "v1alpha1", "APIKey");
    let resource = ApiResource::from_gvk_with_plural(&kind, "apikeys");
    let api: Api<DynamicObject> = Api::namespaced_with(ns.client.clone(), &ns.name, &resource);
    for (name, id, end) in [
        ("ana", "7GmYq2TbX0aZ", "2030-06-30T00:00:00Z"),
        ("ben", "8GmYq2TbX0aZ", "2030-06-30T00:00:00+99:99"),
    ] {
        let key = json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "APIKey", "metadata": {"name": name},
            "spec": {
                "models": ["iris"], "expiresAt": end,
                "credentials": [{"id": id, "sha256": "ab".repeat(32)}],
            },
        });
        let key: DynamicObject = serde_json::from_value(key).expect("an object");
        api.create(&PostParams::default(), &key)
            .await
            .expect("the API server takes it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_rights_that_are_granted_are_used() {
    let cluster = Cluster::connect().await;
    let settings = Settings {
        elects: true,
        gateway: Some("gateways"),
        ..Settings::default()
    };
    let mut run = Run::start(&cluster, "p2", settings).await;
    let wait = Duration::from_secs(40);
    let settled = |name: &'static str| {
        let ns = &run.ns;
        move || async move {
            let object = models::api(ns).get(name).await.map_err(|e| e.to_string())?;
            models::settled(&object)
        }
    };
    // What is told only after 30 s: a pod that waits for its volumes.
    run.kubelet.script(|pod| {
        let model = pod.labels().get("aimass.dev/deployment").cloned();
        if model.as_deref() == Some("stuck") {
            Behaviour::Waiting {
                reason: "ContainerCreating".to_owned(),
                message: String::new(),
            }
        } else {
            Behaviour::Ready
        }
    });
    models::apply(&run.ns, &models::model("stuck", 1))
        .await
        .expect("it is valid");
    // Every source, what is missing, what does not decode, more revisions than are kept, fewer
    // pods than a budget protects, something to delete, something to tell.
    let missing = models::with(
        models::model("missing", 1),
        "/spec/model/source",
        json!({"pvc": {"claimName": "missing", "path": "iris.onnx"}}),
    );
    models::apply(&run.ns, &missing).await.expect("it is valid");
    store_undecodable(&run.ns).await;
    keys(&run.ns).await;
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "models"},
        "spec": {
            "accessModes": ["ReadOnlyMany"], "storageClassName": "",
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }))
    .expect("a claim");
    let claims: Api<PersistentVolumeClaim> = run.ns.api();
    claims
        .create(&PostParams::default(), &claim)
        .await
        .expect("it is valid");
    let from_claim = models::with(
        models::model("claimed", 1),
        "/spec/model/source",
        json!({"pvc": {"claimName": "models", "path": "iris.onnx"}}),
    );
    models::apply(&run.ns, &from_claim)
        .await
        .expect("it is valid");
    models::apply(&run.ns, &models::model("iris", 2))
        .await
        .expect("it is valid");
    eventually(wait, "iris serves", settled("iris")).await;
    eventually(wait, "claimed serves", settled("claimed")).await;
    let spec = json!({"rollout": {"history": 0}});
    models::merge(&run.ns, "iris", &spec)
        .await
        .expect("it is valid");
    for token in ["b", "c"] {
        models::merge(&run.ns, "iris", &json!({"restartToken": token}))
            .await
            .expect("valid");
        eventually(wait, "the change is rolled out", settled("iris")).await;
    }
    models::merge(&run.ns, "iris", &json!({"replicas": 1}))
        .await
        .expect("it is valid");
    let looked = || async {
        let records = run.faults.records();
        let events = records
            .iter()
            .any(|r| r.verb == Verb::List && r.kind == "events");
        if events {
            Ok(())
        } else {
            Err("the Events of the stuck pod are not read".to_owned())
        }
    };
    eventually(Duration::from_secs(60), "volumes are looked after", looked).await;
    run.silence(wait).await.expect("it rests");
    models::api(&run.ns)
        .delete("claimed", &DeleteParams::background())
        .await
        .expect("it can go");
    let (client, name) = (run.ns.client.clone(), run.ns.name.clone());
    let one_revision = || async {
        let objects = normal::objects(&client, &name)
            .await
            .map_err(|e| e.to_string())?;
        // One of iris, one of stuck.
        let hashes = normal::hashes(&objects);
        if hashes.len() == 2 {
            Ok(())
        } else {
            Err(format!("{hashes:?}"))
        }
    };
    eventually(wait, "old revisions are gone", one_revision).await;
    // Without a gateway nothing shields pods any more.
    run.settings.gateway = None;
    run.restart().await;
    let unshielded = || async {
        let objects = normal::objects(&client, &name)
            .await
            .map_err(|e| e.to_string())?;
        let policies = objects
            .iter()
            .filter(|o| o.types.as_ref().is_some_and(|t| t.kind == "NetworkPolicy"));
        match policies.count() {
            0 => Ok(()),
            left => Err(format!("{left} NetworkPolicies are left")),
        }
    };
    eventually(wait, "the policies are gone", unshielded).await;
    run.silence(wait).await.expect("it rests again");
    let operator = run.operator.take().expect("it runs");
    operator.stop().await.expect("it stops");

    let records = run.faults.records();
    let ids: BTreeSet<String> = records.into_iter().filter_map(|r| r.audit_id).collect();
    let user = run.ns.user();
    let entries = run.ns.audited(&ids).await;
    let ours = entries.iter().filter(|e| e.user.username == user);
    let mut used = BTreeSet::new();
    let mut refused = BTreeSet::new();
    for entry in ours.filter(|e| !e.object_ref.resource.is_empty()) {
        let object = &entry.object_ref;
        let resource = match object.subresource.as_str() {
            "" => object.resource.clone(),
            sub => format!("{}/{sub}", object.resource),
        };
        let right = right(&entry.verb, &object.api_group, &resource);
        if !entry.allowed() {
            refused.insert(right);
            continue;
        }
        // What the API server asks for besides, without a record of its own: an apply that makes
        // an object needs `create`, and an owner that blocks deletion needs its finalizers.
        if entry.verb == "patch" && entry.response_status.code == 201 {
            used.insert(right.replacen("patch", "create", 1));
            used.insert("update modeldeployments.aimass.dev/finalizers".to_owned());
        }
        used.insert(right);
    }
    assert!(
        refused.is_empty(),
        "asked for, but not granted: {refused:?}"
    );
    let unused: Vec<_> = granted().difference(&used).cloned().collect();
    assert!(
        unused.is_empty(),
        "granted, but never used: {unused:?}\nused: {used:?}"
    );
}
