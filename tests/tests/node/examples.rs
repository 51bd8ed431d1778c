//! The main job on real input: the examples, applied as a user does, answer as they should.

use std::time::Duration;

use aimass_tests::args::repository;
use aimass_tests::cluster::{Cluster, Namespace};
use aimass_tests::eventually;
use aimass_tests::models;
use aimass_tests::workload::Run;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{caller, settled};

/// Applies `examples/<name>.yaml`; the name of its ModelDeployment.
async fn apply(ns: &Namespace, example: &str) -> String {
    let path = repository().join(format!("examples/{example}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("the example is YAML");
    let mut name = None;
    for document in documents {
        match document["kind"].as_str() {
            Some("ConfigMap") => {
                let map = document["metadata"]["name"]
                    .as_str()
                    .expect("a name")
                    .to_owned();
                let maps: Api<ConfigMap> = ns.api();
                let params = PatchParams::apply("aimass-tests").force();
                maps.patch(&map, &params, &Patch::Apply(&document))
                    .await
                    .expect("it is valid");
            }
            Some("ModelDeployment") => {
                models::apply(ns, &document).await.expect("it is valid");
                name = document["metadata"]["name"].as_str().map(str::to_owned);
            }
            other => panic!("{}: what is a {other:?}?", path.display()),
        }
    }
    name.expect("the example has a ModelDeployment")
}

async fn served_name(ns: &Namespace, name: &str) -> String {
    let object = models::api(ns).get(name).await.expect("the model is there");
    let served = models::text(&object, "/status/servedName");
    assert!(!served.is_empty(), "the status tells the served name");
    served.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_linear_example_answers_its_client_unchanged() {
    let cluster = Cluster::connect().await;
    let run = Run::start_real(&cluster, "linear", Default::default()).await;
    let name = apply(&run.ns, "linear").await;
    settled(&run.ns, &name).await;
    assert_eq!(served_name(&run.ns, &name).await, "my_model");
    let caller = caller(&run.ns, &name).await;
    let body = json!({"signature_name": "serving_default", "instances": [[1], [2], [3]]});
    let reply = caller
        .post("/v1/models/my_model:predict", &body)
        .await
        .expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let predictions = answer["predictions"]
        .as_array()
        .expect("predictions")
        .clone();
    assert_eq!(predictions.len(), 3, "{answer}");
    for (number, prediction) in [1.0, 2.0, 3.0].iter().zip(&predictions) {
        let learned = prediction[0].as_f64().expect("a number");
        assert!(
            (learned - 2.0 * number).abs() < 0.1,
            "2 · {number} ≈ {learned}"
        );
    }
    // Column form, and the same through the Open Inference Protocol.
    let column = json!({"signature_name": "serving_default", "inputs": [[1], [2], [3]]});
    let reply = caller
        .post("/v1/models/my_model:predict", &column)
        .await
        .expect("an answer");
    assert_eq!(
        reply.json()["outputs"],
        answer["predictions"],
        "{}",
        reply.text()
    );
    let metadata = caller
        .get("/v2/models/my_model")
        .await
        .expect("an answer")
        .json();
    let input = metadata["inputs"][0].clone();
    let infer = json!({"inputs": [{
        "name": input["name"], "datatype": input["datatype"], "shape": [3, 1], "data": [1, 2, 3],
    }]});
    let reply = caller
        .post("/v2/models/my_model/infer", &infer)
        .await
        .expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let flat: Vec<Value> = predictions.iter().map(|p| p[0].clone()).collect();
    assert_eq!(reply.json()["outputs"][0]["data"], json!(flat));
    let state = caller
        .get("/v1/models/my_model")
        .await
        .expect("an answer")
        .json();
    assert_eq!(
        state["model_version_status"][0]["state"], "AVAILABLE",
        "{state}"
    );
    for path in [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/my_model/ready",
    ] {
        assert_eq!(
            caller.get(path).await.expect("an answer").status,
            200,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_digits_example_recognises_a_seven() {
    let cluster = Cluster::connect().await;
    let run = Run::start_real(&cluster, "digits", Default::default()).await;
    let name = apply(&run.ns, "digits").await;
    settled(&run.ns, &name).await;
    let served = served_name(&run.ns, &name).await;
    let image = repository().join("examples/digits/seven.json");
    let image = std::fs::read(image).expect("the image is there");
    let caller = caller(&run.ns, &name).await;
    let path = format!("/v1/models/{served}:predict");
    let reply = caller
        .send(http::Method::POST, &path, &image)
        .await
        .expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let row = match &answer["predictions"][0] {
        Value::Array(row) => row.clone(),
        // Several outputs: one of them has a score for each of the ten digits.
        Value::Object(outputs) => {
            let rows = outputs.values().filter_map(Value::as_array);
            let mut scores = rows.filter(|row| row.len() == 10);
            scores
                .next_back()
                .cloned()
                .unwrap_or_else(|| panic!("no scores: {answer}"))
        }
        other => panic!("{other}"),
    };
    let scores: Vec<f64> = row.iter().filter_map(Value::as_f64).collect();
    assert_eq!(scores.len(), 10, "{answer}");
    let best = scores
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map(|(digit, _)| digit);
    assert_eq!(best, Some(7), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_get_the_documented_answers() {
    let cluster = Cluster::connect().await;
    let run = Run::start_real(&cluster, "wrong-requests", Default::default()).await;
    let name = apply(&run.ns, "linear").await;
    settled(&run.ns, &name).await;
    let caller = caller(&run.ns, &name).await;
    let path = "/v1/models/my_model:predict";
    for (body, status) in [
        (r#"{"instances": [[1, 2]]}"#, 400),
        (r#"{"instances": [["a"]]}"#, 400),
        (r#"{"instances": []}"#, 400),
        (r#"{"instances": "#, 400),
        (r#"{"instances": [[1]], "inputs": [[1]]}"#, 400),
        (r#"{"signature_name": "nothing", "instances": [[1]]}"#, 400),
        ("", 400),
    ] {
        let reply = caller
            .send(http::Method::POST, path, body.as_bytes())
            .await
            .expect("an answer");
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        assert!(
            reply.json()["error"].is_string(),
            "{body}: {}",
            reply.text()
        );
    }
    let reply = caller
        .post("/v1/models/my_model:explode", &json!({}))
        .await
        .expect("an answer");
    assert!(reply.status.is_client_error(), "{}", reply.text());
    let huge = vec![b' '; 17 << 20];
    if let Ok(reply) = caller.send(http::Method::POST, path, &huge).await {
        assert_eq!(reply.status, 413, "{}", reply.text());
    }
    // After all that it answers as before.
    let reply = caller
        .post(path, &json!({"instances": [[1]]}))
        .await
        .expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_files_is_served_and_deleting_takes_all() {
    let run = crate::world::run("node-change", Default::default()).await;
    crate::world::serve(&run.ns, &models::model("iris", 1)).await;
    let first = crate::world::stable(&run.ns, "iris").await;
    models::files(
        &run.ns,
        models::FILES,
        &[("model.onnx", &crate::world::file("digits"))],
    )
    .await;
    let changed = || async {
        let object = models::api(&run.ns)
            .get("iris")
            .await
            .map_err(|e| e.to_string())?;
        models::settled(&object)?;
        let now = models::text(&object, "/status/stable/revision");
        if now == first {
            Err("still the old revision".to_owned())
        } else {
            Ok(())
        }
    };
    eventually(crate::world::READY, "the new files are served", changed).await;
    let caller = caller(&run.ns, "iris").await;
    // An old pod answers until it has left the address and drained.
    let digits = || async {
        let metadata = caller.get("/v1/models/iris/metadata").await?;
        let text = metadata.text();
        if text.contains("64") {
            Ok(())
        } else {
            Err(format!("another model: {text}"))
        }
    };
    eventually(Duration::from_secs(15), "the digits model answers", digits).await;
    let params = kube::api::DeleteParams::background();
    models::api(&run.ns)
        .delete("iris", &params)
        .await
        .expect("it can go");
    let pods: Api<k8s_openapi::api::core::v1::Pod> = run.ns.api();
    let gone = || async {
        let list = pods
            .list(&Default::default())
            .await
            .map_err(|e| e.to_string())?;
        if list.items.is_empty() {
            Ok(())
        } else {
            Err(format!("{} pods", list.items.len()))
        }
    };
    // The garbage collector looks for new kinds each 30 s, and ours may be seconds old; then the pods
    // drain: 3 s of delay, and what is in flight.
    eventually(Duration::from_secs(90), "the pods are gone", gone).await;
}
