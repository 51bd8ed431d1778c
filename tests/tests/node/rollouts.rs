//! A new revision gets its share step by step, is measured, and is taken back when it is worse: by real requests, through
//! two real gateways.
//!
//! The new revision is a table of doubles, which fails for the numbers that it does not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aimass_tests::client::Caller;
use aimass_tests::cluster::Namespace;
use aimass_tests::linear::{change, shares};
use aimass_tests::{eventually, load, models};
use kube::Api;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::world::{Gated, doubled, gated, hundred_a_second, public_model, serve, stable, turn};

/// For all steps of a rollout, on a machine that has other things to do.
const ROLLED_OUT: Duration = Duration::from_secs(120);

/// Serves the linear model by two pods, rolled out by `rollout` from now on.
async fn begin(test: &str, rollout: &Value) -> Gated {
    let world = gated(test).await;
    let model = models::with(public_model(2), "/spec/rollout", rollout.clone());
    serve(&world.run.ns, &model).await;
    world
}

/// Says a word on the rollout under way.
async fn decide(ns: &Namespace, action: &str) {
    let object = iris(ns).await;
    let target = models::text(&object, "/status/target/revision");
    let spec = json!({"rollout": {"decision": {"revision": target, "action": action}}});
    let decided = models::merge(ns, "iris", &spec).await;
    decided.expect("the decision is valid");
}

async fn iris(ns: &Namespace) -> DynamicObject {
    let object = models::api(ns).get("iris").await;
    object.expect("the model is there")
}

/// Waits until the condition `RolledOut` has this reason.
async fn becomes(ns: &Namespace, reason: &str) -> models::Condition {
    let look = || async {
        let object = models::api(ns).get("iris").await;
        let object = object.map_err(|e| e.to_string())?;
        let found = models::condition(&object, "RolledOut").unwrap_or_default();
        let fresh = Some(found.observed_generation) == object.metadata.generation;
        let fine = found.reason == reason && fresh;
        let now = || format!("{:?}: {}", shares(&object), models::conditions(&object));
        fine.then_some(found).ok_or_else(now)
    };
    eventually(ROLLED_OUT, &format!("RolledOut becomes {reason}"), look).await
}

/// Waits until the revision that the spec asks for has this share.
async fn has(ns: &Namespace, weight: i64) {
    let look = || async {
        let object = models::api(ns).get("iris").await;
        let object = object.map_err(|e| e.to_string())?;
        let fresh =
            object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation;
        let target = models::text(&object, "/status/target/revision").to_owned();
        let shares = shares(&object);
        let fine = fresh && shares.contains(&(target, weight));
        fine.then_some(()).ok_or(format!("{shares:?}"))
    };
    eventually(ROLLED_OUT, &format!("the share is {weight} %"), look).await;
}

/// Who calls the model, and looks at the shares meanwhile.
struct Callers {
    caller: Caller,
    models: Api<DynamicObject>,
}

impl Callers {
    fn of(world: &Gated) -> Self {
        Self {
            caller: world.gateway.caller(),
            models: models::api(&world.run.ns),
        }
    }

    /// Sends requests while `happens` does; what came of them, and the shares that other revisions than the present one had.
    async fn during(self, happens: impl Future<Output = ()>) -> (load::Report, Vec<i64>) {
        let over = Arc::new(AtomicBool::new(false));
        let sent = hundred_a_second(self.caller, Arc::clone(&over));
        let ended = async {
            happens.await;
            over.store(true, Ordering::Relaxed);
        };
        let (report, seen, ()) = tokio::join!(sent, watch(&self.models, &over), ended);
        (report, seen)
    }
}

/// Looks at the shares until it is over: what all revisions but the first stable one had, each number once.
async fn watch(models: &Api<DynamicObject>, over: &AtomicBool) -> Vec<i64> {
    let (mut before, mut seen) = (None, Vec::new());
    while !over.load(Ordering::Relaxed) {
        let object = models.get("iris").await.expect("the model is there");
        let stable = models::text(&object, "/status/stable/revision");
        let before = before.get_or_insert_with(|| stable.to_owned());
        let shares = shares(&object);
        let sum: i64 = shares.iter().map(|(_, weight)| weight).sum();
        assert_eq!(sum, 100, "{shares:?}");
        let new = shares.iter().filter(|(revision, _)| revision != before);
        let new = new.map(|(_, weight)| weight).sum();
        if seen.last() != Some(&new) {
            seen.push(new);
        }
        sleep(Duration::from_millis(50)).await;
    }
    seen
}

/// Two steps, judged each five seconds.
fn canary(first: &str) -> Value {
    json!({
        "strategy": "Canary",
        "canary": {"steps": [{"weight": 20, "duration": first}, {"weight": 50, "duration": "5s"}]},
        "analysis": {"interval": "5s", "minRequests": 20, "errorRate": {"maxIncrease": "1%"}},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_takes_over_step_by_step_and_no_request_fails() {
    let _turn = turn().await;
    let mut world = begin("canary", &canary("5s")).await;
    let (report, seen) = Callers::of(&world)
        .during(async {
            change(&world.run.ns, "iris", 100).await;
            has(&world.run.ns, 50).await;
            // C46: what an operator has begun another one goes on with.
            world.run.restart().await;
            becomes(&world.run.ns, "Complete").await;
        })
        .await;
    report.expect_none_failed();
    assert_eq!(seen, [0, 20, 50, 75, 100], "the new revision's shares");
    world.run.no_panic().expect("no panic");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_fails_one_request_in_ten_is_taken_back() {
    let _turn = turn().await;
    // 400 requests on it: a tenth of a hundred could be chance.
    let world = begin("worse", &canary("20s")).await;
    let ns = &world.run.ns;
    let before = stable(ns, "iris").await;
    let (report, seen) = Callers::of(&world)
        .during(async {
            change(ns, "iris", 90).await;
            let found = becomes(ns, "RolledBack").await;
            assert!(found.message.contains("errorRate"), "{}", found.message);
        })
        .await;
    assert_eq!(seen, [0, 20, 0], "the new revision's shares");
    assert!((1..60).contains(&report.failed), "{report:?}");
    assert_eq!(stable(ns, "iris").await, before);
    let (report, seen) = Callers::of(&world)
        .during(sleep(Duration::from_secs(5)))
        .await;
    report.expect_none_failed();
    assert_eq!(seen, [0], "it is not tried again by itself");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_without_callers_holds_until_a_person_promotes_it() {
    let world = begin("quiet", &canary("5s")).await;
    let ns = &world.run.ns;
    change(ns, "iris", 100).await;
    let found = becomes(ns, "Holding").await;
    assert!(found.message.contains("20"), "{}", found.message);
    sleep(Duration::from_secs(5)).await;
    let held = iris(ns).await;
    let share = shares(&held);
    assert!(share.iter().any(|(_, weight)| *weight == 20), "{share:?}");
    decide(ns, "Promote").await;
    becomes(ns, "Complete").await;
    doubled(world.gateway.caller(), 21)
        .await
        .expect("an answer");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn green_gets_all_requests_at_once_and_gives_them_back_at_a_word() {
    let _turn = turn().await;
    let rollout = json!({"strategy": "BlueGreen", "blueGreen": {"soak": "2s", "keepOld": "1h"}});
    let world = begin("switch", &rollout).await;
    let ns = &world.run.ns;
    let (report, seen) = Callers::of(&world)
        .during(async {
            change(ns, "iris", 100).await;
            has(ns, 100).await;
            sleep(Duration::from_secs(3)).await;
            decide(ns, "Abort").await;
            becomes(ns, "Aborted").await;
        })
        .await;
    report.expect_none_failed();
    assert_eq!(seen, [0, 100, 0], "green's shares");
    world.end().await;
}
