//! R13, C29, C43, C44: what people get wrong. The reason stands in the status within 10 s, with
//! what to do; the old revision serves on; the correction is taken up unaided.

use std::time::Duration;

use aimass_tests::cluster::{Cluster, Namespace};
use aimass_tests::eventually;
use aimass_tests::models::{self, condition};
use aimass_tests::pods::Behaviour;
use aimass_tests::workload::{MODEL, Run};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};

use crate::workloads::CREATE;

const SOON: Duration = Duration::from_secs(10);

/// A model that serves with two pods; its revision.
async fn serving(cluster: &Cluster, test: &str) -> (Run, String) {
    let mut run = Run::start(cluster, test, Default::default()).await;
    (CREATE.act)(&run.ns).await;
    run.reach(Duration::from_secs(30), CREATE.done)
        .await
        .expect("it serves");
    let object = get(&run.ns).await.expect("it is there");
    let revision = models::text(&object, "/status/stable/revision").to_owned();
    assert!(
        !revision.is_empty(),
        "a model that serves has a stable revision"
    );
    (run, revision)
}

async fn get(ns: &Namespace) -> Result<DynamicObject, String> {
    models::api(ns).get("iris").await.map_err(|e| e.to_string())
}

/// Complains unless `reason` is told: in a condition or as that of the revision that fails.
fn told(object: &DynamicObject, reason: &str) -> Result<String, String> {
    let revisions = object
        .data
        .pointer("/status/revisions")
        .cloned()
        .unwrap_or_default();
    for revision in revisions.as_array().into_iter().flatten() {
        if revision["reason"] == reason {
            return Ok(revision["message"].as_str().unwrap_or_default().to_owned());
        }
    }
    // A revision that was given up is no more in the list.
    let failure = object
        .data
        .pointer("/status/rollout/failure")
        .cloned()
        .unwrap_or_default();
    if failure["reason"] == reason {
        return Ok(failure["message"].as_str().unwrap_or_default().to_owned());
    }
    for kind in ["Ready", "Accepted", "RolledOut", "Applied", "Scaled"] {
        if let Some(found) = condition(object, kind).filter(|c| c.reason == reason) {
            return Ok(found.message);
        }
    }
    Err(format!(
        "{reason} is not told: {}; revisions {revisions}",
        models::conditions(object)
    ))
}

/// Both pods of `revision` are there and ready, and callers get answers.
async fn serves_on(ns: &Namespace, object: &DynamicObject, revision: &str) {
    let ready = condition(object, "Ready").unwrap_or_default();
    assert_eq!(
        ready.status,
        "True",
        "the old revision serves: {}",
        models::conditions(object)
    );
    let pods: Api<Pod> = ns.api();
    let selector = format!("aimass.dev/revision={revision}");
    let list = pods
        .list(&ListParams::default().labels(&selector))
        .await
        .expect("pods are listed");
    let ready = list.iter().filter(|pod| {
        let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
        conditions.is_some_and(|c| c.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
    });
    assert_eq!(ready.count(), 2, "pods of the old revision");
}

/// Changes the spec, waits for the reason, sees that the old revision serves on, corrects it.
async fn bad_change(test: &str, spec: Value, behaviour: Behaviour, reason: &str, hints: &[&str]) {
    let cluster = Cluster::connect().await;
    let (run, revision) = serving(&cluster, test).await;
    run.kubelet.all_but(&revision, behaviour);
    let good = get(&run.ns).await.expect("it is there").data["spec"].clone();
    models::merge(&run.ns, "iris", &spec)
        .await
        .expect("the change is valid");
    let look = || async {
        let object = get(&run.ns).await?;
        let seen = object
            .data
            .pointer("/status/observedGeneration")
            .and_then(Value::as_i64);
        if seen != object.metadata.generation {
            return Err("the change is not yet seen".to_owned());
        }
        told(&object, reason).map(|message| (message, object))
    };
    let (message, object) = eventually(SOON, &format!("{reason} is told"), look).await;
    for hint in hints {
        assert!(
            message.contains(hint),
            "{reason} should say {hint:?}: {message}"
        );
    }
    serves_on(&run.ns, &object, &revision).await;
    // The mistake is undone: null for what the change brought.
    let undo = undo(&spec, &good);
    models::merge(&run.ns, "iris", &undo)
        .await
        .expect("the correction is valid");
    let recovered = || async {
        let object = get(&run.ns).await?;
        models::settled(&object)?;
        match models::text(&object, "/status/stable/revision") == revision {
            true => Ok(()),
            false => Err(format!(
                "stable: {:?}",
                object.data.pointer("/status/stable")
            )),
        }
    };
    eventually(SOON * 2, "it recovers", recovered).await;
    run.no_panic().expect("no panic");
}

/// A merge patch that takes `change` back to what `good` says.
fn undo(change: &Value, good: &Value) -> Value {
    match change {
        Value::Object(fields) => {
            let undone = fields.iter().map(|(key, value)| {
                let back = match good.get(key) {
                    Some(old) => undo(value, old),
                    None => Value::Null,
                };
                (key.clone(), back)
            });
            Value::Object(undone.collect())
        }
        _ => good.clone(),
    }
}

fn source(map: &str, rest: &Value) -> Value {
    let mut source = json!({"name": map});
    for (key, value) in rest.as_object().into_iter().flatten() {
        source[key] = value.clone();
    }
    json!({"model": {"source": {"configMap": source}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_that_is_missing_is_named() {
    let spec = source("missing", &json!({}));
    bad_change(
        "bad-map",
        spec,
        Behaviour::Ready,
        "ConfigMapNotFound",
        &["missing"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_missing_is_named() {
    let spec = source(models::FILES, &json!({"key": "other.onnx"}));
    bad_change(
        "bad-key",
        spec,
        Behaviour::Ready,
        "ConfigMapNotFound",
        &["other.onnx"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_config_map_that_comes_is_taken_up() {
    let cluster = Cluster::connect().await;
    let run = Run::start(&cluster, "late-map", Default::default()).await;
    let model = models::model("iris", 1);
    let model = models::with(model, "/spec/model/source/configMap/name", json!("late"));
    models::apply(&run.ns, &model).await.expect("it is valid");
    let missing = || async { told(&get(&run.ns).await?, "ConfigMapNotFound") };
    eventually(SOON, "it is told", missing).await;
    let object = get(&run.ns).await.expect("it is there");
    assert!(
        condition(&object, "Stalled").is_none(),
        "it waits: {}",
        models::conditions(&object)
    );
    models::files(&run.ns, "late", &[("model.onnx", MODEL)]).await;
    let serves = || async { models::settled(&get(&run.ns).await?) };
    eventually(SOON, "it is taken up", serves).await;
}

fn ends(reason: &str, exit_code: i32, message: &str) -> Behaviour {
    Behaviour::Ends {
        reason: reason.to_owned(),
        exit_code,
        message: message.to_owned(),
        restarts: 2,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_digest_is_told() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = source(
        models::FILES,
        &json!({"key": "model.onnx", "digest": digest}),
    );
    let message = r#"{"reason":"DigestMismatch","message":"model.onnx is sha256:ab12, spec says sha256:0000"}"#;
    bad_change(
        "bad-digest",
        spec,
        ends("Error", 3, message),
        "DigestMismatch",
        &["sha256:"],
    )
    .await;
}

/// A change that makes pods fail as `behaviour` says.
async fn failing_pods(test: &str, behaviour: Behaviour, reason: &str, hints: &[&str]) {
    let spec = json!({"restartToken": "bad"});
    bad_change(test, spec, behaviour, reason, hints).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_model_is_told() {
    let message = r#"{"reason":"ModelLoadFailed","message":"model.onnx is not an ONNX file"}"#;
    let ends = ends("Error", 3, message);
    failing_pods("not-onnx", ends, "ModelLoadFailed", &["not an ONNX file"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_no_engine_has_is_named() {
    let message = r#"{"reason":"ModelLoadFailed","message":"node conv1: operator DeformConv is not supported"}"#;
    let ends = ends("Error", 3, message);
    failing_pods("bad-op", ends, "ModelLoadFailed", &["conv1", "DeformConv"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_missing_is_named() {
    let waiting = Behaviour::Waiting {
        reason: "ImagePullBackOff".to_owned(),
        message: "Back-off pulling image \"r.example/s:2\": not found".to_owned(),
    };
    failing_pods("bad-image", waiting, "ImagePullFailed", &["image"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_is_told_with_its_last_words() {
    let ends = ends(
        "Error",
        139,
        "thread main panicked at nothing in particular",
    );
    failing_pods("crash-loop", ends, "CrashLooping", &["139", "panicked"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_little_memory_is_told_with_the_limit() {
    let ends = ends("OOMKilled", 137, "");
    failing_pods("oom", ends, "OutOfMemory", &["512Mi", "limits.memory"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_that_no_node_has_are_told() {
    let cannot =
        Behaviour::Unschedulable("0/1 nodes are available: 1 Insufficient cpu.".to_owned());
    let spec = json!({"runtime": {"resources": {"requests": {"cpu": "900"}}}});
    bad_change(
        "no-node",
        spec,
        cannot,
        "Unschedulable",
        &["Insufficient cpu"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_missing_is_named() {
    let spec = json!({"model": {"source": {"configMap": null, "pvc": {
        "claimName": "models", "path": "iris.onnx",
    }}}});
    bad_change(
        "bad-claim",
        spec,
        Behaviour::Ready,
        "ClaimNotFound",
        &["models"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_cannot_be_reached_is_told() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = json!({"model": {"source": {"configMap": null, "http": {
        "url": "https://models.example/iris.onnx", "digest": digest,
    }}}});
    let message = r#"{"reason":"ArtifactUnavailable","message":"https://models.example/iris.onnx: no such host"}"#;
    let ends = ends("Error", 4, message);
    bad_change(
        "bad-url",
        spec,
        ends,
        "ArtifactUnavailable",
        &["models.example"],
    )
    .await;
}

/// A quota that the two pods of the model use up.
async fn full(ns: &Namespace) -> Api<ResourceQuota> {
    let quotas: Api<ResourceQuota> = ns.api();
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "small"}, "spec": {"hard": {"pods": "2"}},
    }))
    .expect("a quota");
    quotas
        .create(&PostParams::default(), &quota)
        .await
        .expect("it is valid");
    let counted = || async {
        let quota = quotas.get("small").await.map_err(|e| e.to_string())?;
        let used = quota.status.and_then(|s| s.used).unwrap_or_default();
        let pods = used.get("pods").map(|q| q.0.clone());
        if pods.as_deref() == Some("2") {
            Ok(())
        } else {
            Err(format!("{used:?}"))
        }
    };
    eventually(SOON * 2, "the quota is counted", counted).await;
    quotas
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_refuses_a_further_pod_is_quoted() {
    let cluster = Cluster::connect().await;
    let (run, revision) = serving(&cluster, "quota").await;
    let quotas = full(&run.ns).await;
    models::merge(&run.ns, "iris", &json!({"replicas": 3}))
        .await
        .expect("it is valid");
    let look = || async {
        let object = get(&run.ns).await?;
        told(&object, "QuotaExceeded").map(|message| (message, object))
    };
    let (message, object) = eventually(SOON, "the refusal is told", look).await;
    assert!(message.contains("small"), "the quota is named: {message}");
    serves_on(&run.ns, &object, &revision).await;
    quotas
        .delete("small", &Default::default())
        .await
        .expect("it can go");
    let recovered = || async { models::settled(&get(&run.ns).await?) };
    // The ReplicaSet controller tries again in its own time.
    eventually(Duration::from_secs(60), "with room it goes on", recovered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c44_a_rollout_that_a_quota_has_no_room_for_waits_and_says_so() {
    let cluster = Cluster::connect().await;
    let (run, revision) = serving(&cluster, "quota-rollout").await;
    let quotas = full(&run.ns).await;
    models::merge(&run.ns, "iris", &json!({"restartToken": "b"}))
        .await
        .expect("it is valid");
    let waits = || async {
        let object = get(&run.ns).await?;
        let waits = models::expect_condition(&object, "RolledOut", "False", "WaitingForCapacity")?;
        Ok((waits.message, object))
    };
    let (message, object) = eventually(SOON, "it waits for room", waits).await;
    let full = "quota small has 0 of 2 pods left: raise it";
    assert!(message.contains(full), "{message}");
    assert_eq!(told(&object, "QuotaExceeded").map(|_| ()), Ok(()));
    serves_on(&run.ns, &object, &revision).await;
    // Whoever is refused is tried again later and later: so none is tried.
    let deployments: Api<Deployment> = run.ns.api();
    let list = deployments.list(&ListParams::default()).await;
    for deployment in list.expect("Deployments are listed") {
        let wanted = deployment.spec.and_then(|spec| spec.replicas);
        let is_old = deployment.metadata.name == Some(format!("iris-{revision}"));
        assert_eq!(wanted, Some(if is_old { 2 } else { 0 }));
    }
    quotas
        .delete("small", &Default::default())
        .await
        .expect("it can go");
    let recovered = || async {
        let object = get(&run.ns).await?;
        models::settled(&object)?;
        match models::text(&object, "/status/stable/revision") == revision {
            true => Err("the old revision is stable".to_owned()),
            false => Ok(()),
        }
    };
    eventually(SOON * 3, "with room it goes on", recovered).await;
    run.no_panic().expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_revision_that_fails_is_not_ready_for_that_reason() {
    let cluster = Cluster::connect().await;
    let run = Run::start(&cluster, "first-fails", Default::default()).await;
    run.kubelet.all(ends("OOMKilled", 137, ""));
    models::apply(&run.ns, &models::model("iris", 1))
        .await
        .expect("it is valid");
    let look = || async {
        models::expect_condition(&get(&run.ns).await?, "Ready", "False", "OutOfMemory")
    };
    eventually(SOON, "the reason is Ready's", look).await;
    run.kubelet.all(Behaviour::Ready);
    let serves = || async { models::settled(&get(&run.ns).await?) };
    eventually(SOON, "it recovers", serves).await;
}
