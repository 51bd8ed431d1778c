//! What the last reconcile left in status for this one.
//!
//! Pure. Called by the planner. Read are `status.stable` and `status.rollout`, nothing else; both
//! may be lost or forged, so what they name must exist.

use std::collections::BTreeMap;

use aimass_crds::ModelDeploymentStatus;
use aimass_crds::model_deployment::RolloutStatus;
use aimass_crds::reason::Reason;

use super::facts::Pods;
use super::history::Known;
use super::outlook::{Failed, RolloutMemory};

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The last revision that was rolled out completely.
    pub(crate) stable: Option<String>,
    /// The rollout under way, or the last one if it failed.
    pub(crate) rollout: Option<RolloutMemory>,
}

/// Reads the memory back.
pub(crate) fn read(
    status: Option<&ModelDeploymentStatus>,
    history: &[Known],
    pods: &BTreeMap<String, Pods>,
) -> Remembered {
    let written = status.filter(|status| !status.conditions.is_empty());
    let named = written
        .and_then(|status| status.stable.as_ref())
        .map(|stable| &stable.revision);
    let exists = |name: &String| history.iter().any(|known| known.name == *name);
    let lost = written.is_none() || named.is_some_and(|name| !exists(name));
    let stable = match named.filter(|name| exists(name)) {
        Some(name) => Some(name.clone()),
        None if lost => most_ready(history, pods),
        None => None,
    };
    Remembered {
        stable,
        rollout: written
            .and_then(|status| status.rollout.as_ref())
            .map(memory),
    }
}

/// Status lost: the revision with most ready pods, then the highest number.
fn most_ready(history: &[Known], pods: &BTreeMap<String, Pods>) -> Option<String> {
    let ready = |known: &Known| pods.get(&known.name).map_or(0, |pods| pods.ready);
    history
        .iter()
        .filter(|known| ready(known) > 0)
        .max_by_key(|known| (ready(known), known.number))
        .map(|known| known.name.clone())
}

fn memory(rollout: &RolloutStatus) -> RolloutMemory {
    RolloutMemory {
        revision: rollout.revision.clone(),
        started: rollout.started_at.0,
        step: rollout.step,
        step_started: rollout.step_started_at.as_ref().map(|time| time.0),
        failure: rollout.failure.as_ref().map(|failure| Failed {
            time: failure.time.0,
            reason: failure.reason.parse().unwrap_or(Reason::Failed),
            message: failure.message.clone(),
            pod: failure.pod.clone(),
        }),
    }
}
