//! Conditions and fields, row by row: what was decided, what it says.

use std::collections::BTreeMap;

use aimass_crds::condition::ConditionType;
use aimass_crds::model_deployment::{LimitedBy, RevisionRef, Role};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus};

use super::*;
use crate::model::analysis::Metric;
use crate::model::gateways::Routed;
use crate::model::objectives::{Standing, Within};
use crate::model::observed::Children;
use crate::model::outlook::{Accepted, PodFailure, Progress, RevisionFailure, Wait};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn model() -> ModelDeployment {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "aimass.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "iris", "namespace": "team-a", "generation": 4},
        "spec": {"model": {"source": {"configMap": {"name": "iris-model"}}}},
    }))
    .unwrap()
}

fn decided(progress: Progress, desired: i32) -> Decided {
    let target = RevisionRef {
        revision: "abcdefgh".to_owned(),
        number: 2,
    };
    Decided {
        accepted: Accepted::Valid,
        served_name: "my_model".to_owned(),
        url: "http://iris.team-a.svc:8501/v1/models/my_model".to_owned(),
        scaling: Scaling {
            mode: ScalingMode::Fixed,
            min: 1,
            max: 10,
            desired,
            limited_by: None,
            message: "set by spec.replicas".to_owned(),
            held: None,
            silent: false,
            asleep: false,
        },
        target: Some(target.clone()),
        stable: Some(target),
        revisions: vec![RevisionOutlook {
            name: "abcdefgh".to_owned(),
            number: 2,
            created: None,
            model: "configMap iris-model".to_owned(),
            digest: None,
            role: Role::Stable,
            size: desired,
            failure: None,
        }],
        rollout: None,
        progress,
        wait: None,
        traffic: Vec::new(),
        routed: Routed {
            expected: true,
            have: 2,
            want: 2,
            version: 7,
        },
        within: Within::NotAsked,
        failure: None,
        wake_at: None,
    }
}

fn applied(decided: Decided, ready: i32) -> Applied {
    let deployment = Deployment {
        spec: Some(DeploymentSpec {
            replicas: Some(decided.scaling.desired),
            ..DeploymentSpec::default()
        }),
        status: Some(DeploymentStatus {
            replicas: Some(decided.scaling.desired),
            ready_replicas: Some(ready),
            ..DeploymentStatus::default()
        }),
        ..Deployment::default()
    };
    let deployments = BTreeMap::from([("iris-abcdefgh".to_owned(), deployment)]);
    Applied {
        outlook: Outlook::Serving(Box::new(decided)),
        children: Children {
            deployments,
            ..Children::default()
        },
        pods: Vec::new(),
    }
}

fn failing(decided: Decided, reason: Reason) -> Decided {
    let failure = PodFailure {
        reason,
        message: "what is: what to do".to_owned(),
        pod: Some("iris-1".to_owned()),
        decisive: false,
    };
    Decided {
        failure: Some(RevisionFailure {
            revision: "abcdefgh".to_owned(),
            failure,
        }),
        ..decided
    }
}

fn says(status: &ModelDeploymentStatus) -> Vec<String> {
    status
        .conditions
        .iter()
        .map(|c| format!("{}={}/{}", c.type_, c.status, c.reason))
        .collect()
}

#[track_caller]
fn check(decided: Decided, ready: i32, expect: &[&str]) {
    let status = status(&model(), Ok(&applied(decided, ready)), at(100));
    assert_eq!(says(&status), expect);
    for condition in &status.conditions {
        assert!(!condition.message.is_empty() && condition.message.len() <= 1024);
        assert_eq!(condition.observed_generation, Some(4));
    }
}

#[test]
fn what_serves_is_ready_and_at_rest() {
    check(
        decided(Progress::Complete, 3),
        3,
        &[
            "Ready=True/Serving",
            "Accepted=True/Valid",
            "Applied=True/UpToDate",
            "RolledOut=True/Complete",
            "Scaled=True/FixedReplicas",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
        ],
    );
    check(
        decided(Progress::Complete, 3),
        1,
        &[
            "Ready=True/Degraded",
            "Accepted=True/Valid",
            "Applied=True/UpToDate",
            "RolledOut=True/Complete",
            "Scaled=True/FixedReplicas",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
            "Reconciling=True/Degraded",
        ],
    );
    check(
        decided(Progress::Complete, 0),
        0,
        &[
            "Ready=False/AtZero",
            "Accepted=True/Valid",
            "Applied=True/UpToDate",
            "RolledOut=True/Complete",
            "Scaled=True/AtZero",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
        ],
    );
    let mut suspended = decided(Progress::Suspended, 0);
    suspended.scaling.mode = ScalingMode::Suspended;
    check(
        suspended,
        0,
        &[
            "Ready=False/Suspended",
            "Accepted=True/Valid",
            "Applied=True/UpToDate",
            "RolledOut=False/Suspended",
            "Scaled=True/AtZero",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
        ],
    );
}

#[test]
fn a_rollout_that_waits_for_pods_which_cannot_start_says_why() {
    let mut waiting = decided(Progress::Progressing, 2);
    for revision in &mut waiting.revisions {
        revision.failure = Some(PodFailure {
            reason: Reason::ImagePullFailed,
            message: "cannot pull x".to_owned(),
            pod: None,
            decisive: false,
        });
    }
    let status = status(&model(), Ok(&applied(waiting, 1)), at(100));
    let text =
        "1 of 2 pods of revision abcdefgh (number 2) are ready; ImagePullFailed: cannot pull x";
    for of in [ConditionType::RolledOut, ConditionType::Reconciling] {
        let condition = of.find(&status.conditions).unwrap();
        assert_eq!(condition.message, text);
    }
}

#[test]
fn what_does_not_serve_says_why() {
    check(
        decided(Progress::Starting, 1),
        0,
        &[
            "Ready=False/Starting",
            "Accepted=True/Valid",
            "Applied=True/UpToDate",
            "RolledOut=False/Starting",
            "Scaled=True/FixedReplicas",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
            "Reconciling=True/Starting",
        ],
    );
    let failed = failing(decided(Progress::Failed, 1), Reason::OutOfMemory);
    check(
        failed,
        0,
        &[
            "Ready=False/OutOfMemory",
            "Accepted=True/Valid",
            "Applied=True/UpToDate",
            "RolledOut=False/Failed",
            "Scaled=True/FixedReplicas",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
            "Stalled=True/Failed",
        ],
    );
    let full = failing(
        decided(Progress::WaitingForCapacity, 3),
        Reason::QuotaExceeded,
    );
    check(
        full,
        2,
        &[
            "Ready=True/Degraded",
            "Accepted=True/Valid",
            "Applied=True/UpToDate",
            "RolledOut=False/WaitingForCapacity",
            "Scaled=False/QuotaExceeded",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
            "Reconciling=True/WaitingForCapacity",
        ],
    );
    let missing = Accepted::Missing {
        reason: Reason::ConfigMapNotFound,
        message: "ConfigMap x".to_owned(),
    };
    let unresolved = Decided {
        accepted: missing.clone(),
        ..decided(Progress::NotAccepted, 1)
    };
    check(
        unresolved.clone(),
        0,
        &[
            "Ready=False/ConfigMapNotFound",
            "Accepted=False/ConfigMapNotFound",
            "Applied=True/UpToDate",
            "RolledOut=False/NotAccepted",
            "Scaled=True/FixedReplicas",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
            "Reconciling=True/ConfigMapNotFound",
        ],
    );
    check(
        unresolved,
        1,
        &[
            "Ready=True/Serving",
            "Accepted=False/ConfigMapNotFound",
            "Applied=True/UpToDate",
            "RolledOut=False/NotAccepted",
            "Scaled=True/FixedReplicas",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
            "Reconciling=True/ConfigMapNotFound",
        ],
    );
    let forbidden = Decided {
        accepted: Accepted::Forbidden("may not".to_owned()),
        ..decided(Progress::NotAccepted, 1)
    };
    check(
        forbidden,
        0,
        &[
            "Ready=Unknown/Forbidden",
            "Accepted=Unknown/Forbidden",
            "Applied=True/UpToDate",
            "RolledOut=False/NotAccepted",
            "Scaled=True/FixedReplicas",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
            "Reconciling=True/Forbidden",
        ],
    );
    check(
        decided(Progress::RolledBack, 1),
        1,
        &[
            "Ready=True/Serving",
            "Accepted=True/Valid",
            "Applied=True/UpToDate",
            "RolledOut=False/RolledBack",
            "Scaled=True/FixedReplicas",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
            "Stalled=True/RolledBack",
        ],
    );
    for (progress, reason) in [
        (Progress::Paused, "Paused"),
        (Progress::RollingBack, "RollingBack"),
        (Progress::Progressing, "Progressing"),
    ] {
        let status = status(&model(), Ok(&applied(decided(progress, 1), 1)), at(1));
        assert!(says(&status).contains(&format!("RolledOut=False/{reason}")));
        assert!(says(&status).contains(&format!("Reconciling=True/{reason}")));
    }
}

#[test]
fn fields_are_filled_and_times_move_only_with_the_status() {
    let first = status(
        &model(),
        Ok(&applied(
            failing(decided(Progress::Complete, 2), Reason::Evicted),
            1,
        )),
        at(100),
    );
    assert_eq!(
        first.url.as_deref(),
        Some("http://iris.team-a.svc:8501/v1/models/my_model")
    );
    assert_eq!(
        (first.ready.as_deref(), first.replicas, first.ready_replicas),
        (Some("1/2"), Some(2), Some(1))
    );
    assert_eq!(
        first.selector.as_deref(),
        Some("aimass.dev/deployment=iris")
    );
    assert_eq!(first.last_failure.as_ref().unwrap().time.0, at(100));
    let mut later = model();
    later.status = Some(first.clone());
    let second = status(
        &later,
        Ok(&applied(decided(Progress::Complete, 2), 2)),
        at(200),
    );
    let time = |status: &ModelDeploymentStatus, of: ConditionType| {
        of.find(&status.conditions).unwrap().last_transition_time.0
    };
    assert_eq!(
        time(&second, ConditionType::Ready),
        at(100),
        "Degraded and Serving are both True"
    );
    assert_eq!(
        second.last_failure, first.last_failure,
        "kept until the next one"
    );
}

#[test]
fn a_failure_of_ours_leaves_alone_what_is_known() {
    let mut serving = model();
    serving.status = Some(status(
        &serving,
        Ok(&applied(decided(Progress::Complete, 1), 1)),
        at(1),
    ));
    let fail = |model: &ModelDeployment, terminal: bool, reason: Reason| {
        let failure = Failure {
            terminal,
            reason,
            message: "what is".to_owned(),
        };
        says(&status(model, Err(failure), at(2)))
    };
    assert_eq!(
        fail(&serving, false, Reason::ApiUnavailable),
        [
            "Ready=True/Serving",
            "Accepted=True/Valid",
            "Applied=False/ApiUnavailable",
            "RolledOut=True/Complete",
            "Scaled=True/FixedReplicas",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
            "Reconciling=True/ApiUnavailable"
        ]
    );
    assert_eq!(
        fail(&serving, true, Reason::InvalidSpec),
        [
            "Ready=True/Serving",
            "Accepted=False/InvalidSpec",
            "Applied=True/UpToDate",
            "RolledOut=False/NotAccepted",
            "Scaled=True/FixedReplicas",
            "Routed=True/AllGateways",
            "WithinObjectives=Unknown/NoObjectives",
            "Stalled=True/InvalidSpec"
        ]
    );
    assert_eq!(
        fail(&model(), true, Reason::InvalidSpec),
        [
            "Ready=False/InvalidSpec",
            "Accepted=False/InvalidSpec",
            "Applied=True/UpToDate",
            "RolledOut=False/NotAccepted",
            "Stalled=True/InvalidSpec"
        ]
    );
    assert_eq!(
        fail(&model(), false, Reason::Forbidden),
        [
            "Ready=Unknown/Forbidden",
            "Accepted=Unknown/Forbidden",
            "Applied=False/Forbidden",
            "RolledOut=Unknown/Forbidden",
            "Reconciling=True/Forbidden"
        ]
    );
    assert_eq!(
        fail(&model(), true, Reason::NameConflict),
        [
            "Ready=False/NameConflict",
            "Accepted=True/Valid",
            "Applied=False/NameConflict",
            "RolledOut=False/Starting",
            "Stalled=True/NameConflict"
        ]
    );
    let odd = undecodable(
        &serving.metadata,
        serving.status.as_ref(),
        "spec.replicas: not a number",
        at(2),
    );
    assert!(says(&odd).contains(&"Accepted=False/Undecodable".to_owned()));
    assert_eq!(odd.stable, serving.status.unwrap().stable);
}

/// As many as the load calls for, from `min` on.
fn automatic(min: i32, desired: i32, message: &str) -> Decided {
    let mut decided = decided(Progress::Complete, desired);
    decided.scaling.mode = ScalingMode::Automatic;
    decided.scaling.min = min;
    decided.scaling.asleep = desired == 0;
    decided.scaling.message = message.to_owned();
    decided
}

#[track_caller]
fn check_scaled(decided: Decided, ready: i32, expect: [&str; 2]) {
    let status = status(&model(), Ok(&applied(decided, ready)), at(100));
    let says = says(&status);
    let found = |of: &str| says.iter().find(|says| says.starts_with(of)).cloned();
    assert_eq!(
        [found("Ready"), found("Scaled")],
        expect.map(|text| Some(text.to_owned()))
    );
}

#[test]
fn the_load_says_how_many_and_a_limit_says_so_itself() {
    let limited = |by: LimitedBy| {
        let mut decided = automatic(1, 4, "4: max");
        decided.scaling.limited_by = Some(by);
        decided
    };
    let serving = "Ready=True/Serving";
    check_scaled(
        automatic(1, 4, "4"),
        4,
        [serving, "Scaled=True/WithinLimits"],
    );
    // further pods start with the load: nothing is amiss while the least number serves
    check_scaled(
        automatic(1, 4, "4"),
        1,
        [serving, "Scaled=True/WithinLimits"],
    );
    let degraded = "Ready=True/Degraded";
    check_scaled(
        automatic(2, 4, "4"),
        1,
        [degraded, "Scaled=True/WithinLimits"],
    );
    let of = |text: &'static str| [serving, text];
    check_scaled(
        limited(LimitedBy::Max),
        4,
        of("Scaled=False/MaxReplicasReached"),
    );
    check_scaled(
        limited(LimitedBy::Quota),
        4,
        of("Scaled=False/QuotaExceeded"),
    );
    check_scaled(
        limited(LimitedBy::Unschedulable),
        4,
        of("Scaled=False/Unschedulable"),
    );
    let mut silent = automatic(1, 4, "4");
    silent.scaling.silent = true;
    check_scaled(silent, 4, of("Scaled=Unknown/NoSignals"));
}

#[test]
fn a_model_that_was_proved_sleeps_and_wakes_as_one_that_answers() {
    let asleep = ["Ready=True/Idle", "Scaled=True/AtZero"];
    check_scaled(automatic(0, 0, "0"), 0, asleep);
    let waking = ["Ready=True/Waking", "Scaled=True/WithinLimits"];
    check_scaled(automatic(0, 1, "1"), 0, waking);
    let gone = ["Ready=False/Starting", "Scaled=True/WithinLimits"];
    check_scaled(automatic(1, 1, "1"), 0, gone);
    let broken = failing(automatic(0, 1, "1"), Reason::OutOfMemory);
    check_scaled(
        broken,
        0,
        ["Ready=False/OutOfMemory", "Scaled=True/WithinLimits"],
    );
    let unproved = Decided {
        stable: None,
        ..automatic(0, 1, "1")
    };
    check_scaled(unproved, 0, gone);
}

#[test]
fn who_waits_for_room_in_a_quota_is_told_which() {
    let held = |desired, said: &str| {
        let mut decided = automatic(0, desired, "in words");
        decided.scaling.limited_by = Some(LimitedBy::Quota);
        decided.scaling.held = Some(said.to_owned());
        decided
    };
    let quota = "Scaled=False/QuotaExceeded";
    check_scaled(held(4, "full"), 4, ["Ready=True/Serving", quota]);
    let asleep = ["Ready=False/QuotaExceeded", quota];
    check_scaled(held(0, "full"), 0, asleep);
    let mut later = model();
    for said in ["quota a is full", "quota b is full"] {
        later.status = Some(status(&later, Ok(&applied(held(4, said), 4)), at(100)));
        let conditions = &later.status.as_ref().unwrap().conditions;
        let scaled = ConditionType::Scaled.find(conditions).unwrap();
        assert_eq!(
            scaled.message,
            format!("held at 4 replicas (max 10): {said}")
        );
    }
    // a new leader that knows nothing yet says nothing else
    let mut unknown = automatic(0, 4, "as before: the load is not known");
    unknown.scaling.limited_by = Some(LimitedBy::Quota);
    let next = status(&later, Ok(&applied(unknown, 4)), at(200));
    assert_eq!(Some(next), later.status);
}

#[test]
fn the_words_of_a_decision_stay_until_the_next_one() {
    let first = status(
        &model(),
        Ok(&applied(automatic(1, 4, "3 → 4: 24 in flight"), 4)),
        at(100),
    );
    let mut later = model();
    later.status = Some(first.clone());
    let same = status(
        &later,
        Ok(&applied(automatic(1, 4, "4: 25 in flight"), 4)),
        at(200),
    );
    assert_eq!(same, first);
    let next = status(
        &later,
        Ok(&applied(automatic(1, 5, "4 → 5: 33 in flight"), 4)),
        at(200),
    );
    let scaled = ConditionType::Scaled.find(&next.conditions).unwrap();
    assert_eq!(scaled.message, "4 → 5: 33 in flight");
    let scaling = next.scaling.unwrap();
    assert_eq!((scaling.desired, scaling.since.0), (5, at(200)));
    assert_eq!((scaling.min, scaling.max), (Some(1), Some(10)));
}

#[test]
fn what_gateways_obey_is_a_condition_and_a_number() {
    let of = |expected, have, want| {
        let mut decided = decided(Progress::Complete, 1);
        decided.routed = Routed {
            expected,
            have,
            want,
            version: 7,
        };
        let status = status(&model(), Ok(&applied(decided, 1)), at(1));
        assert_eq!(status.traffic_version, Some(7));
        says(&status)
            .into_iter()
            .find(|says| says.starts_with("Routed"))
    };
    let says = |text: &str| Some(text.to_owned());
    assert_eq!(of(true, 3, 3), says("Routed=True/AllGateways"));
    assert_eq!(of(true, 2, 3), says("Routed=False/GatewaysLagging"));
    assert_eq!(of(true, 0, 0), says("Routed=Unknown/NoGateway"));
    assert_eq!(of(false, 0, 0), says("Routed=Unknown/NoGateway"));
}

/// What the condition says of `within`, after what `before` said of it: status, reason, message.
fn objectives(within: Within, before: Option<&ModelDeploymentStatus>) -> ModelDeploymentStatus {
    let mut decided = decided(Progress::Complete, 1);
    decided.within = within;
    let mut model = model();
    model.status = before.cloned();
    let applied = applied(decided, 1);
    let once = status(&model, Ok(&applied), at(100));
    model.status = Some(once.clone());
    assert_eq!(status(&model, Ok(&applied), at(900)), once, "a fixed point");
    once
}

fn of_objectives(status: &ModelDeploymentStatus) -> (&str, &str, &str) {
    let of = ConditionType::WithinObjectives;
    let said = of.find(&status.conditions).unwrap();
    (&said.status, &said.reason, &said.message)
}

fn judged(standing: Standing, figures: &str) -> Within {
    let ask = "; objectives: errorRate 1 % over 5m".to_owned();
    Within::Judged {
        standing,
        message: format!("{figures}{ask}"),
        ask,
    }
}

fn awaited(silent: bool) -> Within {
    Within::Awaited {
        message: "nothing to judge by".to_owned(),
        silent,
    }
}

#[test]
fn objectives_are_a_condition_whose_figures_are_those_of_its_last_change() {
    let met = objectives(judged(Standing::Met, "0.1 %"), None);
    let message = "0.1 %; objectives: errorRate 1 % over 5m";
    assert_eq!(of_objectives(&met), ("True", "Met", message));
    // a new leader has seen other figures
    let still = objectives(judged(Standing::Met, "0.2 %"), Some(&met));
    assert_eq!(still, met);
    let above = objectives(judged(Standing::ErrorRateAbove, "4 %"), Some(&met));
    let message = "4 %; objectives: errorRate 1 % over 5m";
    let said = ("False", "ErrorRateAboveObjective", message);
    assert_eq!(of_objectives(&above), said);
    let slow = objectives(judged(Standing::LatencyAbove, "2 s"), Some(&above));
    let message = "2 s; objectives: errorRate 1 % over 5m";
    let said = ("False", "LatencyAboveObjective", message);
    assert_eq!(of_objectives(&slow), said);
    // another spec: its figures are said, even if nothing else has changed
    let other = Within::Judged {
        standing: Standing::Met,
        message: "0.3 %; objectives: errorRate 2 % over 5m".to_owned(),
        ask: "; objectives: errorRate 2 % over 5m".to_owned(),
    };
    let other = objectives(other, Some(&met));
    let message = "0.3 %; objectives: errorRate 2 % over 5m";
    assert_eq!(of_objectives(&other), ("True", "Met", message));
}

#[test]
fn what_is_not_known_of_objectives_stays_as_it_was() {
    let few = ("Unknown", "NoTraffic", "nothing to judge by");
    let fresh = objectives(awaited(false), None);
    assert_eq!(of_objectives(&fresh), few);
    let silent = objectives(awaited(true), None);
    let message = "no gateway says what became of requests: nothing can be judged";
    assert_eq!(of_objectives(&silent), ("Unknown", "NoSignals", message));
    assert_eq!(
        of_objectives(&objectives(awaited(false), Some(&silent))),
        few
    );
    assert_eq!(of_objectives(&objectives(awaited(true), Some(&fresh))), few);
    for standing in [Standing::Met, Standing::ErrorRateAbove] {
        let known = objectives(judged(standing, "4 %"), None);
        for silent in [true, false] {
            assert_eq!(objectives(awaited(silent), Some(&known)), known);
        }
        let none = objectives(Within::NobodyCounts, Some(&known));
        let message = "no gateway is installed: nobody counts requests";
        assert_eq!(of_objectives(&none), ("Unknown", "NoGateway", message));
        let none = objectives(Within::NotAsked, Some(&known));
        let message = "spec.objectives is not set: nothing is asked of the model";
        assert_eq!(of_objectives(&none), ("Unknown", "NoObjectives", message));
        assert_eq!(of_objectives(&objectives(awaited(false), Some(&none))), few);
    }
}

#[track_caller]
fn check_wait(progress: Progress, wait: Wait, expect: &str) {
    let mut waiting = decided(progress, 2);
    waiting.wait = Some(wait);
    waiting.rollout = Some(RolloutMemory {
        revision: "abcdefgh".to_owned(),
        attempt: 1,
        started: at(0),
        step: 1,
        step_started: Some(at(1)),
        progressed: None,
        ready: 1,
        weight: 10,
        passed: [1].into(),
        checked: Some(at(31)),
        checks: vec![CheckResult {
            metric: Metric::ErrorRateIncrease,
            verdict: CheckVerdict::Hold,
            requests: 23,
            new: "0%".to_owned(),
            stable: "0.1%".to_owned(),
            limit: "+1%".to_owned(),
        }],
        failure: None,
    });
    let first = status(&model(), Ok(&applied(waiting, 1)), at(100));
    let condition = ConditionType::RolledOut.find(&first.conditions).unwrap();
    assert!(condition.message.contains(expect), "{}", condition.message);
    assert!(condition.message.contains("it gets 10 % of the requests"));
    let checks = first.rollout.unwrap().checks;
    assert_eq!(
        (checks[0].metric.as_str(), checks[0].requests),
        ("errorRate.maxIncrease", 23)
    );
}

#[test]
fn what_a_rollout_waits_for_is_said() {
    let goes = Progress::Progressing;
    check_wait(
        goes,
        Wait::Pods {
            weight: 50,
            want: 5,
        },
        "50 % need 5 ready",
    );
    check_wait(goes, Wait::Gateways, "2 of 2 gateways obey");
    check_wait(
        goes,
        Wait::Watched {
            step: 1,
            seconds: 120,
        },
        "watched for 120 s",
    );
    let verdict = |nobody_counts| Wait::Verdict {
        step: 1,
        want: 50,
        nobody_counts,
    };
    check_wait(
        Progress::Holding,
        verdict(false),
        "23 requests were judged, 50 are needed",
    );
    check_wait(
        Progress::Holding,
        verdict(true),
        "without a gateway nobody counts",
    );
    let approval = Wait::Approval { step: 1 };
    check_wait(
        Progress::AwaitingApproval,
        approval,
        "say Continue with step 1",
    );
    let most = Wait::MaxWeight { weight: 50 };
    check_wait(
        Progress::AtMaxWeight,
        most,
        "raise spec.rollout.canary.maxWeight",
    );
}
