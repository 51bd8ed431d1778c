//! One row per reason, in order of causality.

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::model::observed::{Container, Terminated};

const NOW: i64 = 10_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pod(server: Container) -> Pod {
    Pod {
        name: "iris-1".to_owned(),
        created: Some(at(NOW - 60)),
        phase: "Pending".to_owned(),
        containers: vec![Container {
            name: "server".to_owned(),
            image: "s:1".to_owned(),
            ..server
        }],
        ..Pod::default()
    }
}

fn waiting(reason: &str) -> Pod {
    let state = Some((reason.to_owned(), "said".to_owned()));
    pod(Container {
        waiting: state,
        ..Container::default()
    })
}

fn ended(reason: &str, exit_code: i32, message: &str, restarts: i32) -> Pod {
    let end = Terminated {
        reason: reason.to_owned(),
        exit_code,
        message: message.to_owned(),
    };
    pod(Container {
        terminated: Some(end),
        restarts,
        ..Container::default()
    })
}

fn written(reason: &str, exit_code: i32, restarts: i32) -> Pod {
    ended(
        "Error",
        exit_code,
        &format!(r#"{{"reason":"{reason}","message":"what is"}}"#),
        restarts,
    )
}

fn refusing(message: &str, since: i64) -> Deployment {
    Deployment {
        status: Some(DeploymentStatus {
            conditions: Some(vec![DeploymentCondition {
                type_: "ReplicaFailure".to_owned(),
                status: "True".to_owned(),
                message: Some(message.to_owned()),
                last_transition_time: Some(Time(at(since))),
                ..DeploymentCondition::default()
            }]),
            ..DeploymentStatus::default()
        }),
        ..Deployment::default()
    }
}

fn judge(deployment: Option<&Deployment>, pods: &[&Pod]) -> (Option<PodFailure>, Option<i64>) {
    let facts = Facts {
        deployment,
        pods,
        template: None,
        start_deadline: Duration::from_secs(600),
        now: at(NOW),
    };
    (find(&facts), wake_at(&facts).map(Timestamp::as_second))
}

#[track_caller]
fn check(pod: &Pod, expect: Option<(Reason, bool)>) {
    let (found, _) = judge(None, &[pod]);
    assert_eq!(
        found.as_ref().map(|found| (found.reason, found.decisive)),
        expect,
        "{found:?}"
    );
    if let Some(found) = found {
        assert_eq!(found.pod.as_deref(), Some("iris-1"));
        assert!(!found.message.is_empty() && found.message.len() <= 1024);
    }
}

#[test]
fn what_passes_by_itself_is_named_and_not_decisive() {
    check(&pod(Container::default()), None);
    check(
        &Pod {
            unschedulable: Some("0/1 nodes".to_owned()),
            ..pod(Container::default())
        },
        Some((Reason::Unschedulable, false)),
    );
    check(
        &Pod {
            volume_failures: vec!["no claim".to_owned()],
            ..waiting("ContainerCreating")
        },
        Some((Reason::VolumeMountFailed, false)),
    );
    check(&waiting("ContainerCreating"), None);
    check(
        &waiting("CreateContainerConfigError"),
        Some((Reason::ConfigInvalid, false)),
    );
    check(
        &waiting("ImagePullBackOff"),
        Some((Reason::ImagePullFailed, false)),
    );
    check(
        &waiting("ErrImageNeverPull"),
        Some((Reason::ImagePullFailed, false)),
    );
    check(
        &Pod {
            reason: Some(("Evicted".to_owned(), "disk".to_owned())),
            ..pod(Container::default())
        },
        Some((Reason::Evicted, false)),
    );
    check(
        &Pod {
            created: Some(at(NOW - 600)),
            ..pod(Container::default())
        },
        Some((Reason::StartTimeout, false)),
    );
    let started = Container {
        started: true,
        ..Container::default()
    };
    check(
        &Pod {
            created: Some(at(NOW - 6000)),
            ..pod(started)
        },
        None,
    );
}

#[test]
fn what_a_container_wrote_is_its_reason_and_the_second_refusal_is_decisive() {
    for (name, reason) in [
        ("ArtifactUnavailable", Reason::ArtifactUnavailable),
        ("AccessDenied", Reason::AccessDenied),
        ("FetchTimeout", Reason::FetchTimeout),
        ("OutOfDisk", Reason::OutOfDisk),
    ] {
        check(&written(name, 4, 0), Some((reason, false)));
        check(&written(name, 4, 9), Some((reason, false)));
    }
    for (name, reason) in [
        ("ArtifactInvalid", Reason::ArtifactInvalid),
        ("DigestMismatch", Reason::DigestMismatch),
        ("ModelLoadFailed", Reason::ModelLoadFailed),
        ("EngineUnavailable", Reason::EngineUnavailable),
    ] {
        check(&written(name, 3, 0), Some((reason, false)));
        check(&written(name, 3, 1), Some((reason, true)));
    }
    let mut again = written("ModelLoadFailed", 3, 1);
    again.containers[0].running = true;
    check(&again, Some((Reason::ModelLoadFailed, false)));
}

#[test]
fn the_third_restart_is_decisive() {
    check(
        &ended("OOMKilled", 137, "", 0),
        Some((Reason::OutOfMemory, false)),
    );
    check(
        &ended("OOMKilled", 137, "", 3),
        Some((Reason::OutOfMemory, true)),
    );
    check(&ended("Error", 139, "", 1), None);
    check(
        &ended("Error", 139, "", 2),
        Some((Reason::CrashLooping, false)),
    );
    check(
        &ended("Error", 139, "", 3),
        Some((Reason::CrashLooping, true)),
    );
    check(&ended("Completed", 0, "", 3), None);
    // a reason that is not of pods is no reason here
    check(
        &written("Serving", 3, 3),
        Some((Reason::CrashLooping, true)),
    );
}

#[test]
fn the_last_output_is_quoted() {
    let log = "one\n{\"level\":\"ERROR\",\"message\":\"no such flag\"}\n";
    let (found, _) = judge(None, &[&ended("Error", 64, log, 2)]);
    assert!(found.unwrap().message.contains("last output: no such flag"));
    let (found, _) = judge(None, &[&ended("Error", 64, &"é".repeat(4000), 2)]);
    assert!(found.unwrap().message.len() <= 1024);
}

#[test]
fn a_refusal_of_pods_comes_first_and_is_decisive_once_it_lasts() {
    let crash = ended("Error", 139, "", 3);
    let judge = |message: &str, since: i64| {
        let (found, wake) = judge(Some(&refusing(message, since)), &[&crash]);
        let found = found.unwrap();
        (found.reason, found.decisive, wake)
    };
    assert_eq!(
        judge("violates PodSecurity", NOW),
        (Reason::AdmissionRefused, false, Some(NOW + 30))
    );
    assert_eq!(
        judge("violates PodSecurity", NOW - 30),
        (Reason::AdmissionRefused, true, Some(NOW + 540))
    );
    let quota = "pods \"x\" is forbidden: exceeded quota: q";
    assert_eq!(
        judge(quota, NOW - 300),
        (Reason::QuotaExceeded, false, Some(NOW + 540))
    );
}

#[test]
fn a_pod_that_waits_for_volumes_is_looked_at_again() {
    let young = Pod {
        created: Some(at(NOW - 10)),
        ..waiting("ContainerCreating")
    };
    assert!(!waits_for_volumes(&young, at(NOW)));
    assert_eq!(judge(None, &[&young]).1, Some(NOW + 20));
    let old = Pod {
        created: Some(at(NOW - 30)),
        ..waiting("ContainerCreating")
    };
    assert!(waits_for_volumes(&old, at(NOW)));
    assert_eq!(judge(None, &[&old]).1, Some(NOW + 30));
    assert!(!waits_for_volumes(&waiting("ErrImagePull"), at(NOW)));
    assert!(!waits_for_volumes(&Pod { ready: true, ..old }, at(NOW)));
}
