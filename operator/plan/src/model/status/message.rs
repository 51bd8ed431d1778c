//! Every condition of an object that was planned and applied: reason for programs, message for
//! people.
//!
//! Pure. Called by `status`. A message says what is, with numbers, then what to do.

use aimass_crds::condition::{Condition, ConditionStatus, ConditionType};
use aimass_crds::model_deployment::ScalingStatus;
use aimass_crds::reason::Reason;

use super::ready::ready;
use super::rolled_out::rolled_out;
use super::routed::routed;
use super::scaled::scaled;
use super::sums::Sums;
use super::within::within;
use crate::conditions::Conditions;
use crate::model::outlook::{Accepted, Decided, Progress};

/// What a condition says.
pub(super) type Saying = (ConditionStatus, Reason, String);

/// All conditions; `before` is what the last status said of scaling.
pub(super) fn all(
    mut made: Conditions<'_>,
    (decided, sums): (&Decided, &Sums),
    before: Option<&ScalingStatus>,
) -> Vec<Condition> {
    let said = made.before(ConditionType::Scaled);
    let scaled = scaled(decided, sums, before.zip(said));
    let within = within(
        &decided.within,
        made.before(ConditionType::WithinObjectives),
    );
    let applied = (
        ConditionStatus::True,
        Reason::UpToDate,
        "all children are as they should be".to_owned(),
    );
    let says = [
        (ConditionType::Ready, ready(decided, sums)),
        (ConditionType::Accepted, accepted(decided)),
        (ConditionType::Applied, applied),
        (ConditionType::RolledOut, rolled_out(decided, sums)),
        (ConditionType::Scaled, scaled),
        (ConditionType::Routed, routed(&decided.routed)),
        (ConditionType::WithinObjectives, within),
    ];
    for (of, (status, reason, message)) in &says {
        made.set(*of, *status, *reason, message);
    }
    if let Some((reason, message)) = stalled(decided, sums) {
        made.set(
            ConditionType::Stalled,
            ConditionStatus::True,
            reason,
            &message,
        );
    } else if let Some((reason, message)) = reconciling(decided, sums) {
        made.set(
            ConditionType::Reconciling,
            ConditionStatus::True,
            reason,
            &message,
        );
    }
    made.finish()
}

fn accepted(decided: &Decided) -> Saying {
    match &decided.accepted {
        Accepted::Valid => (
            ConditionStatus::True,
            Reason::Valid,
            "the spec is valid and its references exist".to_owned(),
        ),
        Accepted::Missing { reason, message } => (ConditionStatus::False, *reason, message.clone()),
        Accepted::Forbidden(message) => {
            (ConditionStatus::Unknown, Reason::Forbidden, message.clone())
        }
    }
}

/// A person must act.
fn stalled(decided: &Decided, sums: &Sums) -> Option<(Reason, String)> {
    match decided.progress {
        Progress::RolledBack | Progress::Aborted | Progress::Failed => {
            let (_, reason, message) = rolled_out(decided, sums);
            Some((reason, message))
        }
        Progress::Complete
        | Progress::Starting
        | Progress::Progressing
        | Progress::WaitingForCapacity
        | Progress::GatewaysLagging
        | Progress::Holding
        | Progress::Paused
        | Progress::AwaitingApproval
        | Progress::AtMaxWeight
        | Progress::RollingBack
        | Progress::Pinned
        | Progress::Suspended
        | Progress::NotAccepted => None,
    }
}

/// Not there yet: the condition that lags.
fn reconciling(decided: &Decided, sums: &Sums) -> Option<(Reason, String)> {
    let of = |(_, reason, message): Saying| Some((reason, message));
    if decided.accepted != Accepted::Valid {
        return of(accepted(decided));
    }
    match decided.progress {
        Progress::Complete | Progress::Pinned if sums.ready < decided.scaling.enough() => {
            of(ready(decided, sums))
        }
        Progress::Complete | Progress::Pinned | Progress::Suspended
            if decided.scaling.desired == 0 && sums.replicas > 0 =>
        {
            of(ready(decided, sums))
        }
        Progress::Complete | Progress::Pinned | Progress::Suspended => None,
        Progress::Starting
        | Progress::Progressing
        | Progress::WaitingForCapacity
        | Progress::GatewaysLagging
        | Progress::Holding
        | Progress::Paused
        | Progress::AwaitingApproval
        | Progress::AtMaxWeight
        | Progress::RollingBack
        | Progress::RolledBack
        | Progress::Aborted
        | Progress::Failed
        | Progress::NotAccepted => of(rolled_out(decided, sums)),
    }
}
