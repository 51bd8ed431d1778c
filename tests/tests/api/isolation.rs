//! C31, C33, C51, C52: what is broken stops only itself, and says so.

use std::time::Duration;

use aimass_tests::cluster::{Cluster, Namespace, definitions};
use aimass_tests::eventually;
use aimass_tests::eventually::{throughout, within};
use aimass_tests::faults::Faults;
use aimass_tests::faults::plan::{Action, Fault, Plan};
use aimass_tests::models::{self, expect_condition};
use aimass_tests::operator::{Operator, rules};
use aimass_tests::pods::Kubelet;
use aimass_tests::workload::{MODEL, Run, expect_same, record};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::workloads::CREATE;

const SOON: Duration = Duration::from_secs(10);

/// Where the schema bounds `spec.rollout.history`, an i32.
const HISTORY: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/rollout\
                       /properties/history";

/// Stores a model `huge` that the schema takes no more and that does not decode, as if an older
/// release had allowed it: the bound is lifted only while the object is made.
pub(crate) async fn store_undecodable(ns: &Namespace) {
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = ONE_AT_A_TIME.lock().await;
    let definitions_api: Api<CustomResourceDefinition> = Api::all(ns.client.clone());
    let name = "modeldeployments.aimass.dev";
    let change = |operations: serde_json::Value| {
        let api = definitions_api.clone();
        async move {
            let operations = serde_json::from_value(operations).expect("a JSON patch");
            let patch: Patch<()> = Patch::Json(operations);
            let params = PatchParams::default();
            api.patch(name, &params, &patch)
                .await
                .expect("the schema is valid");
        }
    };
    change(json!([
        {"op": "replace", "path": format!("{HISTORY}/maximum"), "value": 4_000_000_000_u32},
        {"op": "remove", "path": format!("{HISTORY}/format")},
    ]))
    .await;
    let history = json!(3_000_000_000_u32);
    let model = models::with(models::model("huge", 1), "/spec/rollout/history", history);
    let made = within(SOON, || async {
        models::apply(ns, &model).await.map_err(|e| e.to_string())
    })
    .await;
    let original = definitions()
        .into_iter()
        .find(|d| d.metadata.name.as_deref() == Some(name));
    let original = original.expect("the definition is generated");
    let restored = PatchParams::apply("aimass-tests").force();
    let put = definitions_api
        .patch(name, &restored, &Patch::Apply(&original))
        .await;
    put.expect("the definition was there before");
    change(json!([{"op": "test", "path": format!("{HISTORY}/format"), "value": "int32"}])).await;
    made.expect("the object is stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c31_an_object_that_no_longer_decodes_is_marked_and_others_go_on() {
    let cluster = Cluster::connect().await;
    let run = Run::start(&cluster, "c31", Default::default()).await;
    store_undecodable(&run.ns).await;
    let marked = || async {
        let object = models::api(&run.ns)
            .get("huge")
            .await
            .map_err(|e| e.to_string())?;
        expect_condition(&object, "Accepted", "False", "Undecodable")
    };
    let accepted = eventually(SOON, "the object is marked", marked).await;
    assert!(
        accepted.message.contains("history"),
        "the path is named: {}",
        accepted.message
    );
    models::apply(&run.ns, &models::model("fine", 1))
        .await
        .expect("it is valid");
    let fine = || async {
        let object = models::api(&run.ns)
            .get("fine")
            .await
            .map_err(|e| e.to_string())?;
        models::settled(&object)
    };
    eventually(SOON, "the other one goes on", fine).await;
    // Corrected, it recovers unaided.
    models::merge(&run.ns, "huge", &json!({"rollout": {"history": 1}}))
        .await
        .expect("it is valid");
    let healed = || async {
        let object = models::api(&run.ns)
            .get("huge")
            .await
            .map_err(|e| e.to_string())?;
        models::settled(&object)
    };
    eventually(SOON, "the corrected one goes on", healed).await;
    run.no_panic().expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c33_without_the_definition_at_start_it_waits_not_ready_and_resumes_in_5_s() {
    let cluster = Cluster::connect().await;
    let ns = cluster.namespace("c33").await;
    models::files(&ns, models::FILES, &[("model.onnx", MODEL)]).await;
    let _kubelet = Kubelet::start(&ns);
    // The lane's definitions serve the other tests: the API server's answer is played.
    let absent = |verb: &str| Fault {
        point: format!("{verb} modeldeployments"),
        action: Action::Refused {
            status: 404,
            retry_after: None,
        },
    };
    let faults = Faults::new(Plan {
        always: vec![absent("list"), absent("watch")],
        ..Plan::default()
    });
    let mut operator = Operator::start(&ns, faults.clone(), Default::default()).await;
    (CREATE.act)(&ns).await;
    throughout(Duration::from_secs(6), "it waits, not ready", || {
        let state = match operator.has_ended() {
            Some(end) => Err(format!("it ended: {end:?}")),
            None => operator
                .not_ready()
                .map(|_| ())
                .ok_or("it says that it is ready".to_owned()),
        };
        async { state }
    })
    .await;
    let why = operator.not_ready().unwrap_or_default();
    assert!(
        why.contains("modeldeployments"),
        "the kind is named: {why:?}"
    );
    faults.arm(Plan::default());
    let begins = || async {
        let object = models::api(&ns)
            .get("iris")
            .await
            .map_err(|e| e.to_string())?;
        models::condition(&object, "Ready")
            .map(|_| ())
            .ok_or("no condition yet".to_owned())
    };
    eventually(Duration::from_secs(5), "it resumes", begins).await;
    let ready = || async {
        match operator.not_ready() {
            None => Ok(()),
            Some(why) => Err(why),
        }
    };
    eventually(SOON, "it is ready", ready).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c51_a_missing_right_is_named_and_the_rest_goes_on() {
    let cluster = Cluster::connect().await;
    let run = Run::start(&cluster, "c51", Default::default()).await;
    models::apply(&run.ns, &models::model("old", 1))
        .await
        .expect("it is valid");
    let settled = |name: &'static str| {
        let ns = &run.ns;
        move || async move {
            let object = models::api(ns).get(name).await.map_err(|e| e.to_string())?;
            models::settled(&object)
        }
    };
    eventually(
        Duration::from_secs(30),
        "the first one serves",
        settled("old"),
    )
    .await;
    let mut fewer = rules();
    for rule in &mut fewer {
        let resources = rule.resources.clone().unwrap_or_default();
        if resources.iter().any(|r| r == "deployments") {
            rule.verbs
                .retain(|verb| verb != "patch" && verb != "create");
        }
    }
    run.ns.grant(fewer).await;
    // The authorizer learns of a changed Role by a watch of its own.
    let models_api = models::api(&run.ns);
    tokio::time::sleep(Duration::from_secs(1)).await;
    models::apply(&run.ns, &models::model("new", 1))
        .await
        .expect("it is valid");
    let named = || async {
        let object = models_api.get("new").await.map_err(|e| e.to_string())?;
        expect_condition(&object, "Applied", "False", "Forbidden")
    };
    let applied = eventually(SOON, "the right is named", named).await;
    assert!(
        applied.message.contains("deployments"),
        "{}",
        applied.message
    );
    assert!(
        applied.message.contains("patch") || applied.message.contains("create"),
        "{}",
        applied.message
    );
    settled("old")().await.expect("the other one is untouched");
    run.ns.grant(rules()).await;
    eventually(
        Duration::from_secs(60),
        "with the right it goes on",
        settled("new"),
    )
    .await;
    run.no_panic().expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c52_a_panic_in_one_reconcile_stops_only_that_one() {
    let cluster = Cluster::connect().await;
    let reference = record(&cluster, &CREATE).await;
    let plans: Vec<Plan> = reference
        .writes
        .iter()
        .filter(|write| write.kind != "events")
        .map(|write| {
            Plan::one(Fault {
                point: write.point.clone(),
                action: Action::Panic,
            })
        })
        .collect();
    expect_same(&cluster, &CREATE, &reference, plans).await;
}
