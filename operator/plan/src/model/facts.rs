//! How many pods each revision has, from what was observed.
//!
//! Pure. Called by the planner, before any decision.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;

use super::history::Known;
use super::names;
use super::observed::{Children, Pod};
use super::valid::Name;

/// The pods of one revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pods {
    /// `spec.replicas` of its Deployment; 0 without one.
    pub(crate) size: i32,
    /// Pods that are there and do not end.
    pub(crate) present: i32,
    /// Those that are ready and will stay: never more than `size`.
    pub(crate) ready: i32,
    /// Whether any pod is left, also one that ends.
    pub(crate) any: bool,
    /// Since when too few are ready, as Kubernetes says; `None`: enough are, or it does not say.
    pub(crate) unavailable: Option<Timestamp>,
}

/// The pods of all revisions that exist, by revision.
pub(crate) fn pods(
    name: &Name,
    history: &[Known],
    children: &Children,
    pods: &[Pod],
) -> BTreeMap<String, Pods> {
    history
        .iter()
        .map(|known| {
            let child = names::of_revision(name, &known.name);
            let mut found = children.deployments.get(&child).map(of).unwrap_or_default();
            found.any |= pods.iter().any(|pod| pod.revision == known.name);
            (known.name.clone(), found)
        })
        .collect()
}

/// The pods of one Deployment.
pub(crate) fn of(deployment: &Deployment) -> Pods {
    let size = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
        .max(0);
    let status = deployment.status.as_ref();
    let present = status
        .and_then(|status| status.replicas)
        .unwrap_or(0)
        .max(0);
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
    Pods {
        size,
        present,
        ready: ready.clamp(0, size),
        any: present > 0 || size > 0,
        unavailable: unavailable(deployment),
    }
}

fn unavailable(deployment: &Deployment) -> Option<Timestamp> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let available = conditions.iter().find(|c| c.type_ == "Available")?;
    let since = available.last_transition_time.as_ref()?;
    (available.status == "False").then_some(since.0)
}
