//! The gateway as the chart installs it, in the namespace of a test: two pods of the real image, with the chart's rights.
//!
//! Called by lane `node` and `cargo xtask bench scale`. What is not in the namespace is deleted by [`Gateway::remove`].

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::TypeMeta;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::args::repository;
use crate::client::Caller;
use crate::cluster::{Everywhere, Namespace};
use crate::eventually;

/// The image, as the node has it.
const IMAGE: &str = "aimass.test/aimass-gateway:dev";
/// What the chart calls it.
pub const NAME: &str = "aimass-gateway";
/// TensorFlow Serving's port of its Service.
const PORT: u16 = 8501;
/// Until both pods are ready.
const READY: Duration = Duration::from_secs(60);
/// The chart's files that are about the gateway.
const TEMPLATES: [&str; 5] = [
    "gateway-rights",
    "gateway-network-policy",
    "gateway-service",
    "gateway-disruption-budget",
    "gateway",
];

/// A gateway that serves the models of one namespace.
pub struct Gateway {
    address: SocketAddr,
    rights: Everywhere,
}

impl Gateway {
    /// Installs it and waits until it is ready.
    ///
    /// # Panics
    /// If the chart does not render, the API server refuses an object, or the pods do not get ready.
    pub async fn install(ns: &Namespace) -> Self {
        for document in render(ns) {
            apply(ns, &document).await;
        }
        rolled_out(ns).await;
        Self {
            address: address(ns).await,
            rights: Everywhere::of(format!("{NAME}-{}", ns.name), &ns.client),
        }
    }

    /// Takes back what is not in the namespace.
    pub async fn remove(self) {
        self.rights.revoke().await;
    }

    /// A caller without a key.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::new(self.address)
    }

    /// Replaces its pods one after the other, as `kubectl rollout restart` does, and waits for the end.
    ///
    /// # Panics
    /// If the API server refuses, or the pods do not get ready.
    pub async fn restart(&self, ns: &Namespace, why: &str) {
        let annotations = json!({"aimass.test/restarted": why});
        let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
        let api: Api<Deployment> = ns.api();
        api.patch(NAME, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect("the Deployment can be changed");
        rolled_out(ns).await;
    }
}

/// The chart's objects of the gateway, as helm makes them.
fn render(ns: &Namespace) -> Vec<DynamicObject> {
    let helm = ns.cluster.helm();
    let helm = helm.expect("helm: run `cargo xtask test node`, which builds it");
    let mut command = Command::new(helm);
    command
        .args(["template", "aimass"])
        .arg(repository().join("charts/aimass"))
        .args(["--namespace", &ns.name])
        .arg(format!("--set-string=watchNamespace={}", ns.name))
        .arg(format!("--set-string=gateway.image={IMAGE}"))
        .arg(format!("--set-string=gateway.defaultProject={}", ns.name))
        // Two nodes' worth of pods share one here.
        .arg("--set-string=gateway.resources.requests.cpu=10m")
        .arg("--set-string=gateway.resources.requests.memory=32Mi");
    for template in TEMPLATES {
        command.arg(format!("--show-only=templates/{template}.yaml"));
    }
    let output = command.output().expect("helm starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm: {errors}");
    let text = String::from_utf8(output.stdout).expect("helm prints UTF-8");
    serde_saphyr::from_multiple(&text).expect("helm prints objects")
}

async fn apply(ns: &Namespace, object: &DynamicObject) {
    let kind = object.types.clone().unwrap_or(TypeMeta {
        api_version: String::new(),
        kind: String::new(),
    });
    let version = kube::core::GroupVersionKind::try_from(&kind).expect("a kind with its version");
    let resource = ApiResource::from_gvk(&version);
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(ns.client.clone(), namespace, &resource),
        None => Api::all_with(ns.client.clone(), &resource),
    };
    let params = PatchParams::apply("aimass-tests").force();
    let name = object.name_any();
    api.patch(&name, &params, &Patch::Apply(object))
        .await
        .unwrap_or_else(|e| panic!("the API server refuses {} {name}: {e}", kind.kind));
}

/// Waits until all pods are of the present template and ready, and those before are told to go.
async fn rolled_out(ns: &Namespace) {
    let api: Api<Deployment> = ns.api();
    eventually(READY, "the gateways are ready", || async {
        let object = api.get(NAME).await.map_err(|e| e.to_string())?;
        let generation = object.metadata.generation;
        let wanted = object.spec.and_then(|spec| spec.replicas);
        let status = object.status.unwrap_or_default();
        let done = status.observed_generation == generation
            && status.updated_replicas == wanted
            && status.ready_replicas == wanted
            && status.replicas == wanted;
        done.then_some(()).ok_or(format!("{status:?}"))
    })
    .await;
}

async fn address(ns: &Namespace) -> SocketAddr {
    let services: Api<Service> = ns.api();
    let service = services.get(NAME).await.expect("the gateway has a Service");
    let text = service.spec.and_then(|spec| spec.cluster_ip);
    let ip: Option<IpAddr> = text.and_then(|ip| ip.parse().ok());
    SocketAddr::new(ip.expect("the Service has an address"), PORT)
}
