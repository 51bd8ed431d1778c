//! Callers at the gateway: two real pods of it before real pods of a model, keys made by the tool that people use.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aimass_tests::args::Args;
use aimass_tests::client::{Caller, Reply};
use aimass_tests::cluster::Namespace;
use aimass_tests::gateway::Gateway;
use aimass_tests::{eventually, load, models};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use serde_json::json;

use crate::world::{doubled, run, serve, settled, turn};

/// What is promised of a key that is revoked.
const REVOKED: Duration = Duration::from_secs(2);
/// Enough to meet both gateways with new connections.
const EACH: usize = 12;

const REQUESTS: usize = 20_000;
/// 250 requests a second: what two cores carry beside the cluster itself.
const EVERY: Duration = Duration::from_millis(4);

/// Runs `aimass` on the test's namespace; what it prints.
fn aimass(ns: &Namespace, words: &[&str]) -> String {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(|deps| deps.parent());
    let path: PathBuf = folder.expect("a target folder").join("aimass");
    let kubeconfig = Args::read().kubeconfig.expect("the lane has a cluster");
    let output = Command::new(path)
        .args(words)
        .args(["--namespace", &ns.name, "--kubeconfig"])
        .arg(kubeconfig)
        .output()
        .expect("aimass starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "aimass {words:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

async fn predict(caller: &Caller, model: &str) -> Reply {
    let body = json!({"instances": [[2]]});
    let path = format!("/v1/models/{model}:predict");
    caller.post(&path, &body).await.expect("an answer")
}

/// Asks by new connections until both gateways were met, most likely, and says each answer's status and kind of error.
async fn statuses(gateway: &Gateway, token: Option<&str>, model: &str) -> Vec<(u16, String)> {
    let mut found = Vec::new();
    for _ in 0..EACH {
        let caller = match token {
            Some(token) => gateway.caller().with_key(token),
            None => gateway.caller(),
        };
        let reply = predict(&caller, model).await;
        let kind = reply.headers.get("aimass-error");
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        found.push((reply.status.as_u16(), kind.to_owned()));
    }
    found.sort();
    found.dedup();
    found
}

fn all(status: u16, kind: &str) -> Vec<(u16, String)> {
    vec![(status, kind.to_owned())]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_opens_its_models_at_every_gateway_until_it_is_revoked() {
    let run = run("keys", Default::default()).await;
    serve(&run.ns, &models::model("iris", 1)).await;
    serve(&run.ns, &models::model("churn", 1)).await;
    let gateway = Gateway::install(&run.ns).await;

    assert_eq!(
        statuses(&gateway, None, "iris").await,
        all(401, "unauthenticated")
    );
    let token = aimass(&run.ns, &["key", "create", "ana", "--model", "iris"]);
    let opens = || async {
        let found = statuses(&gateway, Some(&token), "iris").await;
        (found == all(200, ""))
            .then_some(())
            .ok_or(format!("{found:?}"))
    };
    eventually(Duration::from_secs(5), "the key opens its model", opens).await;
    let reply = predict(&gateway.caller().with_key(&token), "iris").await;
    let answer = reply.json()["predictions"][0][0].as_f64();
    assert!(
        answer.is_some_and(|four| (four - 4.0).abs() < 0.1),
        "{}",
        reply.text()
    );
    assert!(reply.headers.contains_key("aimass-revision"));
    assert_eq!(
        statuses(&gateway, Some(&token), "churn").await,
        all(403, "forbidden")
    );
    assert_eq!(
        statuses(&gateway, Some(&token), "other").await,
        all(404, "unknown_model")
    );

    let newer = aimass(&run.ns, &["key", "rotate", "ana", "--overlap", "1h"]);
    let both = || async {
        let (old, new) = (
            statuses(&gateway, Some(&token), "iris").await,
            statuses(&gateway, Some(&newer), "iris").await,
        );
        let fine = old == all(200, "") && new == all(200, "");
        fine.then_some(()).ok_or(format!("{old:?} {new:?}"))
    };
    eventually(Duration::from_secs(5), "both tokens open it", both).await;

    aimass(&run.ns, &["key", "revoke", "ana"]);
    tokio::time::sleep(REVOKED).await;
    for token in [&token, &newer] {
        let found = statuses(&gateway, Some(token), "iris").await;
        assert!(
            found.iter().all(|(status, _)| matches!(status, 401 | 429)),
            "{found:?}"
        );
    }
    gateway.remove().await;
}

/// Makes a ServiceAccount; a token of it for the gateway, as pods get them by a projected volume.
async fn token(ns: &Namespace, account: &str) -> String {
    let accounts: Api<ServiceAccount> = ns.api();
    let params = PostParams::default();
    let object = ServiceAccount {
        metadata: named(account),
        ..ServiceAccount::default()
    };
    accounts
        .create(&params, &object)
        .await
        .expect("it is valid");
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec!["aimass".to_owned()]),
            expiration_seconds: Some(3600),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let made = accounts.create_token_request(account, &params, &request);
    let status = made.await.expect("a token is given").status;
    status
        .expect("a token is in the answer")
        .token
        .expect("it is not empty")
}

/// Lets a ServiceAccount call one model, and nothing else.
async fn allow(ns: &Namespace, account: &str, model: &str) {
    let role: Role = serde_json::from_value(json!({
        "metadata": {"name": account},
        "rules": [{
            "apiGroups": ["aimass.dev"], "resources": ["modeldeployments/predict"],
            "resourceNames": [model], "verbs": ["create"],
        }],
    }))
    .expect("a Role");
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": ns.name}],
    }))
    .expect("a RoleBinding");
    let (roles, bindings): (Api<Role>, Api<RoleBinding>) = (ns.api(), ns.api());
    let params = PostParams::default();
    roles.create(&params, &role).await.expect("it is valid");
    bindings
        .create(&params, &binding)
        .await
        .expect("it is valid");
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_account_calls_the_models_that_it_may() {
    let run = run("accounts", Default::default()).await;
    serve(&run.ns, &models::model("iris", 1)).await;
    serve(&run.ns, &models::model("churn", 1)).await;
    let gateway = Gateway::install(&run.ns).await;
    let token = token(&run.ns, "shop").await;
    // To whoever may not call it, a model is as if it were not there.
    assert_eq!(
        statuses(&gateway, Some(&token), "iris").await,
        all(404, "unknown_model")
    );
    allow(&run.ns, "shop", "iris").await;
    let may = || async {
        let found = statuses(&gateway, Some(&token), "iris").await;
        (found == all(200, ""))
            .then_some(())
            .ok_or(format!("{found:?}"))
    };
    // A no is believed for 5 s.
    eventually(Duration::from_secs(15), "it may call iris", may).await;
    assert_eq!(
        statuses(&gateway, Some(&token), "churn").await,
        all(404, "unknown_model")
    );
    gateway.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_of_20_000_requests_fails_while_gateways_and_pods_are_replaced() {
    let _turn = turn().await;
    let run = run("doors", Default::default()).await;
    let mut model = models::model("iris", 2);
    model["spec"]["runtime"]["resources"] = json!({
        "requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"},
    });
    model["spec"]["access"] = json!({"mode": "Public"});
    serve(&run.ns, &model).await;
    let gateway = Gateway::install(&run.ns).await;
    let caller = gateway.caller();
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
        gateway.restart(&run.ns, "once").await;
        let token = json!({"restartToken": "b"});
        models::merge(&run.ns, "iris", &token).await.expect("valid");
        settled(&run.ns, "iris").await;
        delete_one(&run.ns, "app.kubernetes.io/name=model-server").await;
        settled(&run.ns, "iris").await;
        delete_one(&run.ns, "app.kubernetes.io/name=aimass-gateway").await;
        gateway.restart(&run.ns, "twice").await;
        for replicas in [1, 3] {
            models::merge(&run.ns, "iris", &json!({"replicas": replicas}))
                .await
                .expect("valid");
            settled(&run.ns, "iris").await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let (report, ()) = tokio::join!(load, changes);
    report.expect_none_failed();
    assert!(report.answered >= REQUESTS, "{} requests", report.answered);
    gateway.remove().await;
}

/// Deletes one pod, as a drained node does.
async fn delete_one(ns: &Namespace, labels: &str) {
    let pods: Api<Pod> = ns.api();
    let list = pods.list(&ListParams::default().labels(labels)).await;
    let list = list.expect("pods are listed");
    let one = list
        .iter()
        .find(|pod| pod.metadata.deletion_timestamp.is_none());
    let one = one
        .and_then(|pod| pod.metadata.name.clone())
        .expect("a pod");
    pods.delete(&one, &DeleteParams::default())
        .await
        .expect("it can go");
}
