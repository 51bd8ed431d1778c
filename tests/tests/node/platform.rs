//! R27, S38, S39: what a model's pod is and is not allowed.

use std::time::Duration;

use aimass_tests::eventually;
use aimass_tests::models;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::world::{caller, run, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r27_pods_are_restricted_and_hold_no_token() {
    let run = run("restricted", Default::default()).await;
    serve(&run.ns, &models::model("iris", 1)).await;
    let pods: Api<Pod> = run.ns.api();
    let list = pods
        .list(&ListParams::default())
        .await
        .expect("pods are listed");
    assert!(!list.items.is_empty());
    for pod in list {
        let spec = pod.spec.clone().unwrap_or_default();
        assert_eq!(
            spec.automount_service_account_token,
            Some(false),
            "{}",
            pod.name_any()
        );
        assert_eq!(spec.enable_service_links, Some(false), "{}", pod.name_any());
        for volume in spec.volumes.iter().flatten() {
            assert!(
                volume.projected.is_none() && volume.secret.is_none(),
                "{volume:?}"
            );
            assert!(volume.host_path.is_none(), "{volume:?}");
        }
        for container in &spec.containers {
            let security = container.security_context.clone().unwrap_or_default();
            assert_eq!(security.read_only_root_filesystem, Some(true));
            assert_eq!(security.allow_privilege_escalation, Some(false));
            let dropped = security
                .capabilities
                .and_then(|c| c.drop)
                .unwrap_or_default();
            assert_eq!(dropped, ["ALL"]);
            let limits = container
                .resources
                .clone()
                .and_then(|r| r.limits)
                .unwrap_or_default();
            assert!(
                limits.contains_key("memory"),
                "a memory limit is always set"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s39_the_server_runs_under_any_user() {
    let run = run("any-user", Default::default()).await;
    serve(&run.ns, &models::model("iris", 1)).await;
    let deployments: Api<Deployment> = run.ns.api();
    let list = deployments
        .list(&ListParams::default())
        .await
        .expect("it can be listed");
    let template = list
        .items
        .into_iter()
        .next()
        .and_then(|d| d.spec)
        .expect("one")
        .template;
    let mut spec = template.spec.expect("a pod");
    let mut security = spec.security_context.unwrap_or_default();
    security.run_as_user = Some(123_456);
    security.run_as_group = Some(654_321);
    security.fs_group = None;
    spec.security_context = Some(security);
    for container in &mut spec.containers {
        if let Some(security) = &mut container.security_context {
            security.run_as_user = None;
            security.run_as_group = None;
        }
    }
    let pod = Pod {
        metadata: ObjectMeta {
            name: Some("other-user".to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    };
    let pods: Api<Pod> = run.ns.api();
    pods.create(&PostParams::default(), &pod)
        .await
        .expect("the namespace admits it");
    let ready = || async {
        let pod = pods.get("other-user").await.map_err(|e| e.to_string())?;
        let status = pod.status.unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .flatten()
            .any(|c| c.type_ == "Ready" && c.status == "True");
        if ready {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    };
    eventually(Duration::from_secs(20), "it is ready", ready).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s38_admin_paths_are_not_on_the_data_port() {
    let run = run("admin-port", Default::default()).await;
    serve(&run.ns, &models::model("iris", 1)).await;
    let caller = caller(&run.ns, "iris").await;
    for path in ["/metrics", "/livez", "/readyz", "/debug", "/"] {
        let reply = caller.get(path).await.expect("an answer");
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    let reply = caller
        .post("/v1/models/iris:predict", &json!({"instances": [[1]]}))
        .await;
    assert_eq!(reply.expect("an answer").status, 200);
}
