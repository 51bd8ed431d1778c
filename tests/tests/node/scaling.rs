//! The load decides: pods come with it and go without it, and nobody who calls a sleeping model is turned away.
//!
//! Two real gateways tell the operator what they see; its answers are real pods.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aimass_tests::cluster::Namespace;
use aimass_tests::linear::scaled;
use aimass_tests::{eventually, models};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

use crate::world::{doubled, gated, hundred_a_second, serve, turn};

/// From the first request to a sleeping model until its answer: an image and a model that are there, on a machine that has
/// other things to do. What is promised is measured by `cargo xtask bench scale`.
const AWAKE: Duration = Duration::from_secs(10);
/// After `idleTimeout` of 10 s: a window of 6 s must have been seen, and the pod ends.
const ASLEEP: Duration = Duration::from_secs(45);

/// Waits until the model's condition `Scaled` or `Ready` says so, with as many pods.
async fn becomes(ns: &Namespace, kind: &str, reason: &str, replicas: i64, within: Duration) {
    let look = || async {
        let object = models::api(ns)
            .get("iris")
            .await
            .map_err(|e| e.to_string())?;
        let found = models::condition(&object, kind).unwrap_or_default();
        let status = &object.data["status"];
        let pods = status["replicas"].as_i64();
        let fine = found.reason == reason && pods == Some(replicas);
        fine.then_some(()).ok_or_else(|| {
            let conditions = models::conditions(&object);
            format!("{pods:?} pods, {}: {conditions}", status["scaling"])
        })
    };
    eventually(within, &format!("{kind} becomes {reason}"), look).await;
}

/// Waits until no pod of the model is left, not even one that ends.
async fn ended(ns: &Namespace) {
    let pods: Api<Pod> = ns.api();
    let ours = ListParams::default().labels("aimass.dev/deployment=iris");
    let look = || async {
        let left = pods.list_metadata(&ours).await.map_err(|e| e.to_string())?;
        let left = left.items.len();
        (left == 0).then_some(()).ok_or(format!("{left} are left"))
    };
    eventually(ASLEEP, "the last pod has ended", look).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r19_a_model_sleeps_and_its_first_caller_wakes_it() {
    let world = gated("zero").await;
    let ns = &world.run.ns;
    let scaling = json!({"min": 0, "max": 2, "window": "6s", "idleTimeout": "10s"});
    serve(ns, &scaled("iris", &scaling)).await;
    for _ in 0..2 {
        becomes(ns, "Ready", "Idle", 0, ASLEEP).await;
        // Whoever comes while the last pod ends is still answered by it.
        ended(ns).await;
        let begun = Instant::now();
        let callers = (0..5).map(|number| doubled(world.gateway.caller(), number));
        for answer in futures_util::future::join_all(callers).await {
            answer.expect("whoever calls a sleeping model is answered");
        }
        let took = begun.elapsed();
        println!("five callers were answered {took:?} after they woke the model");
        assert!(took < AWAKE, "woken after {took:?}");
        becomes(ns, "Ready", "Serving", 1, AWAKE).await;
    }
    world.run.no_panic().expect("no panic");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_come_with_the_load_and_go_without_it() {
    let _turn = turn().await;
    let world = gated("load").await;
    let ns = &world.run.ns;
    // 100 requests a second call for three pods of 40.
    let scaling = json!({"min": 1, "max": 3, "window": "6s", "target": {"rate": 40}});
    serve(ns, &scaled("iris", &scaling)).await;
    let over = Arc::new(AtomicBool::new(false));
    let sent = hundred_a_second(world.gateway.caller(), Arc::clone(&over));
    let grown = async {
        becomes(ns, "Scaled", "WithinLimits", 3, Duration::from_secs(30)).await;
        over.store(true, Ordering::Relaxed);
    };
    let (report, ()) = tokio::join!(sent, grown);
    report.expect_none_failed();
    becomes(ns, "Scaled", "WithinLimits", 1, Duration::from_secs(90)).await;
    world.end().await;
}

/// A quota that has room for one pod more than there are in the namespace, gateways included; how many it
/// allows.
async fn one_more(ns: &Namespace) -> usize {
    let pods: Api<Pod> = ns.api();
    let there = pods.list_metadata(&ListParams::default()).await;
    let hard = there.expect("pods are listed").items.len() + 1;
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "small"}, "spec": {"hard": {"pods": hard.to_string()}},
    }))
    .expect("a quota");
    let quotas: Api<ResourceQuota> = ns.api();
    let made = quotas.create(&PostParams::default(), &quota).await;
    made.expect("it is valid");
    let counted = || async {
        let quota = quotas.get("small").await.map_err(|e| e.to_string())?;
        let used = quota.status.and_then(|s| s.used).unwrap_or_default();
        let used = used.get("pods").map(|q| q.0.clone()).unwrap_or_default();
        let fine = used == (hard - 1).to_string();
        fine.then_some(()).ok_or(format!("{used:?} of {hard}"))
    };
    eventually(Duration::from_secs(30), "the quota is counted", counted).await;
    hard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c44_a_quota_holds_the_number_and_lets_it_go() {
    let _turn = turn().await;
    let world = gated("quota").await;
    let ns = &world.run.ns;
    let scaling = json!({"min": 1, "max": 5, "window": "6s", "target": {"rate": 40}});
    serve(ns, &scaled("iris", &scaling)).await;
    let hard = one_more(ns).await;
    let over = Arc::new(AtomicBool::new(false));
    let sent = hundred_a_second(world.gateway.caller(), Arc::clone(&over));
    let held = async {
        let within = Duration::from_secs(30);
        becomes(ns, "Scaled", "QuotaExceeded", 2, within).await;
        let object = models::api(ns).get("iris").await.expect("it is there");
        let scaled = models::condition(&object, "Scaled").unwrap_or_default();
        let expect =
            format!("held at 2 replicas (max 5): quota small has 0 of {hard} pods left: raise it");
        assert_eq!(scaled.message, expect);
        let limit = models::text(&object, "/status/scaling/limitedBy");
        assert_eq!(limit, "Quota");
        let quotas: Api<ResourceQuota> = ns.api();
        let raised = json!({"spec": {"hard": {"pods": (hard + 1).to_string()}}});
        let patch = Patch::Merge(&raised);
        let patched = quotas.patch("small", &PatchParams::default(), &patch).await;
        patched.expect("it can be raised");
        becomes(ns, "Scaled", "WithinLimits", 3, within).await;
        over.store(true, Ordering::Relaxed);
    };
    let (report, ()) = tokio::join!(sent, held);
    report.expect_none_failed();
    world.run.no_panic().expect("no panic");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_starts_anew_takes_nothing_away() {
    let mut world = gated("again").await;
    let scaling = json!({"min": 1, "max": 3, "window": "6s", "target": {"rate": 40}});
    serve(&world.run.ns, &scaled("iris", &scaling)).await;
    let over = Arc::new(AtomicBool::new(false));
    let sent = hundred_a_second(world.gateway.caller(), Arc::clone(&over));
    let restarted = async {
        let within = Duration::from_secs(30);
        becomes(&world.run.ns, "Scaled", "WithinLimits", 3, within).await;
        world.run.restart().await;
        for _ in 0..16 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let object = models::api(&world.run.ns).get("iris").await;
            let object = object.expect("it is there");
            let pods = object.data["status"]["replicas"].as_i64();
            assert_eq!(pods, Some(3), "{}", models::conditions(&object));
        }
        over.store(true, Ordering::Relaxed);
    };
    let (report, ()) = tokio::join!(sent, restarted);
    report.expect_none_failed();
    world.end().await;
}
