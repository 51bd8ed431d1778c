//! C4, C10, C20, C22: models that come, go and change while the operator looks elsewhere.

use std::time::Duration;

use aimass_tests::cluster::Cluster;
use aimass_tests::eventually;
use aimass_tests::faults::Faults;
use aimass_tests::models;
use aimass_tests::normal::{self, CHILDREN};
use aimass_tests::operator::{Operator, Settings};
use aimass_tests::pods::Kubelet;
use aimass_tests::workload::{MODEL, Run};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::workloads::CREATE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c4_only_the_live_object_of_a_name_is_acted_on() {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, "c4", Default::default()).await;
    let api = models::api(&run.ns);
    for round in 0..50 {
        let replicas = round % 3 + 1;
        models::apply(&run.ns, &models::model("iris", replicas))
            .await
            .expect("it is valid");
        api.delete("iris", &DeleteParams::background())
            .await
            .expect("it can go");
    }
    models::apply(&run.ns, &models::model("iris", 2))
        .await
        .expect("it is valid");
    let live = api.get("iris").await.expect("it is there").uid();
    run.reach(Duration::from_secs(30), CREATE.done)
        .await
        .expect("the live one serves");
    let (client, name) = (run.ns.client.clone(), run.ns.name.clone());
    let owned = || async {
        let objects = normal::objects(&client, &name)
            .await
            .map_err(|e| e.to_string())?;
        for object in objects {
            for owner in object.owner_references() {
                if owner.kind == "ModelDeployment" && Some(&owner.uid) != live.as_ref() {
                    return Err(format!("{} belongs to a dead one", object.name_any()));
                }
            }
        }
        Ok(())
    };
    eventually(
        Duration::from_secs(30),
        "the dead ones' children are gone",
        owned,
    )
    .await;
    run.silence(Duration::from_secs(10))
        .await
        .expect("it rests");
    run.no_panic().expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c10_a_rival_writer_delays_nothing() {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, "c10", Default::default()).await;
    (CREATE.act)(&run.ns).await;
    run.reach(Duration::from_secs(30), CREATE.done)
        .await
        .expect("it serves");
    let api = models::api(&run.ns);
    let mut rival = tokio::task::JoinSet::new();
    rival.spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for number in 0_u64.. {
            ticks.tick().await;
            let patch =
                json!({"metadata": {"annotations": {"example.org/rival": number.to_string()}}});
            let _conflicts_are_meant = api
                .patch("iris", &PatchParams::default(), &Patch::Merge(&patch))
                .await;
        }
    });
    let deployments: Api<Deployment> = run.ns.api();
    for replicas in [3, 1, 4, 2] {
        let spec = json!({"replicas": replicas});
        models::merge(&run.ns, "iris", &spec)
            .await
            .expect("the number is valid");
        let landed = || async {
            let list = deployments
                .list(&ListParams::default())
                .await
                .map_err(|e| e.to_string())?;
            let found: Vec<_> = list.iter().map(|d| d.spec.as_ref()?.replicas).collect();
            if found == [Some(replicas)] {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        };
        eventually(Duration::from_secs(2), "the children follow", landed).await;
        let told = || async {
            let object = models::api(&run.ns)
                .get("iris")
                .await
                .map_err(|e| e.to_string())?;
            let ready = object.data.pointer("/status/readyReplicas").cloned();
            if ready == Some(json!(replicas)) {
                Ok(())
            } else {
                Err(format!("{ready:?}"))
            }
        };
        eventually(Duration::from_secs(5), "the status follows", told).await;
    }
    drop(rival);
    run.no_panic().expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c20_a_namespace_deleted_half_way_is_gone_in_30_s() {
    let cluster = Cluster::connect().await;
    // The operator's own account lives elsewhere, as in an installation.
    let home = cluster.namespace("c20-home").await;
    let rights = home.grant_everywhere().await;
    let after = [1_usize, 2, 3, 4, 5, 6];
    let runs = after.into_iter().map(|writes| {
        let (cluster, home) = (&cluster, &home);
        async move {
            let ns = cluster.namespace("c20").await;
            models::files(&ns, models::FILES, &[("model.onnx", MODEL)]).await;
            let _kubelet = Kubelet::start(&ns);
            let faults = Faults::default();
            let config = home.operator_config().await;
            let mut operator =
                Operator::start_with(&ns.name, config, faults.clone(), Settings::default());
            (CREATE.act)(&ns).await;
            let made = || async {
                let made = faults.writes().len();
                if made >= writes {
                    Ok(())
                } else {
                    Err(format!("{made} of {writes} writes"))
                }
            };
            eventually(Duration::from_secs(20), "it writes", made).await;
            ns.delete().await;
            let namespaces: Api<NamespaceObject> = Api::all(ns.client.clone());
            let gone = || async {
                match namespaces
                    .get_opt(&ns.name)
                    .await
                    .map_err(|e| e.to_string())?
                {
                    None => Ok(()),
                    Some(left) => Err(format!("{:?}", left.status)),
                }
            };
            let what = format!("deleted after {writes} writes, the namespace is gone");
            eventually(Duration::from_secs(30), &what, gone).await;
            let silent = || async {
                let quiet = faults
                    .last_write()
                    .is_none_or(|at| at.elapsed() > Duration::from_secs(2));
                if quiet {
                    Ok(())
                } else {
                    Err(format!("{:?}", faults.writes().last()))
                }
            };
            eventually(Duration::from_secs(10), "creating stops", silent).await;
            assert!(operator.has_ended().is_none(), "the operator lives on");
            assert!(aimass_tests::operator::panics(&ns.name).is_empty());
        }
    });
    futures_util::future::join_all(runs).await;
    rights.revoke().await;
}

async fn deleted_by(policy: DeleteParams, orphans: bool, test: &str) {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, test, Default::default()).await;
    (CREATE.act)(&run.ns).await;
    run.reach(Duration::from_secs(30), CREATE.done)
        .await
        .expect("it serves");
    run.silence(Duration::from_secs(10))
        .await
        .expect("it rests");
    let hashes = run.faults.hashes();
    let before = run.counts(&hashes).await;
    models::api(&run.ns)
        .delete("iris", &policy)
        .await
        .expect("it can go");
    let (client, name) = (run.ns.client.clone(), run.ns.name.clone());
    let settled = || async {
        let objects = normal::objects(&client, &name)
            .await
            .map_err(|e| e.to_string())?;
        let kind =
            |o: &kube::api::DynamicObject| o.types.clone().map(|t| t.kind).unwrap_or_default();
        if objects.iter().any(|o| kind(o) == "ModelDeployment") {
            return Err("the model is still there".to_owned());
        }
        let mine = |o: &&kube::api::DynamicObject| o.name_any() != models::FILES;
        let left: Vec<String> = objects
            .iter()
            .filter(mine)
            .map(|o| {
                format!(
                    "{}/{} owners {:?}",
                    kind(o),
                    o.name_any(),
                    o.owner_references().len()
                )
            })
            .collect();
        let deployments = left.iter().filter(|l| l.starts_with("Deployment/")).count();
        match orphans {
            true if deployments == 1 && left.iter().any(|l| l.starts_with("Service/")) => Ok(()),
            false if left.is_empty() => Ok(()),
            _ => Err(format!("left: {left:?}")),
        }
    };
    eventually(
        Duration::from_secs(30),
        "what should be left is left",
        settled,
    )
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    settled().await.expect("it stays so");
    let creates = |counts: &std::collections::BTreeMap<String, u32>| -> Vec<String> {
        counts
            .iter()
            .filter(|(key, _)| key.starts_with("create"))
            .map(|(key, n)| format!("{key} {n}"))
            .collect()
    };
    let after = run.counts(&hashes).await;
    assert_eq!(
        creates(&after),
        creates(&before),
        "nothing is made again ({CHILDREN:?})"
    );
    run.no_panic().expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c22_background_deletion_takes_all_children() {
    deleted_by(DeleteParams::background(), false, "c22-background").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c22_foreground_deletion_takes_all_children() {
    deleted_by(DeleteParams::foreground(), false, "c22-foreground").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c22_orphaning_deletion_leaves_the_children() {
    deleted_by(DeleteParams::orphan(), true, "c22-orphan").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c27_back_to_an_older_content_is_back_to_its_children() {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, "c27", Default::default()).await;
    (CREATE.act)(&run.ns).await;
    run.reach(Duration::from_secs(30), CREATE.done)
        .await
        .expect("A serves");
    let stable = |number: i64| {
        move |state: &normal::Normal| {
            let model = state.get("ModelDeployment/iris").ok_or("no model")?;
            let (stable, target) = (&model["status"]["stable"], &model["status"]["target"]);
            let all = model["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let rolled = all
                .iter()
                .any(|c| c["type"] == "RolledOut" && c["status"] == "True");
            if stable["number"] == number && stable == target && rolled {
                return Ok(());
            }
            Err(format!("{}", model["status"]))
        }
    };
    let wait = Duration::from_secs(30);
    let token = |token: &str| json!({"restartToken": token});
    models::merge(&run.ns, "iris", &token("b"))
        .await
        .expect("it is valid");
    run.reach(wait, stable(2)).await.expect("B serves");
    models::merge(&run.ns, "iris", &json!({"restartToken": null}))
        .await
        .expect("it is valid");
    let back = run
        .reach(wait, stable(1))
        .await
        .expect("A serves again, with its number");
    let revisions = back
        .keys()
        .filter(|k| k.starts_with("ControllerRevision/"))
        .count();
    assert_eq!(revisions, 2, "{:?}", back.keys());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c47_three_edits_in_a_second_end_at_the_third() {
    let cluster = Cluster::connect().await;
    let mut run = Run::start(&cluster, "c47", Default::default()).await;
    (CREATE.act)(&run.ns).await;
    run.reach(Duration::from_secs(30), CREATE.done)
        .await
        .expect("it serves");
    for token in ["b", "c", "d"] {
        models::merge(&run.ns, "iris", &json!({"restartToken": token}))
            .await
            .expect("valid");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let done = || async {
        let object = models::api(&run.ns)
            .get("iris")
            .await
            .map_err(|e| e.to_string())?;
        models::settled(&object)?;
        let stable = object.data.pointer("/status/stable").cloned();
        if stable == object.data.pointer("/status/target").cloned() {
            return Ok(());
        }
        Err(format!("{stable:?}"))
    };
    eventually(Duration::from_secs(30), "it ends", done).await;
    let deployments: Api<Deployment> = run.ns.api();
    let list = deployments
        .list(&ListParams::default())
        .await
        .expect("it can be listed");
    let running: Vec<_> = list
        .iter()
        .filter(|d| d.spec.as_ref().and_then(|s| s.replicas) != Some(0))
        .map(|d| d.name_any())
        .collect();
    assert_eq!(running.len(), 1, "{running:?}");
}
