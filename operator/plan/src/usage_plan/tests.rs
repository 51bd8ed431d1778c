//! From a plan and what was observed to its status.
#![expect(clippy::needless_pass_by_value, reason = "literals are passed")]

use aimass_crds::condition::Condition;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::model::Failure;

fn usage_plan(spec: Value) -> UsagePlan {
    serde_json::from_value(json!({
        "apiVersion": "aimass.dev/v1alpha1", "kind": "UsagePlan",
        "metadata": {"name": "free", "generation": 2}, "spec": spec,
    }))
    .unwrap()
}

fn report(object: &UsagePlan, keys: usize, now: Timestamp) -> UsagePlanStatus {
    let outcome = plan(object, Observed { keys });
    status(object, outcome.map_err(Failure::from), now)
}

/// Type, status and reason of each condition.
fn said(conditions: &[Condition]) -> Vec<(&str, &str, &str)> {
    conditions
        .iter()
        .map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str()))
        .collect()
}

#[test]
fn a_good_plan_is_usable_and_counts_its_keys() {
    let object = usage_plan(json!({"concurrency": 4}));
    let status = report(&object, 12, Timestamp::UNIX_EPOCH);
    let expect = [("Ready", "True", "Active"), ("Accepted", "True", "Valid")];
    assert_eq!(said(&status.conditions), expect);
    assert_eq!(
        (status.keys, status.observed_generation),
        (Some(12), Some(2))
    );
    let status = report(&object, usize::MAX, Timestamp::UNIX_EPOCH);
    assert_eq!(status.keys, Some(1_000_000));
}

#[test]
fn shadow_is_said() {
    let object = usage_plan(json!({"concurrency": 4, "mode": "Shadow"}));
    let status = report(&object, 0, Timestamp::UNIX_EPOCH);
    assert!(status.conditions[0].message.contains("none is refused"));
}

#[test]
fn a_bad_plan_is_reported_and_keeps_its_count() {
    let mut object = usage_plan(json!({}));
    object.status = Some(UsagePlanStatus {
        keys: Some(3),
        ..UsagePlanStatus::default()
    });
    let status = report(&object, 5, Timestamp::UNIX_EPOCH);
    let expect = [
        ("Ready", "False", "InvalidSpec"),
        ("Accepted", "False", "InvalidSpec"),
        ("Stalled", "True", "InvalidSpec"),
    ];
    assert_eq!(said(&status.conditions), expect);
    assert_eq!(status.keys, Some(3));
    assert_eq!(events(&UsagePlanStatus::default(), &status).len(), 1);
}

#[test]
fn a_plan_that_is_being_deleted_is_left_alone() {
    let mut object = usage_plan(json!({"concurrency": 4}));
    object.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    assert_eq!(plan(&object, Observed { keys: 3 }), Ok(Outlook::Deleting));
}
