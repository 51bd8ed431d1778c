//! The floor: the children of one Ready ModelDeployment, posted again without any operator.

use std::time::{Duration, Instant};

use anyhow::bail;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};

use super::{PATIENCE, Setting, load};

const KINDS: [(&str, &str); 4] = [
    ("v1", "ConfigMap"),
    ("apps/v1", "ControllerRevision"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
];

/// Posts the children of model `<name>-000` once more under a new name, `count` times; seconds
/// until all their Deployments are available.
pub(super) async fn until_available(
    setting: &Setting,
    namespace: &str,
    name: &str,
    count: usize,
) -> anyhow::Result<f64> {
    let children = children(setting, namespace, &format!("{name}-000")).await?;
    let floor = load::namespace(&setting.client, "bench-floor").await?;
    let seconds = post(setting, &floor, &children, count).await?;
    load::remove(&setting.client, &[&floor]).await?;
    Ok(seconds)
}

/// The children of a model, stripped of everything that the API server or the operator added.
pub(super) async fn children(
    setting: &Setting,
    namespace: &str,
    model: &str,
) -> anyhow::Result<Vec<Value>> {
    let selector = ListParams::default().labels(&format!("aimass.dev/deployment={model}"));
    let mut found = Vec::new();
    for (version, kind) in KINDS {
        let api = load::dynamic(
            &setting.client,
            namespace,
            &json!({"apiVersion": version, "kind": kind}),
        )?;
        for object in api.list(&selector).await? {
            let mut object = serde_json::to_value(object)?;
            strip(&mut object);
            if let Some(fields) = object.as_object_mut() {
                fields.insert("apiVersion".to_owned(), json!(version));
                fields.insert("kind".to_owned(), json!(kind));
            }
            found.push(object);
        }
    }
    Ok(found)
}

fn strip(object: &mut Value) {
    let name = object
        .pointer("/metadata/name")
        .cloned()
        .unwrap_or_default();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        fields.insert("metadata".to_owned(), json!({"name": name}));
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if spec.get(field) != Some(&json!("None")) && spec.get(field) != Some(&json!(["None"]))
            {
                spec.remove(field);
            }
        }
    }
}

/// Posts the children `count` times with a suffix each; seconds until all are available.
pub(super) async fn post(
    setting: &Setting,
    namespace: &str,
    children: &[Value],
    count: usize,
) -> anyhow::Result<f64> {
    let start = Instant::now();
    for index in 0..count {
        for child in children {
            let object = numbered(child, index);
            let api = load::dynamic(&setting.client, namespace, &object)?;
            let object: DynamicObject = serde_json::from_value(object)?;
            api.create(&PostParams::default(), &object).await?;
        }
    }
    let deployments: Api<Deployment> = Api::namespaced(setting.client.clone(), namespace);
    while start.elapsed() < PATIENCE {
        let available = deployments
            .list(&ListParams::default())
            .await?
            .iter()
            .filter(|deployment| {
                let status = deployment.status.as_ref();
                status
                    .and_then(|status| status.available_replicas)
                    .unwrap_or(0)
                    > 0
            })
            .count();
        if available >= count {
            return Ok(start.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{count} Deployments without operator were not available within {PATIENCE:?}")
}

/// The same child for another object: every name, label and selector value of it gets the number.
fn numbered(child: &Value, index: usize) -> Value {
    let suffix = format!("n{index:03}");
    let mut child = child.clone();
    let name = child
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    if let Some(slot) = child.pointer_mut("/metadata/name") {
        *slot = json!(format!("{name}-{suffix}"));
    }
    let paths = [
        "/spec/selector",
        "/spec/selector/matchLabels",
        "/spec/template/metadata/labels",
    ];
    for path in paths {
        if let Some(labels) = child.pointer_mut(path).and_then(Value::as_object_mut)
            && let Some(value) = labels.get_mut("aimass.dev/deployment")
        {
            *value = json!(suffix);
        }
    }
    rename_volumes(&mut child, &suffix);
    child
}

/// ConfigMap volumes of a pod template name the copy with the same number.
fn rename_volumes(child: &mut Value, suffix: &str) {
    let volumes = child
        .pointer_mut("/spec/template/spec/volumes")
        .and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        if let Some(slot) = volume.pointer_mut("/configMap/name") {
            *slot = json!(format!("{}-{suffix}", slot.as_str().unwrap_or("")));
        }
    }
}
