//! The condition `Scaled`: whether there are as many pods as the load calls for.
//!
//! Pure. Called by `message`. A decision in words holds figures of the moment in which it was made:
//! it stays until the next one, or status would move with every second's load.

use aimass_crds::condition::{Condition, ConditionStatus};
use aimass_crds::model_deployment::{LimitedBy, ScalingMode, ScalingStatus};
use aimass_crds::reason::Reason;

use super::message::Saying;
use super::sums::Sums;
use crate::model::outlook::{Decided, Scaling};
use crate::model::size::counted;

/// Whether there are as many pods as the load calls for, or why not. `before`: what status says of
/// scaling, and what this condition said of it.
pub(super) fn scaled(
    decided: &Decided,
    sums: &Sums,
    before: Option<(&ScalingStatus, &Condition)>,
) -> Saying {
    let scaling = &decided.scaling;
    if let Some(saying) = held(decided, sums) {
        return saying;
    }
    if scaling.silent {
        let number = counted(scaling.desired);
        let message = format!("no gateway says what the load is: {number}, as before");
        return (ConditionStatus::Unknown, Reason::NoSignals, message);
    }
    if let Some(message) = held_by_quota(decided) {
        return (ConditionStatus::False, Reason::QuotaExceeded, message);
    }
    let (status, reason) = match (scaling.mode, scaling.limited_by) {
        (ScalingMode::Suspended, _) => (ConditionStatus::True, Reason::AtZero),
        (_, None) if scaling.desired == 0 => (ConditionStatus::True, Reason::AtZero),
        (ScalingMode::Fixed, _) => (ConditionStatus::True, Reason::FixedReplicas),
        (ScalingMode::Automatic, None) => (ConditionStatus::True, Reason::WithinLimits),
        (ScalingMode::Automatic, Some(limit)) => (ConditionStatus::False, reason_of(limit)),
    };
    let kept = before.filter(|(before, said)| {
        scaling.mode == ScalingMode::Automatic
            && same(before, scaling)
            && said.status == status.as_str()
            && said.reason == reason.as_str()
    });
    let message = kept.map_or(&scaling.message, |(_, said)| &said.message);
    (status, reason, message.clone())
}

/// Pods that are asked for and not let in, in the words of whoever refuses them.
fn held(decided: &Decided, sums: &Sums) -> Option<Saying> {
    let held = [
        Reason::AdmissionRefused,
        Reason::QuotaExceeded,
        Reason::Unschedulable,
    ];
    let (ready, desired) = (sums.ready, decided.scaling.desired);
    let failure = &decided.failure.as_ref()?.failure;
    (held.contains(&failure.reason) && ready < desired).then(|| {
        let message = format!("{ready} of {desired} replicas: {}", failure.message);
        (ConditionStatus::False, failure.reason, message)
    })
}

/// Which quota keeps the number where it is, if that is known. The signals say it in other words only
/// when another one does, so that it need not be kept from the last status.
pub(super) fn held_by_quota(decided: &Decided) -> Option<String> {
    let Scaling {
        desired, max, held, ..
    } = &decided.scaling;
    let held = held.as_ref()?;
    Some(format!("held at {} (max {max}): {held}", counted(*desired)))
}

fn same(before: &ScalingStatus, now: &Scaling) -> bool {
    (before.mode, before.desired, before.limited_by) == (now.mode, now.desired, now.limited_by)
}

fn reason_of(limit: LimitedBy) -> Reason {
    match limit {
        LimitedBy::Max => Reason::MaxReplicasReached,
        LimitedBy::Quota => Reason::QuotaExceeded,
        LimitedBy::Unschedulable => Reason::Unschedulable,
    }
}
