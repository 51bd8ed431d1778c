//! What is told as Events: the transitions between two statuses.
//!
//! Pure. Called by `aimass_operator::model::reconcile` after a changed status was written. An Event
//! has the reason of its condition. What merely has begun is no Event: the first one of a healthy
//! object says that it serves.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use aimass_crds::ModelDeploymentStatus;
use aimass_crds::condition::{Condition, ConditionType};
use aimass_crds::model_deployment::ScalingMode;
use aimass_crds::reason::Reason;

use crate::event::{EventKind, EventRecord};
use crate::text::bounded;

/// The Events of a change from `before` to `after`; at most one per reason.
#[must_use]
pub fn events(before: &ModelDeploymentStatus, after: &ModelDeploymentStatus) -> Vec<EventRecord> {
    let told = [
        ConditionType::Ready,
        ConditionType::Accepted,
        ConditionType::Applied,
        ConditionType::RolledOut,
        ConditionType::Scaled,
    ];
    let conditions = told.into_iter().filter_map(|of| {
        let now = of.find(&after.conditions)?;
        transition(of.find(&before.conditions), now, before)
    });
    let further = [
        revision_created(before, after),
        weight_changed(before, after),
        within_objectives(before, after),
        scaled(before, after),
    ];
    let further = further.into_iter().flatten();
    let mut seen = BTreeSet::new();
    conditions
        .chain(further)
        .filter(|event| seen.insert(event.reason))
        .collect()
}

/// Reasons of Ready while there is no pod because nobody called.
const SLEEP: [&str; 2] = [Reason::Idle.as_str(), Reason::Waking.as_str()];

fn transition(
    before: Option<&Condition>,
    now: &Condition,
    status: &ModelDeploymentStatus,
) -> Option<EventRecord> {
    let same = before.is_some_and(|old| old.status == now.status && old.reason == now.reason);
    let reason: Reason = now.reason.parse().ok()?;
    let recovered = before.is_some_and(|old| old.status != "True") && now.status == "True";
    let kind = match reason {
        _ if same => return None,
        // the end of what WokenUp has told
        Reason::Serving if before.is_some_and(|old| SLEEP.contains(&old.reason.as_str())) => {
            return None;
        }
        Reason::Serving => EventKind::Normal,
        // the first revision has nothing that it could replace
        Reason::Complete if status.stable.is_some() => EventKind::Normal,
        Reason::Valid | Reason::UpToDate if recovered => EventKind::Normal,
        Reason::Suspended
        | Reason::AtZero
        | Reason::Paused
        | Reason::AwaitingApproval
        | Reason::AtMaxWeight
        | Reason::Holding
        | Reason::Aborted
        | Reason::Pinned
            if now.status != "True" =>
        {
            EventKind::Normal
        }
        // on their way, or the shadow of another condition
        Reason::Complete
        | Reason::Valid
        | Reason::UpToDate
        | Reason::Starting
        | Reason::Progressing
        | Reason::FixedReplicas
        | Reason::WithinLimits
        | Reason::Idle
        | Reason::Waking
        | Reason::NotAccepted
        | Reason::Suspended
        | Reason::AtZero
        | Reason::Paused => return None,
        // one of several pods starts, or ends, in the course of things
        Reason::Degraded if before.is_none_or(|old| old.reason != "Serving") => return None,
        _ => EventKind::Warning,
    };
    Some(EventRecord {
        reason,
        kind,
        note: bounded(&now.message),
    })
}

fn revision_created(
    before: &ModelDeploymentStatus,
    after: &ModelDeploymentStatus,
) -> Option<EventRecord> {
    let highest = before
        .revisions
        .iter()
        .map(|revision| revision.number)
        .max()?;
    let made = after
        .revisions
        .iter()
        .find(|revision| revision.number > highest)?;
    Some(EventRecord {
        reason: Reason::RevisionCreated,
        kind: EventKind::Normal,
        note: bounded(&format!(
            "revision {} (number {}) from {}",
            made.name, made.number, made.model
        )),
    })
}

/// The first share of all is no news: that it serves is told.
fn weight_changed(
    before: &ModelDeploymentStatus,
    after: &ModelDeploymentStatus,
) -> Option<EventRecord> {
    if before.traffic.is_empty() || after.traffic.is_empty() || before.traffic == after.traffic {
        return None;
    }
    let of = |status: &ModelDeploymentStatus, revision: &str| {
        let weight = status.traffic.iter().find(|w| w.revision == revision);
        weight.map_or(0, |weight| weight.weight)
    };
    let gone = before
        .traffic
        .iter()
        .filter(|weight| of(after, &weight.revision) == 0);
    let changes: Vec<String> = after
        .traffic
        .iter()
        .chain(gone)
        .map(|weight| {
            let revision = &weight.revision;
            let (from, to) = (of(before, revision), of(after, revision));
            format!("revision {revision} from {from} to {to} % of the requests")
        })
        .collect();
    Some(EventRecord {
        reason: Reason::WeightChanged,
        kind: EventKind::Normal,
        note: bounded(&changes.join(", ")),
    })
}

/// What cannot be told any more is no Event, nor is a model that is within its objectives from the start.
fn within_objectives(
    before: &ModelDeploymentStatus,
    after: &ModelDeploymentStatus,
) -> Option<EventRecord> {
    let of = ConditionType::WithinObjectives;
    let before = of.find(&before.conditions);
    let now = of.find(&after.conditions)?;
    let was = before.map_or("", |before| before.status.as_str());
    let same = before.is_some_and(|before| before.reason == now.reason);
    let kind = match now.status.as_str() {
        "False" if !same => EventKind::Warning,
        "True" if was == "False" => EventKind::Normal,
        _ => return None,
    };
    Some(EventRecord {
        reason: now.reason.parse().ok()?,
        kind,
        note: bounded(&now.message),
    })
}

fn scaled(before: &ModelDeploymentStatus, after: &ModelDeploymentStatus) -> Option<EventRecord> {
    let desired = |status: &ModelDeploymentStatus| -> Option<i32> {
        status.ready.as_ref()?.split_once('/')?.1.parse().ok()
    };
    let (from, to) = (desired(before)?, desired(after)?);
    let scaling = after.scaling.as_ref();
    let by_load = scaling.is_some_and(|scaling| scaling.mode == ScalingMode::Automatic);
    let reason = match to.cmp(&from) {
        Ordering::Less if by_load && to == 0 => Reason::ScaledToZero,
        Ordering::Less => Reason::ScaledDown,
        Ordering::Equal => return None,
        Ordering::Greater if by_load && from == 0 => Reason::WokenUp,
        Ordering::Greater => Reason::ScaledUp,
    };
    let said = ConditionType::Scaled.find(&after.conditions);
    let why = said
        .filter(|_| by_load)
        .map(|said| format!(": {}", said.message));
    Some(EventRecord {
        reason,
        kind: EventKind::Normal,
        note: bounded(&format!(
            "from {from} to {to} replicas{}",
            why.unwrap_or_default()
        )),
    })
}

#[cfg(test)]
mod tests;
