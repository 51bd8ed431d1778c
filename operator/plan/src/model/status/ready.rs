//! The condition `Ready`: whether callers get answers. It only sums up.
//!
//! Pure. Called by `message`.

use aimass_crds::condition::ConditionStatus;
use aimass_crds::model_deployment::ScalingMode;
use aimass_crds::reason::Reason;

use super::message::Saying;
use super::scaled::held_by_quota;
use super::sums::Sums;
use crate::model::outlook::{Accepted, Decided};

/// Whether callers get answers, or why not.
pub(super) fn ready(decided: &Decided, sums: &Sums) -> Saying {
    let (ready, desired) = (sums.ready, decided.scaling.desired);
    let counts = format!("{ready} of {desired} replicas ready");
    if let Some(saying) = at_zero(decided) {
        return saying;
    }
    if ready >= decided.scaling.enough() {
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
    if failure.is_none() && sleeps(decided) {
        let message = format!("{counts}: requests wait until one is");
        return (ConditionStatus::True, Reason::Waking, message);
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

/// What is to be said where no pod is asked for.
fn at_zero(decided: &Decided) -> Option<Saying> {
    if decided.scaling.desired == 0
        && let Some(message) = held_by_quota(decided)
    {
        return Some((ConditionStatus::False, Reason::QuotaExceeded, message));
    }
    let (status, reason, message) = match decided.scaling.mode {
        ScalingMode::Suspended => (
            ConditionStatus::False,
            Reason::Suspended,
            "suspended: set spec.suspend to false to serve again",
        ),
        ScalingMode::Fixed if decided.scaling.desired == 0 => (
            ConditionStatus::False,
            Reason::AtZero,
            "no replicas: set spec.replicas above 0 to serve",
        ),
        ScalingMode::Automatic if decided.scaling.asleep && sleeps(decided) => (
            ConditionStatus::True,
            Reason::Idle,
            "nobody calls: the first request starts a pod and waits for it",
        ),
        ScalingMode::Fixed | ScalingMode::Automatic => return None,
    };
    Some((status, reason, message.to_owned()))
}

/// Whether it is a model that sleeps while nobody calls and is known to wake up.
fn sleeps(decided: &Decided) -> bool {
    let scaling = &decided.scaling;
    scaling.mode == ScalingMode::Automatic && scaling.min == 0 && decided.stable.is_some()
}
