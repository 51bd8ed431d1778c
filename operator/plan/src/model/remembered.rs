//! What the last reconcile left in status for this one.
//!
//! Pure. Called by the planner. Read are `stable`, `traffic`, `trafficVersion` and `rollout`, and since
//! when the condition `Routed` says what it says; all may be lost or forged, so what they name must
//! exist. `size` reads `scaling` besides, `objectives` its own condition; nothing else of status is read.

use std::collections::BTreeMap;

use aimass_crds::condition::ConditionType;
use aimass_crds::model_deployment::{CheckStatus, RolloutStatus};
use aimass_crds::reason::Reason;
use aimass_crds::{ModelDeploymentStatus, model_deployment};
use jiff::Timestamp;

use super::analysis::{CheckResult, CheckVerdict, Metric};
use super::facts::Pods;
use super::history::Known;
use super::outlook::{Failed, RolloutMemory};
use super::traffic::Traffic;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The last revision that was rolled out completely.
    pub(crate) stable: Option<String>,
    /// The share of each revision in the requests.
    pub(crate) traffic: Traffic,
    /// Counted up with each change of `traffic`; 0 before the first.
    pub(crate) version: i64,
    /// The rollout under way, or the last one if it failed.
    pub(crate) rollout: Option<RolloutMemory>,
}

/// What was read, and how far it can be relied on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// What is remembered.
    pub(crate) memory: Remembered,
    /// Status, or a part that matters, was lost: nothing may be taken away by it.
    pub(crate) is_lost: bool,
    /// Since when all gateways obey, by what status says.
    pub(crate) obeyed_since: Option<Timestamp>,
    /// Since when not all do.
    pub(crate) lagging_since: Option<Timestamp>,
}

/// Reads the memory back.
pub(crate) fn read(
    status: Option<&ModelDeploymentStatus>,
    history: &[Known],
    pods: &BTreeMap<String, Pods>,
) -> Read {
    let Some(status) = status.filter(|status| !status.conditions.is_empty()) else {
        let memory = Remembered {
            stable: most_ready(history, pods),
            ..Remembered::default()
        };
        return Read {
            memory,
            is_lost: true,
            ..Read::default()
        };
    };
    let exists = |name: &str| history.iter().any(|known| known.name == name);
    let named = status.stable.as_ref().map(|stable| &stable.revision);
    let gone = named.is_some_and(|name| !exists(name));
    let traffic = Traffic::read(&status.traffic, exists);
    let routed = ConditionType::Routed.find(&status.conditions);
    let since = |is: &str| routed.filter(|routed| routed.status == is);
    Read {
        is_lost: gone || traffic.is_none(),
        memory: Remembered {
            stable: match named {
                Some(name) if !gone => Some(name.clone()),
                Some(_) => most_ready(history, pods),
                None => None,
            },
            traffic: traffic.unwrap_or_default(),
            version: status.traffic_version.unwrap_or(0).max(0),
            rollout: status.rollout.as_ref().map(memory),
        },
        obeyed_since: since("True").map(|routed| routed.last_transition_time.0),
        lagging_since: since("False").map(|routed| routed.last_transition_time.0),
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
    let time = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.as_ref().map(|time| time.0)
    };
    RolloutMemory {
        revision: rollout.revision.clone(),
        attempt: rollout.attempt.max(1),
        started: rollout.started_at.0,
        step: rollout.step.max(0),
        step_started: time(&rollout.step_started_at),
        progressed: time(&rollout.progressed_at),
        ready: rollout.ready_pods.max(0),
        weight: rollout.weight.clamp(0, 100),
        passed: rollout.passed.iter().copied().collect(),
        checked: time(&rollout.checked_at),
        checks: rollout.checks.iter().filter_map(check).collect(),
        failure: rollout.failure.as_ref().map(|failure| Failed {
            attempt: failure.attempt,
            time: failure.time.0,
            reason: failure.reason.parse().unwrap_or(Reason::Failed),
            message: failure.message.clone(),
            pod: failure.pod.clone(),
        }),
    }
}

fn check(check: &CheckStatus) -> Option<CheckResult> {
    let verdict = match check.verdict {
        model_deployment::CheckVerdict::Pass => CheckVerdict::Pass,
        model_deployment::CheckVerdict::Hold => CheckVerdict::Hold,
        model_deployment::CheckVerdict::Fail => CheckVerdict::Fail,
    };
    Some(CheckResult {
        metric: Metric::named(&check.metric)?,
        verdict,
        requests: u64::try_from(check.requests).unwrap_or(0),
        new: check.new.clone(),
        stable: check.stable.clone(),
        limit: check.limit.clone(),
    })
}
