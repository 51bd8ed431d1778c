//! Which transitions are told, and how.

use super::*;
use aimass_crds::model_deployment::ScalingStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

fn with(conditions: &[(&str, &str, &str)]) -> ModelDeploymentStatus {
    let condition = |(of, status, reason): &(&str, &str, &str)| Condition {
        type_: (*of).to_owned(),
        status: (*status).to_owned(),
        reason: (*reason).to_owned(),
        message: "what is".to_owned(),
        observed_generation: Some(1),
        last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
    };
    ModelDeploymentStatus {
        conditions: conditions.iter().map(condition).collect(),
        ..ModelDeploymentStatus::default()
    }
}

#[track_caller]
fn check(
    before: &[(&str, &str, &str)],
    after: &[(&str, &str, &str)],
    expect: &[(Reason, EventKind)],
) {
    let told = events(&with(before), &with(after));
    let told: Vec<_> = told
        .iter()
        .map(|event| (event.reason, event.kind))
        .collect();
    assert_eq!(told, expect);
}

const STARTING: [(&str, &str, &str); 3] = [
    ("Ready", "False", "Starting"),
    ("Accepted", "True", "Valid"),
    ("RolledOut", "False", "Starting"),
];

#[test]
fn a_healthy_object_has_one_event_until_it_serves() {
    check(&[], &STARTING, &[]);
    check(
        &STARTING,
        &[
            ("Ready", "True", "Serving"),
            ("Accepted", "True", "Valid"),
            ("RolledOut", "True", "Complete"),
        ],
        &[(Reason::Serving, EventKind::Normal)],
    );
}

#[test]
fn what_turns_bad_is_a_warning_once_per_reason() {
    check(
        &STARTING,
        &[
            ("Ready", "False", "OutOfMemory"),
            ("RolledOut", "False", "Failed"),
            ("Scaled", "False", "OutOfMemory"),
        ],
        &[
            (Reason::OutOfMemory, EventKind::Warning),
            (Reason::Failed, EventKind::Warning),
        ],
    );
    check(
        &[("Accepted", "True", "Valid")],
        &[("Accepted", "False", "InvalidSpec")],
        &[(Reason::InvalidSpec, EventKind::Warning)],
    );
    check(
        &[("Accepted", "False", "InvalidSpec")],
        &[("Accepted", "True", "Valid")],
        &[(Reason::Valid, EventKind::Normal)],
    );
    check(
        &[("Ready", "True", "Serving")],
        &[("Ready", "True", "Degraded")],
        &[(Reason::Degraded, EventKind::Warning)],
    );
    check(
        &[("Ready", "False", "Starting")],
        &[("Ready", "True", "Degraded")],
        &[],
    );
}

#[test]
fn nothing_is_told_twice() {
    let bad = [
        ("Ready", "False", "OutOfMemory"),
        ("RolledOut", "False", "RolledBack"),
    ];
    check(&bad, &bad, &[]);
}

#[test]
fn scaling_is_told_with_its_numbers() {
    let ready = |text: &str| ModelDeploymentStatus {
        ready: Some(text.to_owned()),
        ..Default::default()
    };
    let told = events(&ready("3/3"), &ready("3/5"));
    assert_eq!(told[0].reason, Reason::ScaledUp);
    assert_eq!(told[0].note, "from 3 to 5 replicas");
    assert_eq!(
        events(&ready("3/3"), &ready("3/0"))[0].reason,
        Reason::ScaledDown
    );
    assert_eq!(events(&ready("1/3"), &ready("3/3")), []);
}

#[test]
fn what_the_load_calls_for_is_told_with_its_reason() {
    let of = |ready: &str, desired: i32| ModelDeploymentStatus {
        ready: Some(ready.to_owned()),
        scaling: Some(ScalingStatus {
            mode: ScalingMode::Automatic,
            min: Some(0),
            max: Some(10),
            desired,
            limited_by: None,
            since: Time(jiff::Timestamp::UNIX_EPOCH),
        }),
        ..with(&[("Scaled", "True", "WithinLimits")])
    };
    let told = |from: &str, to: &str| {
        let told = events(&of(from, 0), &of(to, 1));
        assert_eq!(told.len(), 1);
        (told[0].reason, told[0].note.clone())
    };
    let woken = told("0/0", "0/1");
    assert_eq!(woken.0, Reason::WokenUp);
    assert_eq!(woken.1, "from 0 to 1 replicas: what is");
    assert_eq!(told("1/1", "1/0").0, Reason::ScaledToZero);
    assert_eq!(told("1/1", "1/4").0, Reason::ScaledUp);
    assert_eq!(told("4/4", "4/2").0, Reason::ScaledDown);
    check(
        &[("Ready", "True", "Waking")],
        &[("Ready", "True", "Serving")],
        &[],
    );
    check(
        &[("Scaled", "True", "WithinLimits")],
        &[("Scaled", "Unknown", "NoSignals")],
        &[(Reason::NoSignals, EventKind::Warning)],
    );
}

#[test]
fn objectives_that_are_not_met_are_a_warning_and_met_again_is_told() {
    let rows = |status, reason| [("WithinObjectives", status, reason)];
    let met = rows("True", "Met");
    let errors = rows("False", "ErrorRateAboveObjective");
    let slow = rows("False", "LatencyAboveObjective");
    let unknown = rows("Unknown", "NoTraffic");
    let warning = |reason| [(reason, EventKind::Warning)];
    for before in [&[][..], &met, &unknown, &slow] {
        check(before, &errors, &warning(Reason::ErrorRateAboveObjective));
    }
    check(&met, &slow, &warning(Reason::LatencyAboveObjective));
    check(&errors, &met, &[(Reason::Met, EventKind::Normal)]);
    check(&errors, &errors, &[]);
    for before in [&[][..], &met, &unknown] {
        check(before, &met, &[]);
    }
    for after in [
        unknown,
        rows("Unknown", "NoSignals"),
        rows("Unknown", "NoGateway"),
        rows("Unknown", "NoObjectives"),
    ] {
        check(&errors, &after, &[]);
    }
}
