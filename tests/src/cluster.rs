//! The cluster of a lane, and a namespace of its own for each test.
//!
//! Talks to the API server with the administrator's rights of the kubeconfig; the operator under
//! test gets a token of a ServiceAccount with the chart's rules.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, Patch, PatchParams, PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::args::Args;
use crate::audit::Audit;
use crate::eventually::eventually;

mod namespace;

pub use namespace::{Everywhere, Namespace};

/// The ServiceAccount under which the operator runs.
pub const ACCOUNT: &str = "aimass-operator";

/// The label of namespaces whose pods are played.
const PLAYED: &str = "aimass.test/played";
/// The name of the policy that keeps schedulers away from them.
const PLAYED_POLICY: &str = "aimass-tests-played";

/// The cluster of the lane.
#[derive(Clone)]
pub struct Cluster {
    /// With the administrator's rights.
    pub client: Client,
    /// Behind that client.
    pub config: Config,
    /// What the API server writes down.
    pub audit: Audit,
    args: Args,
}

impl Cluster {
    /// Connects to the lane's cluster, and sees to it that the custom resource definitions are there.
    ///
    /// # Panics
    /// Without a cluster: a test that cannot run fails and says how.
    pub async fn connect() -> Self {
        Self::of(Args::read()).await
    }

    /// The same for a cluster that is named otherwise than by the environment.
    ///
    /// # Panics
    /// As [`Cluster::connect`].
    pub async fn of(args: Args) -> Self {
        aimass_chassis::tls::install();
        let none = "no API server: run `cargo xtask test api`, which starts one";
        let path = args.kubeconfig.as_ref().unwrap_or_else(|| panic!("{none}"));
        let audit = args.audit.as_ref().unwrap_or_else(|| panic!("{none}"));
        let kubeconfig = Kubeconfig::read_from(path).unwrap_or_else(|e| panic!("{none} ({e})"));
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap_or_else(|e| panic!("{none} ({e})"));
        config.connect_timeout = Some(Duration::from_secs(5));
        let client = Client::try_from(config.clone()).unwrap_or_else(|e| panic!("{none} ({e})"));
        if let Err(error) = client.apiserver_version().await {
            panic!("{none} ({error})");
        }
        let cluster = Self {
            client,
            config,
            audit: Audit::new(audit.clone()),
            args,
        };
        static DEFINED: OnceCell<()> = OnceCell::const_new();
        DEFINED.get_or_init(|| cluster.define()).await;
        cluster
    }

    /// The seed of this run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.args.seed()
    }

    /// The program that renders the chart, if there is one.
    #[must_use]
    pub fn helm(&self) -> Option<&Path> {
        self.args.helm.as_deref()
    }

    /// `--plan`, if one plan is to be replayed.
    #[must_use]
    pub fn plan(&self) -> Option<&str> {
        self.args.plan.as_deref()
    }

    /// Applies the definitions and waits until they are served.
    async fn define(&self) {
        self.hide_pods().await;
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for object in definitions() {
            let name = object.name_any();
            let params = PatchParams::apply("aimass-tests").force();
            api.patch(&name, &params, &Patch::Apply(&object))
                .await
                .unwrap_or_else(|e| panic!("the API server refuses {name}: {e}"));
            let wait = Duration::from_secs(10);
            eventually(wait, "the definition is established", || async {
                let object = api.get(&name).await.map_err(|e| e.to_string())?;
                let conditions = object.status.and_then(|s| s.conditions).unwrap_or_default();
                let there = |c: &_| is_established(c);
                conditions
                    .iter()
                    .any(there)
                    .then_some(())
                    .ok_or(format!("{conditions:?}"))
            })
            .await;
        }
    }

    /// Sees to it that no scheduler, where the cluster has one, meddles with pods that are played.
    async fn hide_pods(&self) {
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": PLAYED_POLICY},
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {PLAYED: "true"}},
                    "resourceRules": [{
                        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                        "operations": ["CREATE"],
                    }],
                },
                "mutations": [{
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {
                        "expression": "Object{spec: Object.spec{schedulerName: 'nobody'}}",
                    },
                }],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": PLAYED_POLICY},
            "spec": {"policyName": PLAYED_POLICY},
        });
        for (kind, object) in [
            ("MutatingAdmissionPolicy", policy),
            ("MutatingAdmissionPolicyBinding", binding),
        ] {
            let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
            let api: Api<DynamicObject> =
                Api::all_with(self.client.clone(), &ApiResource::from_gvk(&kind));
            let params = PatchParams::apply("aimass-tests").force();
            api.patch(PLAYED_POLICY, &params, &Patch::Apply(&object))
                .await
                .unwrap_or_else(|e| panic!("the API server refuses {kind:?}: {e}"));
        }
    }

    /// A namespace `t-<test>-<seed>-<count>` with Pod Security `restricted`, and in it the
    /// operator's ServiceAccount with the rules of the chart. No scheduler sees its pods, also where
    /// the cluster has one: [`crate::pods`] plays them.
    ///
    /// # Panics
    /// If the API server refuses any of it.
    pub async fn namespace(&self, test: &str) -> Namespace {
        let namespace = self.namespace_with(test, Some((PLAYED, "true"))).await;
        // A policy that was just made takes effect a moment later.
        let pods: Api<Pod> = namespace.api();
        let probe: Pod = serde_json::from_value(json!({
            "metadata": {"name": "probe"},
            "spec": {
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{"name": "probe", "image": "probe", "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                }}],
            },
        }))
        .expect("a pod");
        let params = PostParams {
            dry_run: true,
            field_manager: None,
        };
        let wait = Duration::from_secs(20);
        eventually(wait, "no scheduler sees the namespace's pods", || async {
            let pod = pods
                .create(&params, &probe)
                .await
                .map_err(|e| e.to_string())?;
            let scheduler = pod.spec.and_then(|s| s.scheduler_name);
            if scheduler.as_deref() == Some("nobody") {
                Ok(())
            } else {
                Err(format!("{scheduler:?}"))
            }
        })
        .await;
        namespace
    }

    /// The same, for pods that really run.
    ///
    /// # Panics
    /// If the API server refuses any of it.
    pub async fn namespace_on_node(&self, test: &str) -> Namespace {
        self.namespace_with(test, None).await
    }

    async fn namespace_with(&self, test: &str, label: Option<(&str, &str)>) -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let short: String = test.replace('_', "-").chars().take(40).collect();
        let short = short.trim_end_matches('-');
        let name = format!("t-{short}-{}-{count}", self.seed());
        let mut labels = BTreeMap::from([
            (
                "pod-security.kubernetes.io/enforce".to_owned(),
                "restricted".to_owned(),
            ),
            ("aimass.test/test".to_owned(), short.to_owned()),
        ]);
        labels.extend(label.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let mark = self.audit.mark();
        let object = NamespaceObject {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            ..NamespaceObject::default()
        };
        let api: Api<NamespaceObject> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &object)
            .await
            .unwrap_or_else(|e| panic!("the API server refuses namespace {name}: {e}"));
        let namespace = Namespace {
            name,
            client: self.client.clone(),
            cluster: self.clone(),
            mark,
            judged: false,
        };
        namespace.admit_operator().await;
        // Until its ServiceAccount is there, pods of the namespace are refused, and the ReplicaSet
        // waits longer and longer before it tries again.
        let accounts: Api<ServiceAccount> = namespace.api();
        let wait = Duration::from_secs(30);
        eventually(wait, "the namespace has its ServiceAccount", || async {
            let found = accounts
                .get_opt("default")
                .await
                .map_err(|e| e.to_string())?;
            found.map(|_| ()).ok_or("not yet".to_owned())
        })
        .await;
        namespace
    }
}

fn is_established(
    condition: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionCondition,
) -> bool {
    condition.type_ == "Established" && condition.status == "True"
}

/// The custom resource definitions, as `crds/yaml` has them.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let all = aimass_crds::all::custom_resource_definitions();
    all.into_iter().map(|(_, definition)| definition).collect()
}
