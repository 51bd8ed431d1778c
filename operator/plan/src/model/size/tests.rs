//! The number, row by row: who says it, what is known.

use aimass_crds::ModelDeployment;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::model::observed::{Gateway, Recommended};
use crate::model::samples::platform;
use crate::model::valid::valid;

fn spec(further: &Value) -> Valid {
    let mut spec = json!({"model": {"source": {"configMap": {"name": "m"}}}});
    let fields = further.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(fields);
    let model: ModelDeployment = serde_json::from_value(json!({
        "apiVersion": "aimass.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": "iris"}, "spec": spec,
    }))
    .unwrap();
    valid(&model, &platform()).unwrap()
}

/// One gateway that speaks, and what `scale` makes of it.
fn signals(recommended: Option<i32>) -> Signals {
    Signals {
        expected: true,
        gateways: [("g".to_owned(), Gateway::default())].into(),
        recommended: recommended.map(|desired| Recommended {
            desired,
            limited_by: None,
            message: "in words".to_owned(),
            held: None,
            waking: false,
        }),
        counts: std::collections::BTreeMap::default(),
        judged: None,
    }
}

fn before(mode: ScalingMode, desired: i32) -> ScalingStatus {
    ScalingStatus {
        mode,
        min: None,
        max: None,
        desired,
        limited_by: None,
        since: Time(Timestamp::UNIX_EPOCH),
    }
}

#[track_caller]
fn check(further: &Value, signals: &Signals, remembered: Option<i32>, expect: i32) {
    let remembered = remembered.map(|desired| before(ScalingMode::Automatic, desired));
    let found = size(&spec(further), signals, remembered.as_ref());
    assert_eq!(found.desired, expect, "{found:?}");
    assert!(!found.message.is_empty());
}

#[test]
fn a_person_comes_before_the_load() {
    let load = signals(Some(7));
    check(&json!({"suspend": true, "replicas": 3}), &load, Some(5), 0);
    check(&json!({"replicas": 3}), &load, Some(5), 3);
    check(&json!({"replicas": 0}), &load, Some(5), 0);
    // by hand it may be more than the load may call for
    check(
        &json!({"replicas": 30, "scaling": {"max": 2}}),
        &load,
        None,
        30,
    );
    check(&json!({}), &load, Some(5), 7);
}

#[test]
fn the_load_stays_within_its_bounds() {
    let scaling = json!({"scaling": {"min": 2, "max": 5}});
    check(&scaling, &signals(Some(9)), None, 5);
    check(&scaling, &signals(Some(0)), None, 2);
    check(&scaling, &signals(None), Some(9), 5);
    check(&json!({"scaling": {"min": 0}}), &signals(Some(0)), None, 0);
}

#[test]
fn what_is_not_known_changes_nothing() {
    check(&json!({}), &signals(None), Some(6), 6);
    let sleepy = json!({"scaling": {"min": 0}});
    check(&sleepy, &signals(None), Some(0), 0);
    check(&sleepy, &signals(None), None, 1);
    check(&json!({"scaling": {"min": 3}}), &signals(None), None, 3);
    let suspended = before(ScalingMode::Suspended, 0);
    let found = size(&spec(&sleepy), &signals(None), Some(&suspended));
    assert_eq!(found.desired, 1, "it begins anew");
}

#[test]
fn without_a_gateway_it_is_the_least_number() {
    let none = Signals::default();
    check(&json!({}), &none, Some(6), 1);
    check(&json!({"scaling": {"min": 0}}), &none, None, 1);
    check(&json!({"scaling": {"min": 4}}), &none, None, 4);
    assert!(!size(&spec(&json!({})), &none, None).silent);
}

#[test]
fn one_gateway_that_speaks_is_enough_to_know_something() {
    let silent = Gateway {
        silent: true,
        ..Gateway::default()
    };
    let mut signals = signals(None);
    signals.gateways.insert("h".to_owned(), silent.clone());
    let is_silent = |signals: &Signals| size(&spec(&json!({})), signals, None).silent;
    assert!(!is_silent(&signals));
    signals.gateways.insert("g".to_owned(), silent);
    assert!(is_silent(&signals));
    signals.gateways.clear();
    assert!(is_silent(&signals));
    let fixed = size(&spec(&json!({"replicas": 1})), &signals, None);
    assert!(!fixed.silent, "nobody has to say it");
}

#[test]
fn what_the_quota_holds_is_told_while_it_does() {
    let held = |limited_by| {
        let mut signals = signals(Some(4));
        let recommended = signals.recommended.as_mut().unwrap();
        recommended.limited_by = limited_by;
        recommended.held = Some("the quota is full".to_owned());
        size(&spec(&json!({})), &signals, None).held
    };
    assert_eq!(
        held(Some(LimitedBy::Quota)).as_deref(),
        Some("the quota is full")
    );
    assert_eq!(held(None), None);
    assert_eq!(held(Some(LimitedBy::Max)), None);
}
