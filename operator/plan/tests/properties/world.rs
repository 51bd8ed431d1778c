//! A world in memory for plans: children as an API server would keep them, pods as a kubelet would
//! bring them up. No fake API: only what a plan's result is fed back into.

use std::collections::BTreeMap;

use aimass_crds::ModelDeployment;
use aimass_crds::model_deployment::Weight;
use aimass_plan::model::objectives::Judged;
use aimass_plan::model::quota::Quota;
use aimass_plan::model::{
    Applied, Children, Counts, Decided, Desired, Gateway, Object, Observed, Outlook, Plan,
    Platform, Progress, Recommended, Reference, Rejection, Signals, Traces, Write, plan, status,
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
    /// The gateways that obey weights; `None`: nobody does.
    pub(crate) gateways: Option<BTreeMap<String, Obeying>>,
    /// How many pods the load calls for.
    pub(crate) recommended: Option<i32>,
    /// What was found out about its objectives.
    pub(crate) judged: Option<Judged>,
    /// How many pods there may be.
    pub(crate) quota: i32,
    /// What is answered by pods of a revision, with a restartToken, once all gateways obey.
    pub(crate) answers: fn(&str) -> Counts,
    version: u64,
}

/// A gateway: what it says, and the shares that it divides requests by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Obeying {
    pub(crate) said: Gateway,
    pub(crate) shares: Vec<Weight>,
}

/// Nobody counts anything.
fn nothing(_token: &str) -> Counts {
    Counts::default()
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
            gateways: None,
            recommended: None,
            judged: None,
            quota: i32::MAX,
            answers: nothing,
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
            signals: self.signals(),
            quotas: self.quotas(),
        }
    }

    /// A quota of pods, if there is one.
    fn quotas(&self) -> Vec<Quota> {
        let quota = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "small"},
            "status": {
                "hard": {"pods": self.quota.to_string()},
                "used": {"pods": self.present().to_string()},
            },
        }));
        let all = (self.quota < i32::MAX).then(|| Quota::of(&quota.unwrap()));
        all.into_iter().collect()
    }

    fn signals(&self) -> Signals {
        let Some(gateways) = &self.gateways else {
            return Signals::default();
        };
        let counts = self.children.deployments.keys().filter_map(|child| {
            let revision = child.rsplit('-').next()?.to_owned();
            let share = self.shares().get(&revision).copied().unwrap_or(0);
            let counts = (self.answers)(&self.token(child));
            (share > 0 && self.is_obeyed()).then_some((revision, counts))
        });
        Signals {
            expected: true,
            gateways: gateways
                .iter()
                .map(|(name, gateway)| (name.clone(), gateway.said.clone()))
                .collect(),
            recommended: self.recommended.map(|desired| Recommended {
                desired,
                limited_by: None,
                message: format!("{desired} in words"),
                held: None,
                waking: false,
            }),
            counts: counts.collect(),
            judged: self.judged.clone(),
        }
    }

    /// The shares as published.
    pub(crate) fn shares(&self) -> BTreeMap<String, i32> {
        let status = self.model.status.clone().unwrap_or_default();
        let shares = status.traffic.into_iter();
        shares.map(|w| (w.revision, w.weight)).collect()
    }

    pub(crate) fn traffic_version(&self) -> i64 {
        let status = self.model.status.as_ref();
        status.and_then(|s| s.traffic_version).unwrap_or(0)
    }

    /// Every gateway that is there obeys what is published, and says so.
    pub(crate) fn is_obeyed(&self) -> bool {
        let version = Some(self.traffic_version()).filter(|version| *version > 0);
        self.gateways.as_ref().is_none_or(|gateways| {
            !gateways.is_empty()
                && gateways.values().all(|gateway| {
                    !gateway.said.silent
                        && (version.is_none() || gateway.said.traffic_version == version)
                })
        })
    }

    /// A gateway takes over what is published; whether that is new to it.
    pub(crate) fn take_over(&mut self, name: &str) -> bool {
        let status = self.model.status.clone().unwrap_or_default();
        let Some(gateway) = self.gateways.as_mut().and_then(|g| g.get_mut(name)) else {
            return false;
        };
        let is_new = gateway.said.traffic_version != status.traffic_version;
        gateway.said.traffic_version = status.traffic_version;
        gateway.shares = status.traffic;
        is_new
    }

    /// Every gateway speaks and takes over what is published; whether anything is new.
    pub(crate) fn all_take_over(&mut self) -> bool {
        let mut is_new = false;
        let names: Vec<String> = self
            .gateways
            .iter()
            .flat_map(BTreeMap::keys)
            .cloned()
            .collect();
        for name in names {
            if let Some(gateway) = self.gateways.as_mut().and_then(|g| g.get_mut(&name)) {
                is_new |= std::mem::take(&mut gateway.said.silent);
            }
            is_new |= self.take_over(&name);
        }
        is_new
    }

    /// What was decided.
    pub(crate) fn decided(&self) -> Decided {
        match self.plan().unwrap().outlook {
            Outlook::Serving(decided) => *decided,
            Outlook::Deleting => panic!("it is being deleted"),
        }
    }

    /// The restartToken of a revision's Deployment, by name.
    pub(crate) fn token(&self, child: &str) -> String {
        let memory = self.children.controller_revisions.get(child);
        let data = memory.and_then(|memory| memory.data.as_ref());
        let token = data.and_then(|data| data.0.pointer("/identity/restartToken")?.as_str());
        token.unwrap_or_default().to_owned()
    }

    /// Pods of a revision: as wanted, there, ready.
    pub(crate) fn pods_of(&self, revision: &str) -> (i32, i32, i32) {
        let child = format!("{}-{revision}", self.model.metadata.name.clone().unwrap());
        let Some(deployment) = self.children.deployments.get(&child) else {
            return (0, 0, 0);
        };
        let status = deployment.status.clone().unwrap_or_default();
        let wanted = size(deployment);
        let ready = status.ready_replicas.unwrap_or(0).min(wanted);
        (wanted, status.replicas.unwrap_or(0), ready)
    }

    /// All pods that are there.
    pub(crate) fn present(&self) -> i32 {
        let replicas = |d: &Deployment| d.status.as_ref().and_then(|s| s.replicas).unwrap_or(0);
        self.sum(replicas)
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
            let moved = self.kubelet(i32::MAX) | self.all_take_over();
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
        self.decided().progress
    }

    /// At most `moves` pods come, turn ready or go; pods of a revision whose restartToken begins
    /// with `bad` never turn ready. Whether anything moved.
    pub(crate) fn kubelet(&mut self, moves: i32) -> bool {
        let mut left = moves;
        let mut moved = false;
        let mut room = self.quota.saturating_sub(self.present());
        let names = self.children.deployments.keys();
        let bad: BTreeMap<String, bool> = names
            .map(|name| (name.clone(), self.token(name).starts_with("bad")))
            .collect();
        for (name, deployment) in &mut self.children.deployments {
            let bad = bad.get(name) == Some(&true);
            let size = deployment.spec.as_ref().unwrap().replicas.unwrap();
            let status = deployment.status.get_or_insert_default();
            let mut replicas = status.replicas.unwrap_or(0);
            let mut ready = status.ready_replicas.unwrap_or(0).min(replicas);
            while left > 0 && replicas > size {
                // pods that are not ready go first
                replicas -= 1;
                room += 1;
                ready = ready.min(replicas);
                left -= 1;
                moved = true;
            }
            while left > 0 && replicas < size && room > 0 {
                replicas += 1;
                room -= 1;
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
