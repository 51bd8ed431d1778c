//! From a key and what was observed to its status, row by row; and what holds for all of them.
#![expect(clippy::needless_pass_by_value, reason = "literals are passed")]

use std::time::Duration;

use aimass_crds::condition::{Condition, ConditionType};
use aimass_crds::reason::Reason;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::model::Failure;

const NOW: &str = "2026-06-01T00:00:00Z";
const BEFORE: &str = "2026-05-01T00:00:00Z";
const AFTER: &str = "2026-06-01T01:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A good key, with `more` in its spec.
fn key(more: &Value) -> APIKey {
    let mut spec = json!({
        "models": ["iris"],
        "credentials": [{"id": "7GmYq2TbX0aZ", "sha256": "ab".repeat(32)}],
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "aimass.dev/v1alpha1", "kind": "APIKey",
        "metadata": {"name": "ana", "namespace": "team-a", "generation": 3},
        "spec": spec,
    }))
    .unwrap()
}

fn observed() -> Observed {
    Observed {
        now: at(NOW),
        plan: PlanReference::NotNeeded,
        taken: Vec::new(),
        unknown_models: Vec::new(),
        last_used: None,
    }
}

fn report(key: &APIKey, observed: &Observed, now: Timestamp) -> APIKeyStatus {
    let outcome = plan(key, observed);
    status(key, outcome.as_ref().map_err(Failure::from), now)
}

/// Type, status and reason of each condition.
fn said(conditions: &[Condition]) -> Vec<(&str, &str, &str)> {
    conditions
        .iter()
        .map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str()))
        .collect()
}

#[track_caller]
fn check(more: Value, observed: &Observed, expect: &[(&str, &str, &str)], message: &str) {
    let status = report(&key(&more), observed, observed.now);
    assert_eq!(said(&status.conditions), expect);
    let ready = ConditionType::Ready.find(&status.conditions).unwrap();
    assert!(
        ready.message.contains(message),
        "{message} is not in: {}",
        ready.message
    );
    assert_eq!(status.observed_generation, Some(3));
}

const VALID: (&str, &str, &str) = ("Accepted", "True", "Valid");

#[test]
fn a_key_that_opens_its_models_is_active() {
    let active = [("Ready", "True", "Active"), VALID];
    check(
        json!({}),
        &observed(),
        &active,
        "1 of 1 credential accepted",
    );
    let planned = Observed {
        plan: PlanReference::Exists,
        ..observed()
    };
    check(json!({"plan": "free"}), &planned, &active, "");
}

#[test]
fn a_model_that_there_is_not_is_only_told() {
    let observed = Observed {
        unknown_models: vec!["iris".to_owned(), "rose".to_owned()],
        ..observed()
    };
    let active = [("Ready", "True", "Active"), VALID];
    check(json!({}), &observed, &active, "is named iris, rose");
}

#[test]
fn what_its_owner_decided_comes_before_what_time_did() {
    let disabled = [("Ready", "False", "Disabled"), VALID];
    let more = json!({"disabled": true, "expiresAt": BEFORE});
    check(more, &observed(), &disabled, "set spec.disabled to false");
}

#[test]
fn a_key_whose_time_is_over_has_expired() {
    let expired = [
        ("Ready", "False", "Expired"),
        VALID,
        ("Stalled", "True", "Expired"),
    ];
    let more = json!({"expiresAt": NOW});
    check(more, &observed(), &expired, "since 2026-06-01T00:00:00Z");
}

#[test]
fn a_key_with_an_id_of_an_older_one_says_whose() {
    let taken = |by: Option<&str>| Observed {
        taken: vec![Taken {
            id: "7GmYq2TbX0aZ".to_owned(),
            by: by.map(str::to_owned),
        }],
        ..observed()
    };
    let duplicate = [
        ("Ready", "False", "DuplicateKeyID"),
        VALID,
        ("Stalled", "True", "DuplicateKeyID"),
    ];
    let words = "the older APIKey ben has the credential id 7GmYq2TbX0aZ";
    check(json!({}), &taken(Some("ben")), &duplicate, words);
    check(json!({}), &taken(None), &duplicate, "of another namespace");
}

#[test]
fn a_plan_that_is_missing_is_awaited() {
    let absent = Observed {
        plan: PlanReference::Absent,
        ..observed()
    };
    let missing = [
        ("Ready", "False", "PlanNotFound"),
        ("Accepted", "False", "PlanNotFound"),
        ("Reconciling", "True", "PlanNotFound"),
    ];
    check(
        json!({"plan": "free"}),
        &absent,
        &missing,
        "no UsagePlan free",
    );
}

#[test]
fn a_plan_that_nobody_can_look_for_is_believed_and_that_is_said() {
    let unknown = Observed {
        plan: PlanReference::Unknown,
        ..observed()
    };
    let key = key(&json!({"plan": "free"}));
    let status = report(&key, &unknown, unknown.now);
    assert_eq!(
        said(&status.conditions),
        [("Ready", "True", "Active"), VALID]
    );
    let accepted = ConditionType::Accepted.find(&status.conditions).unwrap();
    assert!(accepted.message.contains("is not known"));
    assert_eq!(status.effective_plan.as_deref(), Some("free"));
}

#[test]
fn the_fields_say_what_holds() {
    let exists = Observed {
        plan: PlanReference::Exists,
        ..observed()
    };
    let more = json!({"plan": "free", "expiresAt": AFTER});
    let status = report(&key(&more), &exists, exists.now);
    assert_eq!(status.effective_plan.as_deref(), Some("free"));
    assert_eq!(status.expires_at, Some(Time(at(AFTER))));
    let absent = Observed {
        plan: PlanReference::Absent,
        ..observed()
    };
    let status = report(&key(&json!({"plan": "free"})), &absent, absent.now);
    assert_eq!((status.effective_plan, status.expires_at), (None, None));
}

#[test]
fn it_is_looked_at_again_when_the_next_credential_ends() {
    let two = json!({"credentials": [
        {"id": "7GmYq2TbX0aZ", "sha256": "ab".repeat(32), "notAfter": AFTER},
        {"id": "8GmYq2TbX0aZ", "sha256": "cd".repeat(32), "notAfter": BEFORE},
    ]});
    let outlook = plan(&key(&two), &observed()).unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(next(&outlook, at(NOW)), Next::Requeue(hour));
    let status = report(&key(&two), &observed(), at(NOW));
    let ready = ConditionType::Ready.find(&status.conditions).unwrap();
    assert_eq!(ready.message, "1 of 2 credentials accepted");
    let outlook = plan(&key(&json!({})), &observed()).unwrap();
    assert_eq!(next(&outlook, at(NOW)), Next::AwaitChange);
    let outlook = plan(&key(&json!({"expiresAt": BEFORE})), &observed()).unwrap();
    assert_eq!(next(&outlook, at(NOW)), Next::AwaitChange);
}

#[test]
fn a_spec_that_breaks_a_rule_is_reported() {
    let refused = [
        ("Ready", "False", "InvalidSpec"),
        ("Accepted", "False", "InvalidSpec"),
        ("Stalled", "True", "InvalidSpec"),
    ];
    check(
        json!({"models": []}),
        &observed(),
        &refused,
        "spec.models must hold",
    );
}

#[test]
fn an_object_that_does_not_parse_is_reported_and_keeps_the_rest() {
    let before = APIKeyStatus {
        effective_plan: Some("free".to_owned()),
        ..APIKeyStatus::default()
    };
    let metadata = key(&json!({})).metadata;
    let status = undecodable(&metadata, Some(&before), "spec: why", at(NOW));
    assert_eq!(status.effective_plan, before.effective_plan);
    let ready = ConditionType::Ready.find(&status.conditions).unwrap();
    assert_eq!(
        (ready.reason.as_str(), ready.message.as_str()),
        ("Undecodable", "spec: why")
    );
}

#[test]
fn a_key_that_is_being_deleted_is_left_alone() {
    let mut key = key(&json!({"expiresAt": BEFORE}));
    key.metadata.deletion_timestamp = Some(Time(at(NOW)));
    key.status = Some(APIKeyStatus::default());
    assert_eq!(plan(&key, &observed()), Ok(Outlook::Deleting));
    assert_eq!(report(&key, &observed(), at(NOW)), APIKeyStatus::default());
}

#[test]
fn an_expiry_is_one_warning() {
    let active = report(&key(&json!({"expiresAt": AFTER})), &observed(), at(NOW));
    let later = Observed {
        now: at(AFTER),
        ..observed()
    };
    let expired = report(&key(&json!({"expiresAt": AFTER})), &later, at(AFTER));
    let told = events(&active, &expired);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].reason, Reason::Expired);
    assert!(events(&expired, &expired).is_empty());
}

#[test]
fn the_hour_of_the_last_use_never_goes_back() {
    let mut key = key(&json!({}));
    let mut used = |last_used: Option<&str>| {
        let observed = Observed {
            last_used: last_used.map(at),
            ..observed()
        };
        let status = report(&key, &observed, at(NOW));
        key.status = Some(status.clone());
        status.last_used_at.map(|time| time.0)
    };
    assert_eq!(used(None), None);
    assert_eq!(used(Some(NOW)), Some(at(NOW)));
    assert_eq!(used(None), Some(at(NOW)), "by another leader");
    assert_eq!(used(Some(BEFORE)), Some(at(NOW)));
    assert_eq!(used(Some(AFTER)), Some(at(AFTER)));
}
