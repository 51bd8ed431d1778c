//! R13 with real pods: the reason stands in the status within 10 s of the pod's failure, and the
//! old revision answers all the time.

use std::time::Duration;

use aimass_tests::eventually;
use aimass_tests::models;
use aimass_tests::operator::Settings;
use serde_json::{Value, json};

use crate::world::{caller, file, run, serve};

/// Reason within so long; pods have to be scheduled and started first.
const SOON: Duration = Duration::from_secs(15);

fn reason(object: &kube::api::DynamicObject, wanted: &str) -> Result<String, String> {
    let revisions = object
        .data
        .pointer("/status/revisions")
        .cloned()
        .unwrap_or_default();
    for revision in revisions.as_array().into_iter().flatten() {
        if revision["reason"] == wanted {
            return Ok(revision["message"].as_str().unwrap_or_default().to_owned());
        }
    }
    // A revision that was given up is no more in the list.
    let failure = object
        .data
        .pointer("/status/rollout/failure")
        .cloned()
        .unwrap_or_default();
    if failure["reason"] == wanted {
        return Ok(failure["message"].as_str().unwrap_or_default().to_owned());
    }
    Err(format!(
        "{wanted} is not told: {}; {revisions}",
        models::conditions(object)
    ))
}

/// Changes a model that serves, and expects the reason while it goes on answering.
async fn change(test: &str, files: Option<&[u8]>, spec: Value, wanted: &str, hints: &[&str]) {
    let run = run(test, Settings::default()).await;
    serve(&run.ns, &models::model("iris", 1)).await;
    let caller = caller(&run.ns, "iris").await;
    if let Some(bytes) = files {
        models::files(&run.ns, models::FILES, &[("model.onnx", bytes)]).await;
    }
    models::merge(&run.ns, "iris", &spec)
        .await
        .expect("the change is valid");
    let told = || async {
        let answer = caller
            .post("/v1/models/iris:predict", &json!({"instances": [[1]]}))
            .await?;
        if answer.status != 200 {
            panic!(
                "the old revision does not answer: {} {}",
                answer.status,
                answer.text()
            );
        }
        let object = models::api(&run.ns)
            .get("iris")
            .await
            .map_err(|e| e.to_string())?;
        let message = reason(&object, wanted)?;
        let ready = models::condition(&object, "Ready").unwrap_or_default();
        if ready.status == "True" {
            Ok(message)
        } else {
            Err(format!("{ready:?}"))
        }
    };
    let message = eventually(SOON, wanted, told).await;
    for hint in hints {
        assert!(
            message.contains(hint),
            "{wanted} should say {hint:?}: {message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_a_file_that_is_no_model_is_told_and_the_old_one_serves() {
    let junk = [7_u8; 4096];
    change("node-junk", Some(&junk), json!({}), "ModelLoadFailed", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_a_file_that_was_cut_off_is_told() {
    let whole = file("digits");
    let half = &whole[..whole.len() / 2];
    change("node-half", Some(half), json!({}), "ModelLoadFailed", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_an_operator_that_is_not_supported_is_named() {
    let model = with_operator("conv1", "DeformConv");
    let hints = ["DeformConv"];
    change(
        "node-op",
        Some(&model),
        json!({}),
        "ModelLoadFailed",
        &hints,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_digest_is_told() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = json!({"model": {"source": {"configMap": {
        "name": models::FILES, "key": "model.onnx", "digest": digest,
    }}}});
    change("node-digest", None, spec, "DigestMismatch", &["sha256:"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_memory_is_told() {
    let spec = json!({"runtime": {"resources": {
        "requests": {"memory": "8Mi"}, "limits": {"memory": "8Mi"},
    }}});
    change("node-oom", None, spec, "OutOfMemory", &["8Mi"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_cannot_be_reached_is_told() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = json!({"model": {"source": {"configMap": null, "http": {
        "url": "https://nobody.invalid/iris.onnx", "digest": digest,
    }}}});
    change(
        "node-url",
        None,
        spec,
        "ArtifactUnavailable",
        &["nobody.invalid"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_that_the_node_has_not_are_told() {
    let spec = json!({"runtime": {"resources": {"requests": {"cpu": "900"}}}});
    change("node-cpu", None, spec, "Unschedulable", &["cpu"]).await;
}

/// A first revision that cannot run, for want of the image that the installation names.
async fn first(test: &str, server_image: &'static str, wanted: &str) {
    let settings = Settings {
        server_image,
        ..Settings::default()
    };
    let run = run(test, settings).await;
    models::apply(&run.ns, &models::model("iris", 1))
        .await
        .expect("it is valid");
    let told = || async {
        let object = models::api(&run.ns)
            .get("iris")
            .await
            .map_err(|e| e.to_string())?;
        models::expect_condition(&object, "Ready", "False", wanted)
    };
    let ready = eventually(Duration::from_secs(40), wanted, told).await;
    assert!(!ready.message.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_missing_is_told() {
    first(
        "node-image",
        "aimass.test/aimass-server:missing",
        "ImagePullFailed",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_at_once_is_told() {
    // The operator's program refuses the server's flags and ends.
    first(
        "node-crash",
        "aimass.test/aimass-operator:dev",
        "CrashLooping",
    )
    .await;
}

/// An ONNX file with one node of that operator, in its wire form.
fn with_operator(node: &str, operator: &str) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).expect("small parts");
        assert!(length < 128, "one byte of length");
        [&[number << 3 | 2, length], bytes].concat()
    }
    fn varint(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }
    let tensor = {
        let dimension = field(1, &varint(1, 4));
        let shape = field(2, &dimension);
        field(2, &field(1, &[varint(1, 1), shape].concat()))
    };
    let value = |name: &str| [field(1, name.as_bytes()), tensor.clone()].concat();
    let node = [
        field(1, b"x"),
        field(2, b"y"),
        field(3, node.as_bytes()),
        field(4, operator.as_bytes()),
    ]
    .concat();
    let graph = [
        field(1, &node),
        field(2, b"graph"),
        field(11, &value("x")),
        field(12, &value("y")),
    ]
    .concat();
    [varint(1, 8), field(7, &graph), field(8, &varint(2, 19))].concat()
}
