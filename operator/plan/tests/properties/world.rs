//! A world in memory for plans: children as an API server would keep them, pods as a kubelet would
//! bring them up. No fake API: only what a plan's result is fed back into.

use std::collections::BTreeMap;

use aimass_crds::ModelDeployment;
use aimass_plan::model::{
    Applied, Children, Desired, Object, Observed, Outlook, Plan, Platform, Progress, Reference,
    Rejection, Traces, Write, plan, status,
};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// The image of the model server in all tests.
pub(crate) const IMAGE: &str = "aimass.test/aimass-server:dev";

/// One object and its namespace.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// As a user wrote it, with the status as last reported.
    pub(crate) model: ModelDeployment,
    /// What the source refers to.
    pub(crate) reference: Reference,
    /// What the installation says of traces.
    pub(crate) traces: Option<Traces>,
    /// As the API server has them.
    pub(crate) children: Children,
    /// The wall clock, in seconds.
    pub(crate) clock: i64,
    /// Namespace of the gateways, if there are any.
    pub(crate) gateway: Option<String>,
    version: u64,
}

impl World {
    /// A world with the model of a YAML text and a ConfigMap with one file.
    pub(crate) fn new(yaml: &str) -> Self {
        let mut model: ModelDeployment = serde_saphyr::from_str(yaml).unwrap();
        model
            .metadata
            .namespace
            .get_or_insert_with(|| "default".to_owned());
        model.metadata.uid = Some("11111111-1111-1111-1111-111111111111".to_owned());
        model.metadata.generation = Some(1);
        Self {
            model,
            reference: files(&[("model.onnx", "weights")]),
            traces: None,
            children: Children::default(),
            clock: 1_800_000_000,
            gateway: Some("aimass-system".to_owned()),
            version: 1,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock).unwrap()
    }

    pub(crate) fn observed(&self) -> Observed {
        Observed {
            now: self.now(),
            platform: Platform {
                server_image: IMAGE.to_owned(),
                onnxruntime_image: None,
                allow_http: false,
                allow_hosts: vec!["models.internal".to_owned()],
                traces: self.traces.clone(),
                gateway_url: None,
                gateway_namespace: self.gateway.clone(),
                operator_namespace: Some("aimass-system".to_owned()),
            },
            reference: self.reference.clone(),
            children: self.children.clone(),
            pods: Vec::new(),
            signals: aimass_plan::model::Signals::default(),
        }
    }

    pub(crate) fn plan(&self) -> Result<Plan, Rejection> {
        plan(&self.model, &self.observed())
    }

    /// One reconcile; `writes` bounds what is written before a crash. How many writes were wanted.
    pub(crate) fn reconcile(&mut self, writes: usize) -> usize {
        let plan = self.plan().unwrap();
        let wanted = writes_of(&plan);
        let Plan {
            objects,
            prune,
            outlook,
        } = plan;
        let mut left = writes;
        for Desired { object, write } in objects {
            if write == Write::Keep {
                continue;
            }
            if left == 0 {
                return wanted;
            }
            left -= 1;
            self.apply(object);
        }
        for gone in prune {
            if left == 0 {
                return wanted;
            }
            left -= 1;
            self.children
                .deployments
                .retain(|_, child| !is(&child.metadata, &gone.uid));
            self.children
                .services
                .retain(|_, child| !is(&child.metadata, &gone.uid));
            self.children
                .config_maps
                .retain(|_, metadata| !is(metadata, &gone.uid));
            self.children
                .controller_revisions
                .retain(|_, child| !is(&child.metadata, &gone.uid));
            self.children
                .disruption_budgets
                .retain(|_, child| !is(&child.metadata, &gone.uid));
            self.children
                .network_policies
                .retain(|_, child| !is(&child.metadata, &gone.uid));
        }
        if left == 0 && wanted > 0 {
            return wanted;
        }
        let applied = Applied {
            outlook,
            children: self.children.clone(),
            pods: Vec::new(),
        };
        self.model.status = Some(status(&self.model, Ok(&applied), self.now()));
        wanted
    }

    /// Reconciles and lets pods come and go until nothing changes; the progress then.
    pub(crate) fn settle(&mut self) -> Progress {
        for _ in 0..400 {
            let wanted = self.reconcile(usize::MAX);
            let moved = self.kubelet(i32::MAX);
            if wanted == 0 && !moved && self.at_rest() {
                return self.progress();
            }
        }
        panic!("no rest after 400 rounds: {:#?}", self.model.status);
    }

    /// Nothing to write, nothing to report, at no later time.
    fn at_rest(&mut self) -> bool {
        let before = self.model.status.clone();
        self.clock += 100_000;
        self.reconcile(usize::MAX) == 0 && self.model.status == before
    }

    pub(crate) fn progress(&self) -> Progress {
        match self.plan().unwrap().outlook {
            Outlook::Serving(decided) => decided.progress,
            Outlook::Deleting => panic!("it is being deleted"),
        }
    }

    /// At most `moves` pods come, turn ready or go; pods of a revision whose restartToken begins
    /// with `bad` never turn ready. Whether anything moved.
    pub(crate) fn kubelet(&mut self, moves: i32) -> bool {
        let mut left = moves;
        let mut moved = false;
        for (name, deployment) in &mut self.children.deployments {
            let memory = self.children.controller_revisions.get(name);
            let token = memory
                .and_then(|memory| memory.data.as_ref())
                .and_then(|data| {
                    data.0
                        .pointer("/identity/restartToken")?
                        .as_str()
                        .map(str::to_owned)
                });
            let bad = token.is_some_and(|token| token.starts_with("bad"));
            let size = deployment.spec.as_ref().unwrap().replicas.unwrap();
            let status = deployment.status.get_or_insert_default();
            let mut replicas = status.replicas.unwrap_or(0);
            let mut ready = status.ready_replicas.unwrap_or(0).min(replicas);
            while left > 0 && replicas > size {
                // pods that are not ready go first
                replicas -= 1;
                ready = ready.min(replicas);
                left -= 1;
                moved = true;
            }
            while left > 0 && replicas < size {
                replicas += 1;
                left -= 1;
                moved = true;
            }
            while left > 0 && ready < replicas && !bad {
                ready += 1;
                left -= 1;
                moved = true;
            }
            *status = DeploymentStatus {
                replicas: Some(replicas),
                ready_replicas: Some(ready),
                ..DeploymentStatus::default()
            };
        }
        moved
    }

    /// Ready pods over all revisions.
    pub(crate) fn ready(&self) -> i32 {
        self.sum(|deployment| {
            deployment
                .status
                .as_ref()
                .and_then(|s| s.ready_replicas)
                .unwrap_or(0)
        })
    }

    /// Ready pods that stay, whatever a ReplicaSet controller takes away.
    pub(crate) fn kept_ready(&self) -> i32 {
        self.sum(|deployment| {
            let ready = deployment
                .status
                .as_ref()
                .and_then(|s| s.ready_replicas)
                .unwrap_or(0);
            ready.min(size(deployment))
        })
    }

    /// The sizes of all revisions.
    pub(crate) fn sizes(&self) -> BTreeMap<String, i32> {
        self.children
            .deployments
            .iter()
            .map(|(name, d)| (name.clone(), size(d)))
            .collect()
    }

    fn sum(&self, of: impl Fn(&Deployment) -> i32) -> i32 {
        self.children.deployments.values().map(of).sum()
    }

    /// What server-side apply and defaulting make of an object.
    fn apply(&mut self, object: Object) {
        self.version += 1;
        let version = self.version;
        let created = Time(self.now());
        let stamp = |metadata: &mut ObjectMeta, before: Option<&ObjectMeta>| {
            let fresh = ObjectMeta {
                uid: Some(format!("uid-{version}")),
                creation_timestamp: Some(created.clone()),
                ..ObjectMeta::default()
            };
            let before = before.cloned().unwrap_or(fresh);
            metadata.uid = before.uid;
            metadata.creation_timestamp = before.creation_timestamp;
            metadata.resource_version = Some(version.to_string());
        };
        match object {
            Object::ConfigMap(mut object) => {
                let name = object.metadata.name.clone().unwrap();
                stamp(&mut object.metadata, self.children.config_maps.get(&name));
                self.children.config_maps.insert(name, object.metadata);
            }
            Object::ControllerRevision(mut object) => {
                let name = object.metadata.name.clone().unwrap();
                let before = self.children.controller_revisions.get(&name);
                if let Some(before) = before {
                    assert_eq!(before.data, object.data, "the API server refuses this");
                }
                stamp(&mut object.metadata, before.map(|before| &before.metadata));
                self.children.controller_revisions.insert(name, *object);
            }
            Object::Service(mut object) => {
                let name = object.metadata.name.clone().unwrap();
                let before = self
                    .children
                    .services
                    .get(&name)
                    .map(|before| &before.metadata);
                stamp(&mut object.metadata, before);
                let spec = object.spec.as_mut().unwrap();
                spec.cluster_ip.get_or_insert_with(|| "10.0.0.1".to_owned());
                spec.session_affinity = Some("None".to_owned());
                self.children.services.insert(name, *object);
            }
            Object::Deployment(mut object) => {
                let name = object.metadata.name.clone().unwrap();
                let before = self.children.deployments.get(&name);
                stamp(&mut object.metadata, before.map(|before| &before.metadata));
                object.status = before.and_then(|before| before.status.clone());
                let annotations = object.metadata.annotations.get_or_insert_default();
                annotations.insert(
                    "deployment.kubernetes.io/revision".to_owned(),
                    "1".to_owned(),
                );
                let pod = object
                    .spec
                    .as_mut()
                    .unwrap()
                    .template
                    .spec
                    .as_mut()
                    .unwrap();
                pod.restart_policy = Some("Always".to_owned());
                pod.dns_policy = Some("ClusterFirst".to_owned());
                self.children.deployments.insert(name, *object);
            }
            Object::PodDisruptionBudget(mut object) => {
                let name = object.metadata.name.clone().unwrap();
                let before = self.children.disruption_budgets.get(&name);
                stamp(&mut object.metadata, before.map(|before| &before.metadata));
                self.children.disruption_budgets.insert(name, *object);
            }
            Object::NetworkPolicy(mut object) => {
                let name = object.metadata.name.clone().unwrap();
                let before = self.children.network_policies.get(&name);
                stamp(&mut object.metadata, before.map(|before| &before.metadata));
                self.children.network_policies.insert(name, *object);
            }
        }
    }
}

/// A ConfigMap's files.
pub(crate) fn files(list: &[(&str, &str)]) -> Reference {
    Reference::ConfigMap(
        list.iter()
            .map(|(name, text)| ((*name).to_owned(), ByteString(text.as_bytes().to_vec())))
            .collect(),
    )
}

/// How many requests a plan needs.
pub(crate) fn writes_of(plan: &Plan) -> usize {
    plan.objects
        .iter()
        .filter(|desired| desired.write != Write::Keep)
        .count()
        + plan.prune.len()
}

fn size(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().unwrap().replicas.unwrap()
}

fn is(metadata: &ObjectMeta, uid: &str) -> bool {
    metadata.uid.as_deref() == Some(uid)
}
