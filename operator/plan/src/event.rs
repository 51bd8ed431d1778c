//! What is told about an object as Events: transitions, in plain values.
//!
//! Pure. Made by the kinds' `events`, published by `aimass_operator::report`. An Event has the
//! reason of its condition.

use std::collections::BTreeSet;

use aimass_crds::condition::{Condition, ConditionType};
use aimass_crds::reason::Reason;

use crate::text::bounded;

/// Whether an Event tells something bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It does not.
    Normal,
    /// It does.
    Warning,
}

/// One Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// The reason, that of a condition where there is one.
    pub reason: Reason,
    /// Good or bad.
    pub kind: EventKind,
    /// The text, at most 1 KiB.
    pub note: String,
}

/// The Events of kinds without children, from the conditions before and after; at most one per
/// reason. An object that is as it should be from the start tells nothing.
pub(crate) fn transitions(before: &[Condition], after: &[Condition]) -> Vec<EventRecord> {
    let told = [ConditionType::Ready, ConditionType::Accepted];
    let mut seen = BTreeSet::new();
    told.into_iter()
        .filter_map(|of| transition(of.find(before), of.find(after)?))
        .filter(|event| seen.insert(event.reason))
        .collect()
}

fn transition(before: Option<&Condition>, now: &Condition) -> Option<EventRecord> {
    let same = before.is_some_and(|old| old.status == now.status && old.reason == now.reason);
    let reason: Reason = now.reason.parse().ok()?;
    let recovered = before.is_some_and(|old| old.status != "True");
    let kind = match now.status.as_str() {
        _ if same => return None,
        "True" if recovered => EventKind::Normal,
        "True" => return None,
        // somebody's wish
        _ if reason == Reason::Disabled => EventKind::Normal,
        _ => EventKind::Warning,
    };
    Some(EventRecord {
        reason,
        kind,
        note: bounded(&now.message),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    type Row<'a> = (&'a str, &'a str, &'a str);

    fn conditions(rows: &[Row<'_>]) -> Vec<Condition> {
        let condition = |(of, status, reason): &Row<'_>| Condition {
            type_: (*of).to_owned(),
            status: (*status).to_owned(),
            reason: (*reason).to_owned(),
            message: "what is".to_owned(),
            observed_generation: Some(1),
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        };
        rows.iter().map(condition).collect()
    }

    #[track_caller]
    fn check(before: &[Row<'_>], after: &[Row<'_>], expect: &[(Reason, EventKind)]) {
        let told = transitions(&conditions(before), &conditions(after));
        let told: Vec<_> = told
            .iter()
            .map(|event| (event.reason, event.kind))
            .collect();
        assert_eq!(told, expect);
    }

    const ACTIVE: [Row<'_>; 2] = [("Ready", "True", "Active"), ("Accepted", "True", "Valid")];
    const NO_PLAN: [Row<'_>; 2] = [
        ("Ready", "False", "PlanNotFound"),
        ("Accepted", "False", "PlanNotFound"),
    ];

    #[test]
    fn an_object_that_is_well_from_the_start_tells_nothing() {
        check(&[], &ACTIVE, &[]);
        check(&ACTIVE, &ACTIVE, &[]);
    }

    #[test]
    fn what_turns_bad_is_one_warning_per_reason() {
        check(&[], &NO_PLAN, &[(Reason::PlanNotFound, EventKind::Warning)]);
        let expired = [("Ready", "False", "Expired"), ("Accepted", "True", "Valid")];
        check(&ACTIVE, &expired, &[(Reason::Expired, EventKind::Warning)]);
        check(&NO_PLAN, &NO_PLAN, &[]);
    }

    #[test]
    fn what_turns_good_again_and_what_somebody_wished_is_normal() {
        let told = [
            (Reason::Active, EventKind::Normal),
            (Reason::Valid, EventKind::Normal),
        ];
        check(&NO_PLAN, &ACTIVE, &told);
        let disabled = [
            ("Ready", "False", "Disabled"),
            ("Accepted", "True", "Valid"),
        ];
        check(&ACTIVE, &disabled, &[(Reason::Disabled, EventKind::Normal)]);
    }
}
