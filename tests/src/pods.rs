//! A stand-in for the kubelet, where a lane has none: it plays pods through their status.
//!
//! It creates nothing. The pods are those that the real ReplicaSet controller makes; each gets the
//! conditions and container states of its [`Behaviour`], as a kubelet would report them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::cluster::Namespace;

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Runs and is ready.
    Ready,
    /// Runs and never turns ready.
    NotReady,
    /// Nothing happens to it.
    Untouched,
    /// No node takes it, for this reason.
    Unschedulable(String),
    /// A container waits: `ImagePullBackOff`, `CreateContainerConfigError` …
    Waiting {
        /// The kubelet's word.
        reason: String,
        /// What it says.
        message: String,
    },
    /// A container ends again and again.
    Ends {
        /// `Error`, `OOMKilled`.
        reason: String,
        /// Of the process.
        exit_code: i32,
        /// What it left in its termination log.
        message: String,
        /// So often up to now.
        restarts: i32,
    },
}

type Script = Box<dyn Fn(&Pod) -> Behaviour + Send>;

/// The stand-in, for one namespace; it stops when it is dropped.
pub struct Kubelet {
    script: Arc<Mutex<Script>>,
    changed: Arc<Notify>,
    _task: JoinSet<()>,
}

impl Kubelet {
    /// Plays the pods of `ns`, all of them ready until told otherwise.
    #[must_use]
    pub fn start(ns: &Namespace) -> Self {
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(|_| Behaviour::Ready)));
        let changed = Arc::new(Notify::new());
        let mut task = JoinSet::new();
        task.spawn(play(ns.api(), Arc::clone(&script), Arc::clone(&changed)));
        Self {
            script,
            changed,
            _task: task,
        }
    }

    /// Stands for the real one, where the lane has it: does nothing.
    #[must_use]
    pub fn absent() -> Self {
        Self {
            script: Arc::new(Mutex::new(Box::new(|_| Behaviour::Untouched))),
            changed: Arc::new(Notify::new()),
            _task: JoinSet::new(),
        }
    }

    /// What becomes of pods from now on, of those that are there already too.
    pub fn script(&self, script: impl Fn(&Pod) -> Behaviour + Send + 'static) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(script);
        self.changed.notify_one();
    }

    /// The same for every pod.
    pub fn all(&self, behaviour: Behaviour) {
        self.script(move |_| behaviour.clone());
    }

    /// The same for every pod but those of `revision`, which are ready.
    pub fn all_but(&self, revision: &str, behaviour: Behaviour) {
        let revision = revision.to_owned();
        self.script(move |pod| {
            if pod.labels().get("aimass.dev/revision") == Some(&revision) {
                Behaviour::Ready
            } else {
                behaviour.clone()
            }
        });
    }
}

async fn play(pods: Api<Pod>, script: Arc<Mutex<Script>>, changed: Arc<Notify>) {
    let events = watcher(pods.clone(), watcher::Config::default()).default_backoff();
    let mut events = events.boxed();
    let mut known: BTreeMap<String, (Pod, Option<Behaviour>)> = BTreeMap::new();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod))) => {
                    let played = known.remove(&pod.name_any()).and_then(|(old, behaviour)| {
                        behaviour.filter(|_| old.uid() == pod.uid())
                    });
                    known.insert(pod.name_any(), (pod, played));
                }
                Some(Ok(watcher::Event::Delete(pod))) => {
                    known.remove(&pod.name_any());
                }
                Some(Ok(watcher::Event::Init | watcher::Event::InitDone)) => {}
                Some(Err(_)) => tokio::time::sleep(Duration::from_millis(200)).await,
                None => return,
            },
            () = changed.notified() => {}
        }
        for (pod, played) in known.values_mut() {
            let wanted = {
                let script = script.lock().unwrap_or_else(PoisonError::into_inner);
                script(pod)
            };
            if played.as_ref() == Some(&wanted) || pod.metadata.deletion_timestamp.is_some() {
                continue;
            }
            if report(&pods, pod, &wanted).await {
                *played = Some(wanted);
            }
        }
    }
}

/// Whether it need not be done again.
async fn report(pods: &Api<Pod>, pod: &Pod, behaviour: &Behaviour) -> bool {
    let Some(status) = status(pod, behaviour) else {
        return true;
    };
    let patch = json!({"metadata": {"uid": pod.uid()}, "status": status});
    let params = PatchParams::default();
    match pods
        .patch_status(&pod.name_any(), &params, &Patch::Merge(&patch))
        .await
    {
        Ok(_) => true,
        // Gone, or another one of that name.
        Err(kube::Error::Api(status)) => matches!(status.code, 404 | 409 | 422),
        Err(_) => false,
    }
}

fn status(pod: &Pod, behaviour: &Behaviour) -> Option<Value> {
    let scheduled = !matches!(behaviour, Behaviour::Unschedulable(_));
    let ready = *behaviour == Behaviour::Ready;
    let truth = |is: bool| if is { "True" } else { "False" };
    let (mut reason, mut message) = (None, None);
    let mut phase = "Pending";
    let container_state = match behaviour {
        Behaviour::Untouched => return None,
        Behaviour::Ready | Behaviour::NotReady => {
            phase = "Running";
            json!({"state": {"running": {"startedAt": now()}}, "restartCount": 0})
        }
        Behaviour::Unschedulable(told) => {
            (reason, message) = (Some("Unschedulable"), Some(told));
            json!({})
        }
        Behaviour::Waiting { reason, message } => json!({
            "state": {"waiting": {"reason": reason, "message": message}}, "restartCount": 0,
        }),
        Behaviour::Ends {
            reason,
            exit_code,
            message,
            restarts,
        } => {
            phase = "Running";
            json!({
                "state": {"waiting": {
                    "reason": "CrashLoopBackOff",
                    "message": "back-off 10s restarting failed container",
                }},
                "lastState": {"terminated": {
                    "reason": reason, "exitCode": exit_code, "message": message,
                    "startedAt": now(), "finishedAt": now(),
                }},
                "restartCount": restarts,
            })
        }
    };
    let mut conditions = vec![json!({
        "type": "PodScheduled", "status": truth(scheduled), "reason": reason, "message": message,
    })];
    if scheduled {
        for (kind, is) in [
            ("Initialized", true),
            ("ContainersReady", ready),
            ("Ready", ready),
        ] {
            conditions.push(json!({
                "type": kind, "status": truth(is), "lastTransitionTime": now(),
            }));
        }
    }
    let spec = pod.spec.clone().unwrap_or_default();
    let container_statuses: Vec<Value> = spec
        .containers
        .iter()
        .filter(|_| scheduled)
        .map(|container| {
            let started = phase == "Running" && ready;
            let mut status = json!({
                "name": container.name, "image": container.image, "imageID": "",
                "ready": ready, "started": started,
            });
            let both = (status.as_object_mut(), container_state.as_object());
            if let (Some(status), Some(state)) = both {
                status.extend(state.clone());
            }
            status
        })
        .collect();
    let init_container_statuses: Vec<Value> = spec
        .init_containers
        .unwrap_or_default()
        .iter()
        .filter(|_| scheduled)
        .map(|container| {
            json!({
                "name": container.name, "image": container.image, "imageID": "",
                "ready": true, "started": true, "restartCount": 0,
                "state": {"running": {"startedAt": now()}},
            })
        })
        .collect();
    Some(json!({
        "phase": phase,
        "conditions": conditions,
        "containerStatuses": container_statuses,
        "initContainerStatuses": init_container_statuses,
    }))
}

fn now() -> String {
    let now = aimass_chassis::clock::now();
    format!("{now:.0}")
}
