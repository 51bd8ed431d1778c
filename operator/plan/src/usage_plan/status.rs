//! What is reported of a UsagePlan: the whole status, from the object, the outcome and the clock.
//!
//! Pure, and a fixed point: applied to its own result it changes nothing, whatever `now` is. Called
//! by `aimass_operator::usage_plan::reconcile` after every attempt, also a failed one.

use aimass_crds::condition::{ConditionStatus, ConditionType};
use aimass_crds::reason::Reason;
use aimass_crds::usage_plan::Mode;
use aimass_crds::{UsagePlan, UsagePlanSpec, UsagePlanStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Outlook;
use crate::conditions::{Conditions, seconds};
use crate::failed::failed;
use crate::model::Failure;
use crate::text::bounded;

/// The status to report. `now` stamps what is new.
#[must_use]
pub fn status(
    plan: &UsagePlan,
    outcome: Result<Outlook, Failure>,
    now: Timestamp,
) -> UsagePlanStatus {
    let previous = plan.status.clone().unwrap_or_default();
    match outcome {
        Ok(Outlook::Deleting) => previous,
        Ok(Outlook::Usable { keys }) => usable(plan, &previous, keys, seconds(now)),
        Err(failure) => after(&plan.metadata, &previous, &failure, seconds(now)),
    }
}

/// The status of an object that does not parse; `previous` as far as that parses.
#[must_use]
pub fn undecodable(
    metadata: &ObjectMeta,
    previous: Option<&UsagePlanStatus>,
    message: &str,
    now: Timestamp,
) -> UsagePlanStatus {
    let failure = Failure {
        terminal: true,
        reason: Reason::Undecodable,
        message: bounded(message),
    };
    let previous = previous.cloned().unwrap_or_default();
    after(metadata, &previous, &failure, seconds(now))
}

fn after(
    metadata: &ObjectMeta,
    previous: &UsagePlanStatus,
    failure: &Failure,
    now: Timestamp,
) -> UsagePlanStatus {
    let generation = metadata.generation;
    UsagePlanStatus {
        observed_generation: generation,
        conditions: failed(&previous.conditions, generation, failure, now),
        ..previous.clone()
    }
}

fn usable(
    plan: &UsagePlan,
    previous: &UsagePlanStatus,
    keys: i32,
    now: Timestamp,
) -> UsagePlanStatus {
    let generation = plan.metadata.generation;
    let mut made = Conditions::new(&previous.conditions, generation, now);
    let says = [
        (ConditionType::Ready, Reason::Active, holds(&plan.spec)),
        (ConditionType::Accepted, Reason::Valid, "the spec is valid"),
    ];
    for (of, reason, message) in says {
        made.set(of, ConditionStatus::True, reason, message);
    }
    UsagePlanStatus {
        observed_generation: generation,
        keys: Some(keys),
        conditions: made.finish(),
    }
}

fn holds(spec: &UsagePlanSpec) -> &'static str {
    match spec.mode.unwrap_or_default() {
        Mode::Enforce => "requests beyond the limits are refused",
        Mode::Shadow => "requests beyond the limits are counted, none is refused: mode is Shadow",
    }
}
