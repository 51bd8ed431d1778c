//! Every condition of an object that was planned and applied: reason for programs, message for
//! people.
//!
//! Pure. Called by `status`. A message says what is, with numbers, then what to do.

use aimass_crds::condition::{Condition, ConditionStatus, ConditionType};
use aimass_crds::model_deployment::RevisionRef;
use aimass_crds::reason::Reason;

use super::sums::Sums;
use crate::conditions::Conditions;
use crate::model::outlook::{Accepted, Decided, Progress, Scaling};
use crate::text::cut;

type Saying = (ConditionStatus, Reason, String);

/// All conditions.
pub(super) fn all(mut made: Conditions<'_>, decided: &Decided, sums: &Sums) -> Vec<Condition> {
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
        (ConditionType::Scaled, scaled(decided, sums)),
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

fn ready(decided: &Decided, sums: &Sums) -> Saying {
    let (ready, desired) = (sums.ready, decided.desired);
    let counts = format!("{ready} of {desired} replicas ready");
    if decided.scaling == Scaling::Suspended {
        let message = "suspended: set spec.suspend to false to serve again";
        return (
            ConditionStatus::False,
            Reason::Suspended,
            message.to_owned(),
        );
    }
    if desired == 0 {
        let message = "no replicas: set spec.replicas above 0 to serve";
        return (ConditionStatus::False, Reason::AtZero, message.to_owned());
    }
    if ready >= desired {
        return (ConditionStatus::True, Reason::Serving, counts);
    }
    let failure = decided.failure.as_ref().map(|found| &found.failure);
    if ready > 0 {
        let why = failure.map_or(String::new(), |failure| format!("; {}", failure.message));
        return (
            ConditionStatus::True,
            Reason::Degraded,
            format!("{counts}{why}"),
        );
    }
    match (&decided.accepted, failure) {
        (Accepted::Missing { reason, message }, _) => {
            (ConditionStatus::False, *reason, message.clone())
        }
        (Accepted::Forbidden(message), _) => {
            (ConditionStatus::Unknown, Reason::Forbidden, message.clone())
        }
        (Accepted::Valid, Some(failure)) => (
            ConditionStatus::False,
            failure.reason,
            failure.message.clone(),
        ),
        (Accepted::Valid, None) => (ConditionStatus::False, Reason::Starting, counts),
    }
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

fn rolled_out(decided: &Decided, sums: &Sums) -> Saying {
    let target = named(decided.target.as_ref());
    let stable = named(decided.stable.as_ref());
    let ready = decided
        .target
        .as_ref()
        .map_or(0, |target| sums.of_revision(&target.revision).ready);
    let counts = format!("{ready} of {} pods of {target} are ready", decided.desired);
    let failed = decided
        .rollout
        .as_ref()
        .and_then(|rollout| rollout.failure.as_ref());
    let why = failed.map(|failed| format!("{}: {}", failed.reason, cut(&failed.message, 600)));
    let why = why.unwrap_or_default();
    let try_again = "correct the spec, or set a new spec.restartToken to try the same again";
    let (reason, message) = match decided.progress {
        Progress::Complete => {
            return (
                ConditionStatus::True,
                Reason::Complete,
                format!("{target} serves"),
            );
        }
        Progress::Starting => (Reason::Starting, format!("{counts}{}", held_up(decided))),
        Progress::Progressing => (Reason::Progressing, format!("{counts}{}", held_up(decided))),
        Progress::WaitingForCapacity => {
            let why = decided
                .failure
                .as_ref()
                .map_or("", |found| found.failure.message.as_str());
            (Reason::WaitingForCapacity, format!("{counts}: {why}"))
        }
        Progress::Paused => (
            Reason::Paused,
            format!("{counts}; paused: set spec.rollout.paused to false to go on"),
        ),
        Progress::RollingBack if failed.is_some() => (
            Reason::RollingBack,
            format!("{target} failed, {stable} is brought back: {why}"),
        ),
        Progress::RollingBack => (Reason::RollingBack, format!("{stable} is brought back")),
        Progress::RolledBack => (
            Reason::RolledBack,
            format!("{target} failed, {stable} serves: {why}; {try_again}"),
        ),
        Progress::Failed => (
            Reason::Failed,
            format!("{target} failed: {why}; {try_again}"),
        ),
        Progress::Suspended => (
            Reason::Suspended,
            "suspended: nothing is rolled out".to_owned(),
        ),
        Progress::NotAccepted => (
            Reason::NotAccepted,
            "the spec is not accepted, see condition Accepted: what serves goes on".to_owned(),
        ),
    };
    (ConditionStatus::False, reason, message)
}

/// What keeps the target's pods from getting ready, behind the counts; nothing if they only need their time.
fn held_up(decided: &Decided) -> String {
    let target = decided.target.as_ref().map(|target| &target.revision);
    let outlook = decided.revisions.iter().find(|r| Some(&r.name) == target);
    let failure = outlook.and_then(|revision| revision.failure.as_ref());
    failure.map_or_else(String::new, |failure| {
        format!("; {}: {}", failure.reason, cut(&failure.message, 600))
    })
}

fn scaled(decided: &Decided, sums: &Sums) -> Saying {
    let held = [
        Reason::AdmissionRefused,
        Reason::QuotaExceeded,
        Reason::Unschedulable,
    ];
    let failure = decided.failure.as_ref().map(|found| &found.failure);
    let held =
        failure.filter(|failure| held.contains(&failure.reason) && sums.ready < decided.desired);
    let (reason, message) = match (held, decided.scaling, decided.desired) {
        (Some(failure), _, _) => {
            let message = format!(
                "{} of {} replicas: {}",
                sums.ready, decided.desired, failure.message
            );
            return (ConditionStatus::False, failure.reason, message);
        }
        (None, Scaling::Suspended, _) => (Reason::AtZero, "no replicas: suspended".to_owned()),
        (None, _, 0) => (
            Reason::AtZero,
            "no replicas, set by spec.replicas".to_owned(),
        ),
        (None, Scaling::Fixed, desired) => (
            Reason::FixedReplicas,
            format!("{desired} replicas, set by spec.replicas"),
        ),
        (None, Scaling::Default, _) => (
            Reason::FixedReplicas,
            "1 replica: spec.replicas is not set".to_owned(),
        ),
    };
    (ConditionStatus::True, reason, message)
}

/// A person must act.
fn stalled(decided: &Decided, sums: &Sums) -> Option<(Reason, String)> {
    match decided.progress {
        Progress::RolledBack | Progress::Failed => {
            let (_, reason, message) = rolled_out(decided, sums);
            Some((reason, message))
        }
        Progress::Complete
        | Progress::Starting
        | Progress::Progressing
        | Progress::WaitingForCapacity
        | Progress::Paused
        | Progress::RollingBack
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
        Progress::Complete if sums.ready < decided.desired => of(ready(decided, sums)),
        Progress::Complete | Progress::Suspended if decided.desired == 0 && sums.replicas > 0 => {
            of(ready(decided, sums))
        }
        Progress::Complete | Progress::Suspended => None,
        Progress::Starting
        | Progress::Progressing
        | Progress::WaitingForCapacity
        | Progress::Paused
        | Progress::RollingBack
        | Progress::RolledBack
        | Progress::Failed
        | Progress::NotAccepted => of(rolled_out(decided, sums)),
    }
}

fn named(revision: Option<&RevisionRef>) -> String {
    revision.map_or_else(
        || "no revision".to_owned(),
        |revision| {
            format!(
                "revision {} (number {})",
                revision.revision, revision.number
            )
        },
    )
}
