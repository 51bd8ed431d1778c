//! Watches that lag, end, stall, break, skip or go back in time: the same end state.

use std::collections::BTreeMap;
use std::time::Duration;

use aimass_tests::cluster::Cluster;
use aimass_tests::eventually::throughout;
use aimass_tests::faults::view::{Blow, Flow};
use aimass_tests::models;
use aimass_tests::normal::{CHILDREN, Mask, Normal, differences};
use aimass_tests::workload::{RECOVERY, Reference, Run, Workload, history, record};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::json;

use crate::workloads::{CHANGE, CREATE, SCALE};

/// Runs the workload while watches flow so, and then freely; `by` is the time it may cost.
async fn under(
    cluster: &Cluster,
    workload: &Workload,
    reference: &Reference,
    flow: Flow,
    by: Duration,
) {
    let mut run = Run::start(cluster, workload.name, Default::default()).await;
    (workload.before)(&run.ns).await;
    run.reach(RECOVERY * 4, workload.prepared)
        .await
        .expect("it starts without a fault");
    run.silence(RECOVERY)
        .await
        .expect("it rests without a fault");
    run.faults.flow("*", flow);
    (workload.act)(&run.ns).await;
    let mask = Mask::of(workload.name);
    let same = |state: &_| {
        let differences = differences(&reference.end, state, &mask);
        if differences.is_empty() {
            Ok(())
        } else {
            Err(differences.join("\n"))
        }
    };
    let outcome = run.reach(reference.took + RECOVERY + by, same).await;
    if let Err(complaint) = outcome {
        panic!(
            "{} under {flow:?}: {complaint}\n{}",
            workload.name,
            history(&run)
        );
    }
    run.silence(RECOVERY + by).await.expect("it rests");
    let counts = run.counts(&run.faults.hashes()).await;
    assert_eq!(counts, reference.counts, "{} under {flow:?}", workload.name);
    run.no_panic().expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c5_events_that_are_skipped_change_nothing() {
    let cluster = Cluster::connect().await;
    for workload in [CREATE, SCALE, CHANGE] {
        let reference = record(&cluster, &workload).await;
        let late = Duration::from_secs(30);
        under(&cluster, &workload, &reference, Flow::Skip, late).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c6_a_view_behind_its_own_writes_makes_no_second_child() {
    let cluster = Cluster::connect().await;
    for workload in [CREATE, CHANGE] {
        let reference = record(&cluster, &workload).await;
        let lag = Duration::from_secs(5);
        under(&cluster, &workload, &reference, Flow::Lag(lag), lag * 8).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_watches_that_end_every_two_seconds_miss_nothing() {
    let cluster = Cluster::connect().await;
    let reference = record(&cluster, &CHANGE).await;
    let flow = Flow::CloseEvery(Duration::from_secs(2));
    under(&cluster, &CHANGE, &reference, flow, Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_delayed_ended_and_broken_by_chance_change_nothing() {
    let cluster = Cluster::connect().await;
    for workload in [CREATE, SCALE, CHANGE] {
        let reference = record(&cluster, &workload).await;
        let by = Duration::from_secs(30);
        let runs = (0..4).map(|round| {
            let flow = Flow::Seeded(cluster.seed() ^ round);
            under(&cluster, &workload, &reference, flow, by)
        });
        futures_util::future::join_all(runs).await;
    }
}

/// A model that serves, and a change after the blow that must be noticed in time.
async fn after(blow: Blow, within: Duration) {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, "blow", Default::default()).await;
    (SCALE.before)(&run.ns).await;
    run.reach(RECOVERY * 4, SCALE.prepared)
        .await
        .expect("it starts without a fault");
    run.silence(RECOVERY)
        .await
        .expect("it rests without a fault");
    run.faults.blow("*", blow);
    (SCALE.act)(&run.ns).await;
    let outcome = run.reach(within, SCALE.done).await;
    if let Err(complaint) = outcome {
        panic!("after {blow:?}: {complaint}\n{}", history(&run));
    }
    run.no_panic().expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c8_half_open_watches_are_noticed_within_35_s() {
    after(Blow::HalfOpen, Duration::from_secs(35) + RECOVERY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_a_410_leads_to_a_relist() {
    after(Blow::Gone, RECOVERY * 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_line_ends_only_that_watch() {
    after(Blow::Garbage, RECOVERY * 2).await;
}

/// The children as they were before a change, while the model is seen as it is.
async fn stale_children(test: &str, restarts: bool) {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, test, Default::default()).await;
    (CHANGE.before)(&run.ns).await;
    run.reach(RECOVERY * 4, CHANGE.prepared)
        .await
        .expect("it starts without a fault");
    run.silence(RECOVERY)
        .await
        .expect("it rests without a fault");
    let deployments: Api<Deployment> = run.ns.api();
    let list = deployments
        .list(&Default::default())
        .await
        .expect("it can be listed");
    let before = list.metadata.resource_version.unwrap_or_default();
    (CHANGE.act)(&run.ns).await;
    run.reach(RECOVERY * 4, CHANGE.done)
        .await
        .expect("it changes without a fault");
    run.silence(RECOVERY)
        .await
        .expect("it rests without a fault");
    let object = models::api(&run.ns)
        .get("iris")
        .await
        .expect("the model is there");
    let serving = format!("iris-{}", models::text(&object, "/status/stable/revision"));
    let hashes = run.faults.hashes();
    let deleted = |counts: BTreeMap<String, u32>| -> Vec<String> {
        let deletes = counts
            .into_iter()
            .filter(|(key, _)| key.starts_with("delete"));
        deletes.map(|(key, n)| format!("{key} {n}")).collect()
    };
    let gone = deleted(run.counts(&hashes).await);
    for kind in CHILDREN {
        run.faults.stale(kind, &before);
    }
    if restarts {
        run.restart().await;
    }
    // Something that makes it look.
    models::merge(&run.ns, "iris", &json!({"replicas": 3}))
        .await
        .expect("the number is valid");
    throughout(
        Duration::from_secs(12),
        "what serves is not shrunk",
        || async {
            let found = deployments.get(&serving).await.map_err(|e| e.to_string())?;
            let replicas = found.spec.and_then(|s| s.replicas);
            let ready = found.status.and_then(|s| s.ready_replicas);
            if replicas >= Some(2) && ready >= Some(2) {
                return Ok(());
            }
            Err(format!("{replicas:?}, ready {ready:?}\n{}", history(&run)))
        },
    )
    .await;
    let now = deleted(run.counts(&hashes).await);
    assert_eq!(now, gone, "deleted on a stale view\n{}", history(&run));
    run.faults.fresh();
    for kind in CHILDREN {
        run.faults.blow(kind, Blow::Gone);
    }
    let served = |state: &Normal| {
        let model = state.get("ModelDeployment/iris").ok_or("no model")?;
        let (ready, stable) = (
            &model["status"]["readyReplicas"],
            &model["status"]["stable"],
        );
        let fine = *ready == json!(3) && stable["number"] == json!(2);
        if fine {
            Ok(())
        } else {
            Err(format!("{}", model["status"]))
        }
    };
    let outcome = run.reach(RECOVERY * 4, served).await;
    if let Err(complaint) = outcome {
        panic!(
            "with a fresh view it goes on: {complaint}\n{}",
            history(&run)
        );
    }
    assert_eq!(deleted(run.counts(&hashes).await), gone);
    run.no_panic().expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_a_view_that_goes_back_in_time_destroys_nothing() {
    stale_children("c3", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_a_start_on_an_old_view_destroys_nothing() {
    stale_children("c3-start", true).await;
}
