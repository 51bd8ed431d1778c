//! C23, C24: what others do to our children is undone; what is not ours is left alone.

use std::time::Duration;

use aimass_tests::cluster::{Cluster, Namespace};
use aimass_tests::eventually;
use aimass_tests::models::{self, condition, expect_condition};
use aimass_tests::normal;
use aimass_tests::workload::Run;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

/// Restored so soon: 2 s of promise, and as much for a busy machine.
const SOON: Duration = Duration::from_secs(4);

/// A model that serves, and how its objects are when nothing happens: the one state that each harm
/// must lead back to. Taken once, since a status may lag behind a child that was put right.
struct Rest {
    run: Run,
    state: normal::Normal,
}

async fn serving(cluster: &Cluster, test: &str) -> Rest {
    let mut run = Run::start(cluster, test, Default::default()).await;
    models::apply(&run.ns, &models::model("iris", 2))
        .await
        .expect("the model is valid");
    let ready = |state: &normal::Normal| {
        let ready = state
            .get("ModelDeployment/iris")
            .map(|m| m["status"]["readyReplicas"].clone());
        if ready == Some(json!(2)) {
            Ok(())
        } else {
            Err(format!("ready: {ready:?}"))
        }
    };
    run.reach(Duration::from_secs(30), ready)
        .await
        .expect("the model turns ready");
    run.silence(Duration::from_secs(10))
        .await
        .expect("it rests");
    let state = state(&run.ns).await.expect("the namespace can be read");
    Rest { run, state }
}

async fn state(ns: &Namespace) -> Result<normal::Normal, String> {
    let objects = normal::objects(&ns.client, &ns.name)
        .await
        .map_err(|e| e.to_string())?;
    Ok(normal::normal(&ns.name, &objects))
}

/// Names of our children of one kind.
async fn ours<K>(ns: &Namespace) -> Vec<String>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let api: Api<K> = ns.api();
    let list = api
        .list(&ListParams::default())
        .await
        .expect("children can be listed");
    list.iter()
        .filter(|c| !c.owner_references().is_empty())
        .map(|c| c.name_any())
        .collect()
}

/// Does `harm` to every child of one kind, and waits until the objects are as they were.
async fn undone<K>(rest: &Rest, what: &str, harm: Option<Value>)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let ns = &rest.run.ns;
    let names = ours::<K>(ns).await;
    assert!(!names.is_empty(), "no child to harm: {what}");
    let api: Api<K> = ns.api();
    for name in names {
        let harmed = match &harm {
            Some(harm) => api
                .patch(&name, &PatchParams::default(), &patch(harm))
                .await
                .map(|_| ()),
            None => api
                .delete(&name, &DeleteParams::background())
                .await
                .map(|_| ()),
        };
        harmed.unwrap_or_else(|e| panic!("{what} on {name}: {e}"));
        let look = || async {
            let differences =
                normal::differences(&rest.state, &state(ns).await?, &Default::default());
            if differences.is_empty() {
                Ok(())
            } else {
                Err(differences.join("\n"))
            }
        };
        // Pods of a deleted Deployment have to be made and to turn ready again.
        eventually(SOON + SOON, &format!("{what} on {name} is undone"), look).await;
    }
}

/// A list is a JSON patch, anything else a merge patch.
fn patch(harm: &Value) -> Patch<Value> {
    match harm {
        Value::Array(_) => {
            let operations = serde_json::from_value(harm.clone());
            Patch::Json(operations.expect("a list is a JSON patch"))
        }
        _ => Patch::Merge(harm.clone()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c23_a_child_that_is_edited_is_restored() {
    let cluster = Cluster::connect().await;
    let rest = serving(&cluster, "c23-edited").await;
    let replicas = json!({"spec": {"replicas": 7}});
    undone::<Deployment>(&rest, "replicas", Some(replicas)).await;
    let ports = json!([{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 1}]);
    undone::<Service>(&rest, "a port", Some(ports)).await;
    let budget = json!({"spec": {"maxUnavailable": 2}});
    undone::<PodDisruptionBudget>(&rest, "maxUnavailable", Some(budget)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c23_a_child_that_is_relabelled_is_restored() {
    let cluster = Cluster::connect().await;
    let rest = serving(&cluster, "c23-relabelled").await;
    let labels = json!({"metadata": {"labels": {
        "app.kubernetes.io/managed-by": null, "aimass.dev/deployment": "other",
    }}});
    undone::<Service>(&rest, "labels", Some(labels.clone())).await;
    undone::<Deployment>(&rest, "labels", Some(labels.clone())).await;
    undone::<PodDisruptionBudget>(&rest, "labels", Some(labels.clone())).await;
    undone::<ControllerRevision>(&rest, "labels", Some(labels.clone())).await;
    undone::<ConfigMap>(&rest, "labels", Some(labels)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c23_a_child_that_is_deleted_is_made_again() {
    let cluster = Cluster::connect().await;
    let rest = serving(&cluster, "c23-deleted").await;
    undone::<Service>(&rest, "delete", None).await;
    undone::<PodDisruptionBudget>(&rest, "delete", None).await;
    undone::<ConfigMap>(&rest, "delete", None).await;
    undone::<ControllerRevision>(&rest, "delete", None).await;
    undone::<Deployment>(&rest, "delete", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c23_a_child_whose_owner_is_stripped_is_owned_again_or_named() {
    let cluster = Cluster::connect().await;
    let rest = serving(&cluster, "c23-stripped").await;
    let strip = json!({"metadata": {"ownerReferences": null}});
    undone::<Service>(&rest, "ownerReferences", Some(strip.clone())).await;
    undone::<Deployment>(&rest, "ownerReferences", Some(strip)).await;
}

fn stranger(name: &str) -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "stranger"}},
    }))
    .expect("a plain Service")
}

async fn model(ns: &Namespace, name: &str) -> Result<DynamicObject, String> {
    models::api(ns).get(name).await.map_err(|e| e.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c24_a_strangers_name_is_a_conflict_and_the_stranger_is_untouched() {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, "c24-stranger", Default::default()).await;
    let services: Api<Service> = run.ns.api();
    let made = services
        .create(&PostParams::default(), &stranger("iris"))
        .await;
    let made = made.expect("a plain Service is valid");
    models::apply(&run.ns, &models::model("iris", 1))
        .await
        .expect("the model is valid");
    let named = || async {
        let object = model(&run.ns, "iris").await?;
        expect_condition(&object, "Stalled", "True", "NameConflict")?;
        expect_condition(&object, "Applied", "False", "NameConflict")
    };
    let applied = eventually(Duration::from_secs(10), "the conflict is named", named).await;
    assert!(applied.message.contains("iris"), "{}", applied.message);
    assert!(applied.message.contains("Service"), "{}", applied.message);
    run.silence(Duration::from_secs(20))
        .await
        .expect("it does not hammer");
    let now = services
        .get("iris")
        .await
        .expect("the stranger is still there");
    assert_eq!(
        now.metadata.resource_version,
        made.metadata.resource_version
    );
    // With the stranger gone it goes on, unaided.
    services
        .delete("iris", &DeleteParams::default())
        .await
        .expect("the stranger can go");
    let recovered = || async {
        let object = model(&run.ns, "iris").await?;
        models::settled(&object)?;
        match condition(&object, "Stalled") {
            None => Ok(()),
            Some(stalled) => Err(format!("{stalled:?}")),
        }
    };
    eventually(Duration::from_secs(60), "it recovers", recovered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c24_a_strangers_deployment_is_untouched_too() {
    let cluster = Cluster::connect().await;
    let Rest { mut run, .. } = serving(&cluster, "c24-deployment").await;
    let deployments: Api<Deployment> = run.ns.api();
    let found = deployments
        .list(&ListParams::default())
        .await
        .expect("it can be listed");
    let ours = found
        .items
        .into_iter()
        .next()
        .expect("the model has a Deployment");
    models::api(&run.ns)
        .delete("iris", &DeleteParams::foreground())
        .await
        .expect("it can go");
    let gone = || async {
        match models::api(&run.ns)
            .get_opt("iris")
            .await
            .map_err(|e| e.to_string())?
        {
            None => Ok(()),
            Some(_) => Err("still there".to_owned()),
        }
    };
    // The garbage collector's own time, beside dozens of other objects.
    eventually(Duration::from_secs(60), "the model is gone", gone).await;
    // The same content has the same revision, so its name is known.
    let mut other = ours.clone();
    other.metadata = kube::api::ObjectMeta {
        name: ours.metadata.name,
        ..Default::default()
    };
    other.status = None;
    let made = deployments.create(&PostParams::default(), &other).await;
    let made = made.expect("a stranger may take the name");
    models::apply(&run.ns, &models::model("iris", 2))
        .await
        .expect("the model is valid");
    let named = || async {
        let object = model(&run.ns, "iris").await?;
        expect_condition(&object, "Applied", "False", "NameConflict")
    };
    eventually(Duration::from_secs(10), "the conflict is named", named).await;
    run.silence(Duration::from_secs(20))
        .await
        .expect("it does not hammer");
    let now = deployments
        .get(&made.name_any())
        .await
        .expect("the stranger is still there");
    assert_eq!(now.metadata.generation, made.metadata.generation);
    assert_eq!(now.metadata.uid, made.metadata.uid);
    assert_eq!(now.metadata.owner_references, None);
}
