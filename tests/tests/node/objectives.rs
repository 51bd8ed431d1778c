//! Whether a model keeps to its objectives is found out from real requests, through two real gateways.
//!
//! The model fails for one number in ten; and because its engine panics each time, the server takes it out of service again and
//! again to load it anew, so that many more requests fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aimass_tests::linear::change;
use aimass_tests::{eventually, models};
use serde_json::json;

use crate::world::{gated, hundred_a_second, public_model, serve, settled, stable, turn};

/// The shortest window there is, one more twelfth of it, and time for a busy machine.
const JUDGED: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_fails_requests_is_said_to_and_nothing_is_done_about_it() {
    let _turn = turn().await;
    let world = gated("objectives").await;
    let ns = &world.run.ns;
    let objectives = json!({"errorRate": "5%", "window": "1m"});
    let model = models::with(public_model(1), "/spec/objectives", objectives);
    serve(ns, &model).await;
    change(ns, "iris", 90).await;
    settled(ns, "iris").await;
    let serving = stable(ns, "iris").await;
    let over = Arc::new(AtomicBool::new(false));
    let sent = hundred_a_second(world.gateway.caller(), Arc::clone(&over));
    let judged = async {
        let look = || async {
            let object = models::api(ns).get("iris").await;
            let object = object.map_err(|e| e.to_string())?;
            let reason = "ErrorRateAboveObjective";
            models::expect_condition(&object, "WithinObjectives", "False", reason)
        };
        let found = eventually(JUDGED, "it is judged", look).await;
        over.store(true, Ordering::Relaxed);
        found
    };
    let (report, found) = tokio::join!(sent, judged);
    assert!(report.failed > 0, "{report:?}");
    let asked = "objectives: errorRate 5 % over 1m";
    let fine = found.message.starts_with("errorRate ") && found.message.ends_with(asked);
    assert!(fine, "{}", found.message);
    assert_eq!(stable(ns, "iris").await, serving);
    world.run.no_panic().expect("no panic");
    world.end().await;
}
