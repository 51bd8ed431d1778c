//! Shares, row by row: pods of each revision, what they get.

use std::collections::BTreeMap;

use aimass_crds::model_deployment::{RevisionRef, Role};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus};

use super::*;
use crate::model::observed::Children;
use crate::model::outlook::{Accepted, Outlook, Progress, RevisionOutlook, Scaling};
use crate::model::planned::Applied;

/// A revision: its name, its size, its ready pods.
type Row = (&'static str, i32, i32);

fn decided(mode: ScalingMode, stable: Option<&str>, rows: &[Row]) -> Decided {
    let revision = |(name, size, _): &Row| RevisionOutlook {
        name: (*name).to_owned(),
        number: 1,
        created: None,
        model: String::new(),
        digest: None,
        role: Role::Draining,
        size: *size,
        failure: None,
    };
    Decided {
        accepted: Accepted::Valid,
        served_name: "m".to_owned(),
        url: String::new(),
        scaling: Scaling {
            mode,
            min: 0,
            max: 10,
            desired: rows.iter().map(|(_, size, _)| size).sum(),
            limited_by: None,
            message: String::new(),
            silent: false,
            asleep: false,
        },
        target: None,
        stable: stable.map(|name| RevisionRef {
            revision: name.to_owned(),
            number: 1,
        }),
        revisions: rows.iter().map(revision).collect(),
        rollout: None,
        progress: Progress::Complete,
        failure: None,
        wake_at: None,
    }
}

fn applied(decided: &Decided, rows: &[Row]) -> Applied {
    let deployment = |(name, size, ready): &Row| {
        let deployment = Deployment {
            spec: Some(DeploymentSpec {
                replicas: Some(*size),
                ..DeploymentSpec::default()
            }),
            status: Some(DeploymentStatus {
                ready_replicas: Some(*ready),
                ..DeploymentStatus::default()
            }),
            ..Deployment::default()
        };
        (format!("m-{name}"), deployment)
    };
    let deployments: BTreeMap<_, _> = rows.iter().map(deployment).collect();
    Applied {
        outlook: Outlook::Serving(Box::new(decided.clone())),
        children: Children {
            deployments,
            ..Children::default()
        },
        pods: Vec::new(),
    }
}

fn weights(shares: &[(&str, i32)]) -> Vec<Weight> {
    let weight = |(revision, weight): &(&str, i32)| Weight {
        revision: (*revision).to_owned(),
        weight: *weight,
    };
    shares.iter().map(weight).collect()
}

#[track_caller]
fn check_in(
    mode: ScalingMode,
    stable: Option<&str>,
    rows: &[Row],
    before: &[(&str, i32)],
    expect: &[(&str, i32)],
) {
    let decided = decided(mode, stable, rows);
    let sums = Sums::of("m", &decided, &applied(&decided, rows));
    let before = weights(before);
    let (found, version) = shares(&decided, &sums, (before.clone(), Some(4)));
    assert_eq!(found, weights(expect));
    let counted = if found == before { 4 } else { 5 };
    assert_eq!(
        version,
        Some(counted),
        "it is counted up with each change alone"
    );
    let (again, same) = shares(&decided, &sums, (found.clone(), version));
    assert_eq!((again, same), (found, version), "twice is once");
}

#[track_caller]
fn check(stable: Option<&str>, rows: &[Row], before: &[(&str, i32)], expect: &[(&str, i32)]) {
    check_in(ScalingMode::Automatic, stable, rows, before, expect);
}

#[test]
fn a_revision_gets_what_its_ready_pods_are_of_all() {
    check(Some("old"), &[("old", 2, 2)], &[], &[("old", 100)]);
    let rolling = [("new", 1, 1), ("old", 3, 3)];
    check(
        Some("old"),
        &rolling,
        &[("old", 100)],
        &[("new", 25), ("old", 75)],
    );
    // What rounding leaves goes to the newest of those with most pods.
    let thirds = [("c", 1, 1), ("b", 1, 1), ("a", 1, 1)];
    check(Some("a"), &thirds, &[], &[("c", 34), ("b", 33), ("a", 33)]);
    // Pods that are to go get no more.
    let ending = [("new", 2, 2), ("old", 0, 1)];
    check(Some("new"), &ending, &[("old", 100)], &[("new", 100)]);
}

#[test]
fn without_a_ready_pod_the_shares_stay() {
    let asleep = [("new", 0, 0), ("old", 0, 0)];
    check(Some("new"), &asleep, &[("new", 100)], &[("new", 100)]);
    let waking = [("new", 1, 0), ("old", 0, 0)];
    check(Some("new"), &waking, &[("new", 100)], &[("new", 100)]);
    // One of them is gone, or none was ever said.
    check(Some("new"), &asleep, &[("gone", 100)], &[("new", 100)]);
    check(Some("new"), &asleep, &[], &[("new", 100)]);
}

#[test]
fn nobody_gets_any_before_the_first_pod_was_ready_nor_while_it_is_suspended() {
    check(None, &[("new", 1, 0)], &[], &[]);
    let suspended = ScalingMode::Suspended;
    check_in(
        suspended,
        Some("new"),
        &[("new", 0, 0)],
        &[("new", 100)],
        &[],
    );
}

#[test]
fn the_first_share_has_number_one_and_none_has_no_number() {
    let rows = [("new", 1, 1)];
    let some = decided(ScalingMode::Fixed, None, &rows);
    let sums = Sums::of("m", &some, &applied(&some, &rows));
    assert_eq!(shares(&some, &sums, (Vec::new(), None)).1, Some(1));
    let rows = [("new", 1, 0)];
    let none = decided(ScalingMode::Fixed, None, &rows);
    let sums = Sums::of("m", &none, &applied(&none, &rows));
    assert_eq!(shares(&none, &sums, (Vec::new(), None)).1, None);
}
