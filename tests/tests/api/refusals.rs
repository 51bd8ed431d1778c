//! Calls that the API server refuses or never answers, at a write of each kind and in a storm: the
//! same end state.

use std::time::Duration;

use aimass_tests::cluster::Cluster;
use aimass_tests::faults::plan::{Action, Fault, Plan, Rates};
use aimass_tests::workload::{RECOVERY, Reference, Run, Workload, expect_same, judge, record};

use crate::workloads::{CHANGE, CREATE, SCALE};

/// Each status once for each kind of write that the workload makes.
fn refusals(reference: &Reference) -> Vec<Plan> {
    let mut kinds = std::collections::BTreeMap::new();
    for write in &reference.writes {
        kinds
            .entry((write.verb, write.kind.clone()))
            .or_insert_with(|| write.point.clone());
    }
    let mut plans = Vec::new();
    for point in kinds.into_values() {
        for (status, retry_after) in [
            (409, None),
            (410, None),
            (429, Some(1)),
            (500, None),
            (504, None),
        ] {
            let action = Action::Refused {
                status,
                retry_after,
            };
            plans.push(Plan::one(Fault {
                point: point.clone(),
                action,
            }));
        }
    }
    plans
}

async fn each_status(workload: &Workload) {
    let cluster = Cluster::connect().await;
    let reference = record(&cluster, workload).await;
    expect_same(&cluster, workload, &reference, refusals(&reference)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_survives_409_410_429_500_and_504() {
    each_status(&CREATE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_survives_409_410_429_500_and_504() {
    each_status(&CHANGE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_never_answered_ends_within_15_s_and_is_made_again() {
    let cluster = Cluster::connect().await;
    let mut reference = record(&cluster, &CREATE).await;
    reference.took += Duration::from_secs(15);
    let points = ["deployments", "services", "status"];
    let plans = points.into_iter().filter_map(|part| {
        let write = reference.writes.iter().find(|w| w.point.contains(part))?;
        let fault = Fault {
            point: write.point.clone(),
            action: Action::Hang,
        };
        Some(Plan::one(fault))
    });
    let plans: Vec<Plan> = plans.collect();
    assert_eq!(plans.len(), 3, "{:?}", reference.writes);
    expect_same(&cluster, &CREATE, &reference, plans).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c12_three_calls_in_ten_failing_change_nothing_but_the_time() {
    let cluster = Cluster::connect().await;
    let rates = Rates {
        internal: 80,
        unavailable: 80,
        timeout: 50,
        reset: 45,
        lost: 45,
    };
    for workload in [CREATE, SCALE, CHANGE] {
        let mut reference = record(&cluster, &workload).await;
        reference.took *= 3;
        for round in 0..4 {
            let seed = cluster.seed() ^ round;
            let plan = Plan {
                storm: Some((seed, rates)),
                ..Plan::default()
            };
            if let Err(complaint) = judge(&cluster, &workload, &reference, plan).await {
                panic!("seed {seed}: {complaint}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c12_a_storm_makes_no_duplicate_events() {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, "storm-events", Default::default()).await;
    let rates = Rates {
        internal: 100,
        unavailable: 100,
        reset: 100,
        ..Rates::default()
    };
    run.faults.arm(Plan {
        storm: Some((cluster.seed(), rates)),
        ..Plan::default()
    });
    (CREATE.act)(&run.ns).await;
    run.outlast(RECOVERY * 3, CREATE.done)
        .await
        .expect("it comes to its end");
    run.faults.arm(Plan::default());
    let events: kube::Api<k8s_openapi::api::events::v1::Event> = run.ns.api();
    let events = events
        .list(&Default::default())
        .await
        .expect("Events can be listed");
    let mut seen = std::collections::BTreeSet::new();
    for event in events {
        let about = event.regarding.unwrap_or_default();
        if about.kind.as_deref() != Some("ModelDeployment") {
            continue;
        }
        let key = (
            event.reason.unwrap_or_default(),
            event.note.unwrap_or_default(),
        );
        assert!(seen.insert(key.clone()), "twice: {key:?}");
    }
    assert!(!seen.is_empty(), "not a single Event");
}
