//! Every condition of an object that was planned and applied: reason for programs, message for
//! people.
//!
//! Pure. Called by `status`. A message says what is, with numbers, then what to do.

use aimass_crds::condition::{Condition, ConditionStatus, ConditionType};
use aimass_crds::model_deployment::{RevisionRef, ScalingStatus};
use aimass_crds::reason::Reason;

use super::ready::ready;
use super::scaled::scaled;
use super::sums::Sums;
use crate::conditions::Conditions;
use crate::model::outlook::{Accepted, Decided, Progress};
use crate::text::cut;

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

fn rolled_out(decided: &Decided, sums: &Sums) -> Saying {
    let target = named(decided.target.as_ref());
    let stable = named(decided.stable.as_ref());
    let ready = decided
        .target
        .as_ref()
        .map_or(0, |target| sums.of_revision(&target.revision).ready);
    let desired = decided.scaling.desired;
    let counts = format!("{ready} of {desired} pods of {target} are ready");
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
        Progress::Complete if sums.ready < decided.scaling.enough() => of(ready(decided, sums)),
        Progress::Complete | Progress::Suspended
            if decided.scaling.desired == 0 && sums.replicas > 0 =>
        {
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
