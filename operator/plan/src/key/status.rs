//! What is reported of an APIKey: the whole status, from the object, the outcome and the clock.
//!
//! Pure, and a fixed point: applied to its own result it changes nothing, whatever `now` is. Called
//! by `aimass_operator::key::reconcile` after every attempt, also a failed one.

use aimass_crds::api_key::KeyState;
use aimass_crds::condition::{ConditionStatus, ConditionType};
use aimass_crds::reason::Reason;
use aimass_crds::{APIKey, APIKeyStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::{Decided, Outlook, Taken};
use crate::conditions::{Conditions, seconds};
use crate::failed::failed;
use crate::model::Failure;
use crate::text::bounded;

/// The status to report. `now` stamps what is new.
#[must_use]
pub fn status(key: &APIKey, outcome: Result<&Outlook, Failure>, now: Timestamp) -> APIKeyStatus {
    let previous = key.status.clone().unwrap_or_default();
    match outcome {
        Ok(Outlook::Deleting) => previous,
        Ok(Outlook::Judged(decided)) => judged(&key.metadata, &previous, decided, seconds(now)),
        Err(failure) => after(&key.metadata, previous, &failure, seconds(now)),
    }
}

/// The status of an object that does not parse; `previous` as far as that parses.
#[must_use]
pub fn undecodable(
    metadata: &ObjectMeta,
    previous: Option<&APIKeyStatus>,
    message: &str,
    now: Timestamp,
) -> APIKeyStatus {
    let failure = Failure {
        terminal: true,
        reason: Reason::Undecodable,
        message: bounded(message),
    };
    after(
        metadata,
        previous.cloned().unwrap_or_default(),
        &failure,
        seconds(now),
    )
}

fn after(
    metadata: &ObjectMeta,
    previous: APIKeyStatus,
    failure: &Failure,
    now: Timestamp,
) -> APIKeyStatus {
    let generation = metadata.generation;
    APIKeyStatus {
        observed_generation: generation,
        conditions: failed(&previous.conditions, generation, failure, now),
        ..previous
    }
}

/// The later of what status has and what is known now: an operator that has just begun to lead knows
/// nothing yet.
fn last_used(previous: &APIKeyStatus, decided: &Decided) -> Option<Time> {
    let known = decided.last_used.map(seconds);
    let held = previous.last_used_at.as_ref().map(|held| held.0);
    known.max(held).map(Time)
}

type Saying = (ConditionStatus, Reason, String);

fn judged(
    metadata: &ObjectMeta,
    previous: &APIKeyStatus,
    decided: &Decided,
    now: Timestamp,
) -> APIKeyStatus {
    let mut made = Conditions::new(&previous.conditions, metadata.generation, now);
    let (status, reason, message) = ready(decided);
    made.set(ConditionType::Ready, status, reason, &message);
    if let Some(of) = lagging(reason) {
        made.set(of, ConditionStatus::True, reason, &message);
    }
    let (status, reason, message) = accepted(decided);
    made.set(ConditionType::Accepted, status, reason, &message);
    APIKeyStatus {
        observed_generation: metadata.generation,
        effective_plan: decided
            .effective_plan
            .clone()
            .or_else(|| decided.unseen_plan.clone()),
        expires_at: decided.expires_at.map(Time),
        last_used_at: last_used(previous, decided),
        conditions: made.finish(),
    }
}

/// Whether the key opens its models. The first hit is the reason, in order of causality: what its
/// owner decided, what time did, what others have.
fn ready(decided: &Decided) -> Saying {
    let refused = |reason, message: String| (ConditionStatus::False, reason, message);
    match decided.state {
        KeyState::Disabled => {
            let message = "switched off: set spec.disabled to false to let it open again";
            return refused(Reason::Disabled, message.to_owned());
        }
        KeyState::Expired => return refused(Reason::Expired, expired(decided)),
        KeyState::Active => {}
    }
    if let Some(taken) = decided.taken.first() {
        return refused(Reason::DuplicateKeyID, duplicate(taken));
    }
    if let Some(plan) = &decided.missing_plan {
        return refused(Reason::PlanNotFound, not_found(plan));
    }
    let (accepted, all) = decided.accepted;
    let noun = if all == 1 {
        "credential"
    } else {
        "credentials"
    };
    let unknown = match decided.unknown_models.as_slice() {
        [] => String::new(),
        names => format!(
            "; no ModelDeployment of this namespace is named {}",
            names.join(", ")
        ),
    };
    let message = format!("{accepted} of {all} {noun} accepted{unknown}");
    (ConditionStatus::True, Reason::Active, message)
}

fn accepted(decided: &Decided) -> Saying {
    if let Some(plan) = &decided.missing_plan {
        return (
            ConditionStatus::False,
            Reason::PlanNotFound,
            not_found(plan),
        );
    }
    let message = match &decided.unseen_plan {
        None => "the spec is valid and its references exist".to_owned(),
        Some(plan) => format!(
            "the spec is valid; whether UsagePlan {plan} exists is not known, because the operator watches one namespace"
        ),
    };
    (ConditionStatus::True, Reason::Valid, message)
}

fn expired(decided: &Decided) -> String {
    let since = decided
        .expires_at
        .map_or_else(String::new, |end| format!(" since {end}"));
    format!(
        "no credential is accepted{since}: add one to spec.credentials, or raise spec.expiresAt and notAfter"
    )
}

fn duplicate(taken: &Taken) -> String {
    let Taken { id, by } = taken;
    let whose = match by {
        Some(name) => format!("the older APIKey {name}"),
        None => "an older APIKey of another namespace".to_owned(),
    };
    format!("{whose} has the credential id {id}: make a new token")
}

fn not_found(plan: &str) -> String {
    format!(
        "there is no UsagePlan {plan}, so that the gateway's plan for everybody holds: create it, or name another"
    )
}

/// Who has to do something about a key that is not ready, if anybody.
fn lagging(reason: Reason) -> Option<ConditionType> {
    match reason {
        Reason::Expired | Reason::DuplicateKeyID => Some(ConditionType::Stalled),
        // May come yet: whoever applies many objects applies them in any order.
        Reason::PlanNotFound => Some(ConditionType::Reconciling),
        _ => None,
    }
}
