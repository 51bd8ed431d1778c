//! What `kubectl` makes of our kind: its columns, `explain`, `scale`, `wait` and `describe`.

use std::time::Duration;

use aimass_tests::cluster::{Cluster, Namespace};
use aimass_tests::eventually;
use aimass_tests::models;
use aimass_tests::workload::Run;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::workloads::CREATE;

async fn get(ns: &Namespace, path: &str, accept: &str) -> Result<Value, String> {
    let request = http::Request::get(path)
        .header("accept", accept)
        .body(Vec::new());
    let request = request.expect("a valid request");
    ns.client.request(request).await.map_err(|e| e.to_string())
}

/// What `kubectl get aimd -o wide` prints: the column names, and one row of cells.
async fn table(ns: &Namespace) -> (Vec<String>, Vec<Value>, Vec<i64>) {
    let path = format!(
        "/apis/aimass.dev/v1alpha1/namespaces/{}/modeldeployments",
        ns.name
    );
    let accept = "application/json;as=Table;g=meta.k8s.io;v=v1";
    let table = get(ns, &path, accept).await.expect("a Table");
    let columns = table["columnDefinitions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let names = columns
        .iter()
        .map(|c| c["name"].as_str().unwrap_or_default().to_owned());
    let priorities = columns
        .iter()
        .map(|c| c["priority"].as_i64().unwrap_or_default())
        .collect();
    let cells = table["rows"][0]["cells"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    (names.collect(), cells, priorities)
}

async fn serving(test: &str) -> Run {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, test, Default::default()).await;
    (CREATE.act)(&run.ns).await;
    run.reach(Duration::from_secs(30), CREATE.done)
        .await
        .expect("it serves");
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_get_shows_the_columns_of_the_api() {
    let run = serving("columns").await;
    let (names, cells, priorities) = table(&run.ns).await;
    let expect = [
        "Name", "Ready", "Reason", "Replicas", "Rev", "Rollout", "New%", "Age", "URL", "Message",
    ];
    assert_eq!(names, expect);
    assert_eq!(priorities, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    let shown: Vec<String> = cells
        .iter()
        .map(|c| c.to_string().replace('"', ""))
        .collect();
    assert_eq!(
        shown[..6],
        ["iris", "True", "Serving", "2/2", "1", "Complete"]
    );
    assert!(
        shown[8].starts_with("http://iris."),
        "the address: {}",
        shown[8]
    );
    assert!(!shown[9].is_empty() && shown[9] != "null", "the message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_explain_says_something_of_every_field() {
    let cluster = Cluster::connect().await;
    let ns = cluster.namespace("explain").await;
    let all = get(
        &ns,
        "/openapi/v3/apis/aimass.dev/v1alpha1",
        "application/json",
    )
    .await;
    let all = all.expect("the group's OpenAPI");
    let schemas = all["components"]["schemas"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let kind = schemas
        .iter()
        .find(|(name, _)| name.ends_with(".ModelDeployment"));
    let (_, schema) = kind.expect("the kind is in it");
    let mut silent = Vec::new();
    explain(
        "modeldeployment.spec",
        &schema["properties"]["spec"],
        &mut silent,
    );
    explain(
        "modeldeployment.status",
        &schema["properties"]["status"],
        &mut silent,
    );
    assert!(silent.is_empty(), "without a description: {silent:?}");
    let size = schema.to_string().len();
    assert!(size < 150_000, "the schema has {size} bytes");
}

fn explain(path: &str, schema: &Value, silent: &mut Vec<String>) {
    let said = schema["description"].as_str().unwrap_or_default();
    if said.trim().is_empty() {
        silent.push(path.to_owned());
    }
    let items = schema["items"]["properties"].as_object();
    let fields = schema["properties"].as_object().or(items);
    for (name, field) in fields.into_iter().flatten() {
        explain(&format!("{path}.{name}"), field, silent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_scale_works_by_the_scale_subresource() {
    let run = serving("scale-sub").await;
    let api = models::api(&run.ns);
    let scale = api.get_scale("iris").await.expect("the scale can be read");
    assert_eq!(scale.spec.and_then(|s| s.replicas), Some(2));
    let status = scale.status.expect("it has a status");
    assert_eq!(status.replicas, 2);
    let selector = status.selector.expect("an HPA finds the pods by it");
    assert_eq!(selector, "aimass.dev/deployment=iris");
    let patch = json!({"spec": {"replicas": 3}});
    let params = PatchParams::default();
    api.patch_scale("iris", &params, &Patch::Merge(&patch))
        .await
        .expect("it can be scaled");
    let scaled = || async {
        let scale = api.get_scale("iris").await.map_err(|e| e.to_string())?;
        let found = scale.status.map(|s| s.replicas);
        if found == Some(3) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    };
    eventually(Duration::from_secs(10), "the status follows", scaled).await;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = run.ns.api();
    let list = pods
        .list(&ListParams::default().labels(&selector))
        .await
        .expect("pods are listed");
    assert_eq!(list.items.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_describe_has_events_that_tell_what_happened() {
    let run = serving("events").await;
    let token = json!({"restartToken": "b"});
    models::merge(&run.ns, "iris", &token)
        .await
        .expect("it is valid");
    let events: Api<Event> = run.ns.api();
    let told = || async {
        let list = events
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        let about = |e: &&Event| {
            let regarding = e.regarding.clone().unwrap_or_default();
            regarding.kind.as_deref() == Some("ModelDeployment")
                && regarding.name.as_deref() == Some("iris")
        };
        let reasons: Vec<_> = list
            .iter()
            .filter(about)
            .filter_map(|e| e.reason.clone())
            .collect();
        let has = |reason: &str| reasons.iter().any(|r| r == reason);
        if has("Serving") && has("RevisionCreated") && has("Complete") {
            Ok(())
        } else {
            Err(format!("{reasons:?}"))
        }
    };
    eventually(Duration::from_secs(10), "the Events are there", told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kstatus_and_kubectl_wait_find_what_they_look_for() {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, "kstatus", Default::default()).await;
    run.kubelet.all(aimass_tests::pods::Behaviour::NotReady);
    (CREATE.act)(&run.ns).await;
    let starting = || async {
        let object = models::api(&run.ns)
            .get("iris")
            .await
            .map_err(|e| e.to_string())?;
        models::expect_condition(&object, "Ready", "False", "Starting")?;
        let working = models::condition(&object, "Reconciling").ok_or("not Reconciling")?;
        if working.status == "True" {
            Ok(())
        } else {
            Err(format!("{working:?}"))
        }
    };
    eventually(Duration::from_secs(10), "in progress", starting).await;
    run.kubelet.all(aimass_tests::pods::Behaviour::Ready);
    run.reach(Duration::from_secs(20), CREATE.done)
        .await
        .expect("current");
}
