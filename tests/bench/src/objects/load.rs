//! Namespaces and ModelDeployments for a benchmark: made, waited for, removed.

use std::time::{Duration, Instant};

use aimass_crds::all::custom_resource_definitions;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::{PATIENCE, Setting};

/// Until the API server serves a kind that it has learnt of.
const SERVED: Duration = Duration::from_secs(10);
const MODEL: &[u8] = include_bytes!("../../../../examples/linear/linear.onnx");

/// Applies the custom resource definitions and waits until their objects are served: the cluster may be a fresh one.
pub(super) async fn define(client: &Client) -> anyhow::Result<()> {
    let all: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (_, definition) in custom_resource_definitions() {
        let name = definition.name_any();
        all.patch(&name, &apply(), &Patch::Apply(&definition))
            .await?;
    }
    let start = Instant::now();
    while let Err(error) = models(client, "default").list(&ListParams::default()).await {
        if start.elapsed() > SERVED {
            return Err(error).context("ModelDeployments are not served");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// An empty namespace that enforces restricted pods.
pub(super) async fn namespace(client: &Client, name: &str) -> anyhow::Result<String> {
    remove(client, &[name]).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name,
        "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    namespaces
        .patch(name, &apply(), &Patch::Apply(&namespace))
        .await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), name);
    let model = base64::engine::general_purpose::STANDARD.encode(MODEL);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "linear"},
        "binaryData": {"model.onnx": model}});
    maps.patch("linear", &apply(), &Patch::Apply(&map)).await?;
    Ok(name.to_owned())
}

/// Applies `count` ModelDeployments `<prefix>-NNN` at once; seconds until the last is Ready.
pub(super) async fn apply_until_ready(
    setting: &Setting,
    namespace: &str,
    prefix: &str,
    count: usize,
) -> anyhow::Result<f64> {
    let models = models(&setting.client, namespace);
    let start = Instant::now();
    for index in 0..count {
        let name = format!("{prefix}-{index:03}");
        models
            .patch(&name, &apply(), &Patch::Apply(&model(&name)))
            .await?;
    }
    while start.elapsed() < PATIENCE {
        let all = models.list(&ListParams::default()).await?;
        let ready = all
            .iter()
            .filter(|model| {
                model
                    .metadata
                    .name
                    .as_deref()
                    .is_some_and(|name| name.starts_with(prefix))
            })
            .filter(|model| is_ready(&model.data))
            .count();
        if ready == count {
            return Ok(start.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{count} ModelDeployments were not Ready within {PATIENCE:?}")
}

/// Deletes all ModelDeployments of the namespace and waits until their pods are gone.
pub(super) async fn delete_all(setting: &Setting, namespace: &str) -> anyhow::Result<()> {
    let models = models(&setting.client, namespace);
    models
        .delete_collection(&DeleteParams::foreground(), &ListParams::default())
        .await?;
    let pods: Api<k8s_openapi::api::core::v1::Pod> =
        Api::namespaced(setting.client.clone(), namespace);
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let left = models.list(&ListParams::default()).await?.items.len()
            + pods.list(&ListParams::default()).await?.items.len();
        if left == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("the objects of namespace {namespace} are not gone after {PATIENCE:?}")
}

/// Deletes namespaces and waits until they are gone.
pub(super) async fn remove(client: &Client, names: &[&str]) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in names {
        if namespaces.get_opt(name).await?.is_some() {
            namespaces.delete(name, &DeleteParams::default()).await?;
        }
    }
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let mut left = 0;
        for name in names {
            left += usize::from(namespaces.get_opt(name).await?.is_some());
        }
        if left == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("namespaces {names:?} are not gone after {PATIENCE:?}")
}

/// ModelDeployments without their types: the figure is the cluster's, not the decoder's.
pub(super) fn models(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("aimass.dev", "v1alpha1", "ModelDeployment");
    let resource = ApiResource::from_gvk_with_plural(&kind, "modeldeployments");
    Api::namespaced_with(client.clone(), namespace, &resource)
}

pub(super) fn apply() -> PatchParams {
    PatchParams::apply("aimass-bench").force()
}

fn model(name: &str) -> Value {
    json!({"apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name},
        "spec": {
            "model": {"source": {"configMap": {"name": "linear"}}},
            // As little as runs, so that a hundred fit on one small node.
            "runtime": {"resources": {"requests": {"cpu": "5m", "memory": "64Mi"},
                                      "limits": {"memory": "160Mi"}}}}})
}

fn is_ready(model: &Value) -> bool {
    let conditions = model
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        let text = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or("");
        text("type") == "Ready" && text("status") == "True"
    })
}

/// A kind's API by its plural name, for objects that are copied as they are.
pub(super) fn dynamic(
    client: &Client,
    namespace: &str,
    object: &Value,
) -> anyhow::Result<Api<DynamicObject>> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let version = text("apiVersion").context("an object has an apiVersion")?;
    let kind = text("kind").context("an object has a kind")?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Ok(Api::namespaced_with(client.clone(), namespace, &resource))
}
