//! What is reported: the whole status, from the object, the outcome and the clock.
//!
//! Pure, and a fixed point: applied to its own result it changes nothing, whatever `now` is. The
//! clock only stamps what is new. Called by `aimass_operator::model::reconcile` after every
//! attempt, also a failed one.

mod failed;
mod message;
mod ready;
mod rolled_out;
mod routed;
mod scaled;
mod sums;
mod within;

use aimass_crds::ModelDeployment;
use aimass_crds::labels;
use aimass_crds::model_deployment::{
    self, CheckStatus, FailureStatus, ModelDeploymentStatus, RevisionStatus, RolloutFailure,
    RolloutStatus, ScalingMode, ScalingStatus,
};
use aimass_crds::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::analysis::{CheckResult, CheckVerdict};
use super::outlook::{Decided, Outlook, RevisionOutlook, RolloutMemory, Scaling};
use super::planned::{Applied, Failure};
use crate::conditions::{Conditions, seconds};
use crate::text::{bounded, cut};
use sums::Sums;

/// The status to report. `now` is the wall clock; only whole seconds of it are used.
#[must_use]
pub fn status(
    model: &ModelDeployment,
    outcome: Result<&Applied, Failure>,
    now: Timestamp,
) -> ModelDeploymentStatus {
    let previous = model.status.clone().unwrap_or_default();
    match outcome.map(|applied| (applied, &applied.outlook)) {
        Ok((_, Outlook::Deleting)) => previous,
        Ok((applied, Outlook::Serving(decided))) => {
            serving(&model.metadata, previous, (decided, applied), seconds(now))
        }
        Err(failure) => failed::failed(&model.metadata, previous, &failure, seconds(now)),
    }
}

/// The status of an object that does not parse; `previous` as far as that parses.
#[must_use]
pub fn undecodable(
    metadata: &ObjectMeta,
    previous: Option<&ModelDeploymentStatus>,
    message: &str,
    now: Timestamp,
) -> ModelDeploymentStatus {
    let failure = Failure {
        terminal: true,
        reason: Reason::Undecodable,
        message: bounded(message),
    };
    failed::failed(
        metadata,
        previous.cloned().unwrap_or_default(),
        &failure,
        seconds(now),
    )
}

fn serving(
    metadata: &ObjectMeta,
    previous: ModelDeploymentStatus,
    (decided, applied): (&Decided, &Applied),
    now: Timestamp,
) -> ModelDeploymentStatus {
    let name = metadata.name.as_deref().unwrap_or_default();
    let sums = Sums::of(name, decided, applied);
    let generation = metadata.generation;
    let conditions = message::all(
        Conditions::new(&previous.conditions, generation, now),
        (decided, &sums),
        previous.scaling.as_ref(),
    );
    ModelDeploymentStatus {
        observed_generation: generation,
        url: Some(decided.url.clone()),
        served_name: Some(decided.served_name.clone()),
        replicas: Some(sums.replicas),
        ready_replicas: Some(sums.ready),
        ready: Some(format!("{}/{}", sums.ready, decided.scaling.desired)),
        selector: Some(format!("{}={name}", labels::DEPLOYMENT)),
        stable: decided.stable.clone(),
        target: decided.target.clone(),
        revisions: decided
            .revisions
            .iter()
            .take(10)
            .map(|r| revision(r, &sums))
            .collect(),
        traffic: decided.traffic.clone(),
        traffic_version: Some(decided.routed.version).filter(|version| *version > 0),
        scaling: Some(scaling(&decided.scaling, previous.scaling.as_ref(), now)),
        rollout: decided.rollout.as_ref().map(rollout),
        last_failure: last_failure(decided, previous.last_failure, now),
        conditions,
    }
}

/// The same number keeps its time.
fn scaling(decided: &Scaling, previous: Option<&ScalingStatus>, now: Timestamp) -> ScalingStatus {
    let bounded = decided.mode == ScalingMode::Automatic;
    let same = previous.filter(|previous| previous.desired == decided.desired);
    ScalingStatus {
        mode: decided.mode,
        min: bounded.then_some(decided.min),
        max: bounded.then_some(decided.max),
        desired: decided.desired,
        limited_by: decided.limited_by,
        since: same.map_or(Time(now), |previous| previous.since.clone()),
    }
}

fn revision(outlook: &RevisionOutlook, sums: &Sums) -> RevisionStatus {
    let pods = sums.of_revision(&outlook.name);
    let (reason, message) = match &outlook.failure {
        // it has none because there is no room for any
        Some(failure) if pods.present == 0 && failure.reason == Reason::QuotaExceeded => {
            (failure.reason, cut(&failure.message, 256))
        }
        _ if outlook.size == 0 => (Reason::AtZero, String::new()),
        _ if pods.ready >= outlook.size => (Reason::Ready, String::new()),
        Some(failure) => (failure.reason, cut(&failure.message, 256)),
        None => (Reason::Starting, String::new()),
    };
    RevisionStatus {
        name: outlook.name.clone(),
        number: outlook.number.max(1),
        created_at: outlook
            .created
            .or_else(|| sums.created(&outlook.name))
            .map(Time),
        role: outlook.role,
        model: outlook.model.clone(),
        digest: outlook.digest.clone(),
        replicas: pods.present,
        ready_replicas: pods.ready,
        reason: reason.as_str().to_owned(),
        message,
    }
}

fn rollout(memory: &RolloutMemory) -> RolloutStatus {
    RolloutStatus {
        revision: memory.revision.clone(),
        started_at: Time(memory.started),
        attempt: memory.attempt,
        step: memory.step,
        step_started_at: memory.step_started.map(Time),
        progressed_at: memory.progressed.map(Time),
        ready_pods: memory.ready,
        weight: memory.weight,
        passed: memory.passed.iter().copied().take(20).collect(),
        checked_at: memory.checked.map(Time),
        checks: memory.checks.iter().take(6).map(check).collect(),
        failure: memory.failure.as_ref().map(|failure| RolloutFailure {
            attempt: failure.attempt,
            time: Time(failure.time),
            reason: failure.reason.as_str().to_owned(),
            message: bounded(&failure.message),
            pod: failure.pod.clone(),
        }),
    }
}

fn check(check: &CheckResult) -> CheckStatus {
    CheckStatus {
        metric: check.metric.as_str().to_owned(),
        verdict: match check.verdict {
            CheckVerdict::Pass => model_deployment::CheckVerdict::Pass,
            CheckVerdict::Hold => model_deployment::CheckVerdict::Hold,
            CheckVerdict::Fail => model_deployment::CheckVerdict::Fail,
        },
        requests: i64::try_from(check.requests).unwrap_or(MOST).min(MOST),
        new: cut(&check.new, 32),
        stable: cut(&check.stable, 32),
        limit: cut(&check.limit, 32),
    }
}

/// The greatest number that every reader of JSON takes for what it is.
const MOST: i64 = 9_007_199_254_740_991;

/// The same failure of the same revision keeps its time.
fn last_failure(
    decided: &Decided,
    previous: Option<FailureStatus>,
    now: Timestamp,
) -> Option<FailureStatus> {
    let Some(found) = &decided.failure else {
        return previous;
    };
    let reason = found.failure.reason.as_str();
    let same = previous.filter(|old| old.revision == found.revision && old.reason == reason);
    Some(FailureStatus {
        time: same.map_or(Time(now), |old| old.time),
        revision: found.revision.clone(),
        reason: reason.to_owned(),
        message: found.failure.message.clone(),
        pod: found.failure.pod.clone(),
    })
}

#[cfg(test)]
mod tests;
