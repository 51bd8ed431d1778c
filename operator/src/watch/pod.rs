//! A pod as `plan` knows it: the few fields that a status is made of.
//!
//! Pure. Called by `watch` for each event of the pods' stream, so that whole pods, ten times as
//! large, need not stay in memory; by `signals` for how far those have come that wake a model.

use aimass_crds::labels;
use aimass_plan::model::{Container, Pod, Terminated};
use k8s_openapi::api::core::v1;

use crate::cache::{Item, Key, key_of, version_of};

/// The pod as the cache keeps it, found by its model.
#[expect(
    clippy::needless_pass_by_value,
    reason = "all kinds' items are made from what they keep"
)]
pub(crate) fn item(pod: v1::Pod) -> Item<Pod> {
    let key = key_of(&pod);
    let model = label(&pod, labels::DEPLOYMENT).cloned();
    Item {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        version: version_of(&pod),
        group: model.as_ref().map(|model| group(&key.namespace, model)),
        model,
        value: project(&pod),
        key,
    }
}

/// Under what the pods of a model are found.
pub(crate) fn group(namespace: &str, model: &str) -> String {
    format!("{namespace}/{model}")
}

/// The model that a pod is of.
pub(crate) fn model(pod: &v1::Pod) -> Option<Key> {
    let name = label(pod, labels::DEPLOYMENT)?.clone();
    Some(Key {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name,
    })
}

/// How far a pod has come on its way to serving, as its conditions say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// `PodScheduled`: it has a node.
    pub(crate) scheduled: bool,
    /// `PodReadyToStartContainers`: it has volumes, a network and an address.
    pub(crate) sandbox: bool,
    /// `Initialized`: its init containers have started.
    pub(crate) initialized: bool,
    /// `Ready`.
    pub(crate) ready: bool,
}

/// How far a pod has come; `None`: it has ended, or is about to.
pub(crate) fn progress(pod: &v1::Pod) -> Option<Progress> {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    if pod.metadata.deletion_timestamp.is_some() || phase.is_some_and(has_ended) {
        return None;
    }
    Some(Progress {
        scheduled: holds(status, "PodScheduled"),
        sandbox: holds(status, "PodReadyToStartContainers"),
        initialized: holds(status, "Initialized"),
        ready: holds(status, "Ready"),
    })
}

/// Whether a pod of that `status.phase` never runs again.
pub(crate) fn has_ended(phase: &str) -> bool {
    ["Succeeded", "Failed"].contains(&phase)
}

fn project(pod: &v1::Pod) -> Pod {
    let metadata = &pod.metadata;
    let status = pod.status.as_ref();
    Pod {
        name: metadata.name.clone().unwrap_or_default(),
        revision: label(pod, labels::REVISION).cloned().unwrap_or_default(),
        created: metadata.creation_timestamp.as_ref().map(|time| time.0),
        deleting: metadata.deletion_timestamp.is_some(),
        ready: holds(status, "Ready"),
        phase: status
            .and_then(|status| status.phase.clone())
            .unwrap_or_default(),
        reason: status.and_then(|status| pair(status.reason.as_ref(), status.message.as_ref())),
        unschedulable: condition(status, "PodScheduled")
            .filter(|condition| condition.status == "False")
            .map(|condition| condition.message.clone().unwrap_or_default()),
        containers: containers(pod),
        volume_failures: Vec::new(),
    }
}

fn label<'a>(pod: &'a v1::Pod, name: &str) -> Option<&'a String> {
    pod.metadata.labels.as_ref()?.get(name)
}

/// Whether the condition is there, and `True`.
fn holds(status: Option<&v1::PodStatus>, kind: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition.status == "True")
}

fn condition<'a>(status: Option<&'a v1::PodStatus>, kind: &str) -> Option<&'a v1::PodCondition> {
    let conditions = status?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// The containers of the spec, init containers first, each with its status if it has one yet.
fn containers(pod: &v1::Pod) -> Vec<Container> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let main = status.and_then(|status| status.container_statuses.as_ref());
    let statuses: Vec<&v1::ContainerStatus> = init.into_iter().chain(main).flatten().collect();
    let declared = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let project = |container: &v1::Container| {
        let status = statuses.iter().find(|status| status.name == container.name);
        container_of(container, status.copied())
    };
    declared.map(project).collect()
}

fn container_of(container: &v1::Container, status: Option<&v1::ContainerStatus>) -> Container {
    let state = status.and_then(|status| status.state.as_ref());
    let last = status.and_then(|status| status.last_state.as_ref());
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let ended = |state: Option<&v1::ContainerState>| {
        state
            .and_then(|state| state.terminated.as_ref())
            .map(terminated)
    };
    Container {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        restarts: status.map_or(0, |status| status.restart_count),
        started: status.is_some_and(|status| status.started == Some(true)),
        running: state.is_some_and(|state| state.running.is_some()),
        waiting: waiting
            .and_then(|waiting| pair(waiting.reason.as_ref(), waiting.message.as_ref())),
        terminated: ended(state).or_else(|| ended(last)),
    }
}

fn terminated(state: &v1::ContainerStateTerminated) -> Terminated {
    Terminated {
        reason: state.reason.clone().unwrap_or_default(),
        exit_code: state.exit_code,
        message: state.message.clone().unwrap_or_default(),
    }
}

fn pair(reason: Option<&String>, message: Option<&String>) -> Option<(String, String)> {
    reason.map(|reason| (reason.clone(), message.cloned().unwrap_or_default()))
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "literals are passed")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> Pod {
        let pod = json!({
            "metadata": {
                "name": "iris-abc-1", "namespace": "a", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"aimass.dev/deployment": "iris", "aimass.dev/revision": "abc"},
            },
            "spec": {
                "initContainers": [{"name": "fetch", "image": "server:1"}],
                "containers": [{"name": "server", "image": "server:1"}],
            },
            "status": status,
        });
        let item = item(serde_json::from_value(pod).unwrap());
        assert_eq!((item.version, item.group.as_deref()), (7, Some("a/iris")));
        assert_eq!(item.model.as_deref(), Some("iris"));
        item.value
    }

    #[test]
    fn a_pod_without_status_has_its_containers_all_the_same() {
        let pod = pod(json!({}));
        assert_eq!(pod.revision, "abc");
        assert!(!pod.ready && !pod.deleting && pod.unschedulable.is_none());
        let names: Vec<&str> = pod.containers.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["fetch", "server"]);
    }

    #[test]
    fn a_ready_pod() {
        let pod =
            pod(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));
        assert!(pod.ready);
        assert_eq!(pod.phase, "Running");
    }

    #[test]
    fn how_far_a_pod_has_come_is_said_by_its_conditions() {
        let progress_of = |phase: &str, conditions: &[(&str, &str)]| {
            let conditions: Vec<Value> = conditions
                .iter()
                .map(|(kind, status)| json!({"type": kind, "status": status}))
                .collect();
            let pod = json!({"status": {"phase": phase, "conditions": conditions}});
            progress(&serde_json::from_value(pod).unwrap())
        };
        assert_eq!(progress_of("Pending", &[]), Some(Progress::default()));
        let came = progress_of(
            "Pending",
            &[
                ("PodScheduled", "True"),
                ("Initialized", "True"),
                ("PodReadyToStartContainers", "False"),
                ("Ready", "False"),
            ],
        );
        let expect = Progress {
            scheduled: true,
            initialized: true,
            ..Progress::default()
        };
        assert_eq!(came, Some(expect));
        assert_eq!(progress_of("Failed", &[("PodScheduled", "True")]), None);
    }

    #[test]
    fn an_unschedulable_pod_says_why() {
        let condition = json!({"type": "PodScheduled", "status": "False", "message": "0/1 nodes"});
        let pod = pod(json!({"phase": "Pending", "conditions": [condition]}));
        assert_eq!(pod.unschedulable.as_deref(), Some("0/1 nodes"));
    }

    #[test]
    fn a_container_that_waits_for_its_restart_still_says_how_it_ended() {
        let ended = json!({"exitCode": 3, "reason": "Error", "message": "{}"});
        let status = json!({
            "name": "server", "image": "", "imageID": "", "ready": false, "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
            "lastState": {"terminated": ended},
        });
        let pod = pod(json!({"containerStatuses": [status]}));
        let server = pod.containers.last().unwrap();
        assert_eq!(server.restarts, 2);
        assert_eq!(server.waiting.as_ref().unwrap().0, "CrashLoopBackOff");
        assert_eq!(server.terminated.as_ref().unwrap().exit_code, 3);
    }

    #[test]
    fn an_evicted_pod_says_why() {
        let pod = pod(json!({"phase": "Failed", "reason": "Evicted", "message": "disk"}));
        assert_eq!(pod.reason, Some(("Evicted".to_owned(), "disk".to_owned())));
    }
}
