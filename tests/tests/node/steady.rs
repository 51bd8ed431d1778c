//! R15: no request fails while the model is scaled, changed, its pods are deleted and the operator
//! is started anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aimass_tests::load;
use aimass_tests::models;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::world::{caller, doubled, run, serve, settled, stable, turn};

const REQUESTS: usize = 20_000;
/// 250 requests a second: what two cores carry beside the cluster itself.
const EVERY: Duration = Duration::from_millis(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_none_of_20_000_requests_fails_while_everything_changes() {
    let _turn = turn().await;
    let mut run = run("steady", Default::default()).await;
    let mut model = models::model("iris", 2);
    // Four pods and a surge have to fit beside everything else on one node of two cores.
    model["spec"]["runtime"]["resources"] = json!({
        "requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"},
    });
    serve(&run.ns, &model).await;
    let caller = caller(&run.ns, "iris").await;
    let over = Arc::new(AtomicBool::new(false));
    let load = {
        let over = Arc::clone(&over);
        load::run(
            EVERY,
            move |number| number < REQUESTS || !over.load(Ordering::Relaxed),
            move |number| doubled(caller.clone(), number),
        )
    };
    let changes = async {
        for replicas in [4, 1, 3] {
            models::merge(&run.ns, "iris", &json!({"replicas": replicas}))
                .await
                .expect("valid");
            settled(&run.ns, "iris").await;
        }
        let first = stable(&run.ns, "iris").await;
        let token = json!({"restartToken": "b"});
        models::merge(&run.ns, "iris", &token).await.expect("valid");
        settled(&run.ns, "iris").await;
        assert_ne!(stable(&run.ns, "iris").await, first, "a rolling change");
        let pods: Api<Pod> = run.ns.api();
        let list = pods
            .list(&ListParams::default())
            .await
            .expect("pods are listed");
        let running = list
            .iter()
            .filter(|p| p.metadata.deletion_timestamp.is_none());
        let one = running
            .map(|p| p.name_any())
            .next()
            .expect("there is a pod");
        pods.delete(&one, &DeleteParams::default())
            .await
            .expect("it can go");
        settled(&run.ns, "iris").await;
        run.restart().await;
        models::merge(&run.ns, "iris", &json!({"replicas": 2}))
            .await
            .expect("valid");
        settled(&run.ns, "iris").await;
        over.store(true, Ordering::Relaxed);
    };
    let (report, ()) = tokio::join!(load, changes);
    report.expect_none_failed();
    assert!(report.answered >= REQUESTS, "{} requests", report.answered);
    assert!(
        report.latency(99) < Duration::from_secs(1),
        "p99 {:?}",
        report.latency(99)
    );
}
