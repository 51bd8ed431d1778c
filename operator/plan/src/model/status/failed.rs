//! The status after a reconcile that failed: what is known stays, what is wrong is said.
//!
//! Pure. Called by `status`. A failure of ours is reported in the condition about our work and does
//! not overwrite what is known about serving.

use aimass_crds::condition::{ConditionStatus, ConditionType};
use aimass_crds::model_deployment::ModelDeploymentStatus;
use aimass_crds::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::conditions::Conditions;
use crate::model::planned::Failure;

/// `previous` with what `failure` changes about it.
pub(super) fn failed(
    metadata: &ObjectMeta,
    previous: ModelDeploymentStatus,
    failure: &Failure,
    now: Timestamp,
) -> ModelDeploymentStatus {
    let Failure {
        // Whether it is tried again by time says nothing about who has to act.
        terminal: _,
        reason,
        message,
    } = failure;
    let refused = matches!(
        reason,
        Reason::InvalidSpec | Reason::EngineUnavailable | Reason::Undecodable
    );
    let mut made = Conditions::new(&previous.conditions, metadata.generation, now);
    if refused {
        made.set(
            ConditionType::Accepted,
            ConditionStatus::False,
            *reason,
            message,
        );
        let waits = "the spec is not accepted, see condition Accepted: what serves goes on";
        made.set(
            ConditionType::RolledOut,
            ConditionStatus::False,
            Reason::NotAccepted,
            waits,
        );
        if !made.keep(ConditionType::Applied) {
            let nothing = "nothing was written: the spec is not accepted";
            made.set(
                ConditionType::Applied,
                ConditionStatus::True,
                Reason::UpToDate,
                nothing,
            );
        }
    } else {
        made.set(
            ConditionType::Applied,
            ConditionStatus::False,
            *reason,
            message,
        );
    }
    ready(&mut made, failure);
    if matches!(reason, Reason::NameConflict | Reason::ApplyRefused) {
        planned(&mut made);
    }
    for of in [ConditionType::Accepted, ConditionType::RolledOut] {
        if made.made(of).is_none() && !made.keep(of) {
            made.set(of, ConditionStatus::Unknown, *reason, message);
        }
    }
    made.keep(ConditionType::Scaled);
    made.keep(ConditionType::Routed);
    made.keep(ConditionType::WithinObjectives);
    let stalled = matches!(
        reason,
        Reason::InvalidSpec | Reason::Undecodable | Reason::NameConflict | Reason::ApplyRefused
    );
    let of = if stalled {
        ConditionType::Stalled
    } else {
        ConditionType::Reconciling
    };
    made.set(of, ConditionStatus::True, *reason, message);
    let conditions = made.finish();
    ModelDeploymentStatus {
        observed_generation: metadata.generation,
        target: previous.target.filter(|_| !refused),
        conditions,
        ..previous
    }
}

/// A write was refused, so there was a plan: the spec is sound, and the rollout has yet to begin.
fn planned(made: &mut Conditions<'_>) {
    if !made.keep(ConditionType::Accepted) {
        let sound = "the spec is valid and its references resolve";
        made.set(
            ConditionType::Accepted,
            ConditionStatus::True,
            Reason::Valid,
            sound,
        );
    }
    if !made.keep(ConditionType::RolledOut) {
        let waits = "waiting for our writes, see condition Applied";
        made.set(
            ConditionType::RolledOut,
            ConditionStatus::False,
            Reason::Starting,
            waits,
        );
    }
}

/// What is known of serving stays, unless that is only that it has not begun.
fn ready(made: &mut Conditions<'_>, failure: &Failure) {
    let begun = made
        .before(ConditionType::Ready)
        .is_some_and(|before| before.status == "True" || !same_cause(&before.reason));
    if begun && made.keep(ConditionType::Ready) {
        return;
    }
    let status = match failure.reason {
        Reason::Forbidden | Reason::ApiUnavailable => ConditionStatus::Unknown,
        _ => ConditionStatus::False,
    };
    made.set(
        ConditionType::Ready,
        status,
        failure.reason,
        &failure.message,
    );
}

/// Whether a reason of Ready says nothing about pods.
fn same_cause(reason: &str) -> bool {
    const NOT_OF_PODS: [Reason; 10] = [
        Reason::Starting,
        Reason::InvalidSpec,
        Reason::Undecodable,
        Reason::ConfigMapNotFound,
        Reason::ClaimNotFound,
        Reason::Forbidden,
        Reason::ApplyRefused,
        Reason::NameConflict,
        Reason::ApiUnavailable,
        Reason::InternalError,
    ];
    reason
        .parse()
        .is_ok_and(|reason: Reason| NOT_OF_PODS.contains(&reason))
}
