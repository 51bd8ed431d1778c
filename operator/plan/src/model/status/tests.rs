//! Conditions and fields, row by row: what was decided, what it says.

use std::collections::BTreeMap;

use aimass_crds::condition::ConditionType;
use aimass_crds::model_deployment::{RevisionRef, Role};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus};

use super::*;
use crate::model::observed::Children;
use crate::model::outlook::{Accepted, PodFailure, Progress, RevisionFailure, Scaling};

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
        desired,
        scaling: Scaling::Fixed,
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
        failure: None,
        wake_at: None,
    }
}

fn applied(decided: Decided, ready: i32) -> Applied {
    let deployment = Deployment {
        spec: Some(DeploymentSpec {
            replicas: Some(decided.desired),
            ..DeploymentSpec::default()
        }),
        status: Some(DeploymentStatus {
            replicas: Some(decided.desired),
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
        ],
    );
    let suspended = Decided {
        scaling: Scaling::Suspended,
        ..decided(Progress::Suspended, 0)
    };
    check(
        suspended,
        0,
        &[
            "Ready=False/Suspended",
            "Accepted=True/Valid",
            "Applied=True/UpToDate",
            "RolledOut=False/Suspended",
            "Scaled=True/AtZero",
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
