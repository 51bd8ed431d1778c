//! C16, C17, C54: who writes when the leader dies, stops or is cut off.

use std::time::Duration;

use aimass_tests::cluster::{Cluster, Namespace};
use aimass_tests::eventually;
use aimass_tests::faults::Faults;
use aimass_tests::faults::plan::{Action, Fault, Plan};
use aimass_tests::models;
use aimass_tests::operator::{Operator, SERVER_IMAGE, Settings};
use aimass_tests::pods::Kubelet;
use aimass_tests::workload::MODEL;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use tokio::time::Instant;

const ELECTS: Settings = Settings {
    elects: true,
    server_image: SERVER_IMAGE,
    gateway: None,
    reads_signals: false,
};

/// Two replicas of the operator over one model that serves; the first one leads.
struct Pair {
    ns: Namespace,
    _kubelet: Kubelet,
    leader: Operator,
    follower: Operator,
}

impl Pair {
    async fn start(cluster: &Cluster, test: &str) -> Self {
        let ns = cluster.namespace(test).await;
        models::files(&ns, models::FILES, &[("model.onnx", MODEL)]).await;
        let kubelet = Kubelet::start(&ns);
        let leader = Operator::start(&ns, Faults::default(), ELECTS).await;
        let first = eventually(Duration::from_secs(10), "one leads", || holder(&ns)).await;
        let follower = Operator::start(&ns, Faults::default(), ELECTS).await;
        models::apply(&ns, &models::model("iris", 1))
            .await
            .expect("the model is valid");
        let serves = || async {
            let object = models::api(&ns)
                .get("iris")
                .await
                .map_err(|e| e.to_string())?;
            models::settled(&object)
        };
        eventually(Duration::from_secs(30), "the model serves", serves).await;
        let held = holder(&ns).await.expect("one leads");
        assert_eq!(held, first, "the leader has not changed");
        assert!(
            follower.faults.writes().is_empty(),
            "a follower writes nothing"
        );
        Self {
            ns,
            _kubelet: kubelet,
            leader,
            follower,
        }
    }

    /// Asks for another number of pods, and waits until the Deployment has it.
    async fn scale(&self, replicas: i32, within: Duration) {
        let spec = json!({"replicas": replicas});
        models::merge(&self.ns, "iris", &spec)
            .await
            .expect("the number is valid");
        let deployments: Api<Deployment> = self.ns.api();
        let landed = || async {
            let list = deployments
                .list(&ListParams::default())
                .await
                .map_err(|e| e.to_string())?;
            let mut found: Vec<_> = list.iter().map(|d| d.spec.as_ref()?.replicas).collect();
            // An old revision may be kept at zero.
            found.retain(|replicas| *replicas != Some(0));
            if found == [Some(replicas)] {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        };
        eventually(within, "somebody leads and scales", landed).await;
    }
}

async fn holder(ns: &Namespace) -> Result<String, String> {
    let leases: Api<Lease> = ns.api();
    let lease = leases
        .get_opt("aimass-operator")
        .await
        .map_err(|e| e.to_string())?;
    let holder = lease
        .and_then(|l| l.spec)
        .and_then(|s| s.holder_identity)
        .unwrap_or_default();
    if holder.is_empty() {
        Err("nobody holds the Lease".to_owned())
    } else {
        Ok(holder)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c16_a_leader_that_is_killed_is_replaced_in_12_s() {
    let cluster = Cluster::connect().await;
    let pair = Pair::start(&cluster, "c16-kill").await;
    let Pair {
        ns,
        _kubelet,
        leader,
        follower,
    } = pair;
    let first = holder(&ns).await.expect("one leads");
    leader.crash();
    let begun = Instant::now();
    let taken = || async {
        let now = holder(&ns).await?;
        if now == first {
            Err("the Lease is still the dead one's".to_owned())
        } else {
            Ok(())
        }
    };
    eventually(Duration::from_secs(12), "another one leads", taken).await;
    // Not before the Lease has run out: the dead one might only be slow.
    assert!(
        begun.elapsed() >= Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    let pair = Pair {
        ns,
        _kubelet,
        leader: follower,
        follower: idle(),
    };
    pair.scale(2, Duration::from_secs(3)).await;
}

/// Stands where an instance was.
fn idle() -> Operator {
    let config = kube::Config::new("https://127.0.0.1:1".parse().expect("a constant"));
    let faults = Faults::default();
    faults.kill();
    Operator::start_with("nowhere", config, faults, ELECTS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c16_c54_a_leader_that_is_told_to_stop_hands_over_in_2_s() {
    let cluster = Cluster::connect().await;
    let pair = Pair::start(&cluster, "c16-stop").await;
    let Pair {
        ns,
        _kubelet,
        leader,
        follower,
    } = pair;
    let first = holder(&ns).await.expect("one leads");
    // In the middle of a reconcile.
    models::merge(&ns, "iris", &json!({"restartToken": "b"}))
        .await
        .expect("it is valid");
    let begun = Instant::now();
    leader.stop().await.expect("it ends well");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        begun.elapsed()
    );
    let taken = || async {
        let now = holder(&ns).await?;
        if now == first {
            Err("the Lease was not freed".to_owned())
        } else {
            Ok(())
        }
    };
    eventually(Duration::from_secs(2), "another one leads", taken).await;
    let pair = Pair {
        ns,
        _kubelet,
        leader: follower,
        follower: idle(),
    };
    pair.scale(2, Duration::from_secs(15)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c17_a_leader_that_cannot_renew_stops_writing_before_another_one_begins() {
    let cluster = Cluster::connect().await;
    let pair = Pair::start(&cluster, "c17").await;
    // Its data path lives, its Lease is out of reach: the worst kind of leader.
    let cut = |verb: &str| Fault {
        point: format!("{verb} leases"),
        action: Action::Hang,
    };
    pair.leader.faults.arm(Plan {
        always: vec![
            cut("replace"),
            cut("get"),
            cut("patch"),
            cut("create"),
            cut("apply"),
        ],
        ..Plan::default()
    });
    let first = holder(&pair.ns).await.expect("one leads");
    let taken = || async {
        // Something to write, all the time.
        let token = format!("{}", Instant::now().elapsed().as_nanos());
        let spec = json!({"replicas": 1 + i32::from(token.len() % 2 == 0)});
        models::merge(&pair.ns, "iris", &spec)
            .await
            .map_err(|e| e.to_string())?;
        let now = holder(&pair.ns).await?;
        if now == first {
            Err("the Lease is still held".to_owned())
        } else {
            Ok(())
        }
    };
    eventually(Duration::from_secs(14), "the other one leads", taken).await;
    for replicas in [3, 1, 2] {
        pair.scale(replicas, Duration::from_secs(5)).await;
    }
    let last = pair
        .leader
        .faults
        .writes()
        .last()
        .map(|w| w.at)
        .expect("it once wrote");
    let first = pair
        .follower
        .faults
        .writes()
        .first()
        .map(|w| w.at)
        .expect("it writes now");
    assert!(
        last < first,
        "the old leader wrote {:?} after the new one began",
        last - first
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c17_a_leader_cut_off_from_everything_comes_back_as_a_follower() {
    let cluster = Cluster::connect().await;
    let pair = Pair::start(&cluster, "c17-back").await;
    let all = [
        "get", "list", "watch", "create", "apply", "patch", "replace", "delete",
    ];
    let hang = |verb: &&str| Fault {
        point: (*verb).to_owned(),
        action: Action::Hang,
    };
    pair.leader.faults.arm(Plan {
        always: all.iter().map(hang).collect(),
        ..Plan::default()
    });
    let before = pair.leader.faults.records().len();
    pair.scale(3, Duration::from_secs(20)).await;
    let led = holder(&pair.ns).await.expect("one leads");
    tokio::time::sleep(Duration::from_secs(5)).await;
    pair.leader.faults.arm(Plan::default());
    // Back again, it sees the world but changes nothing of it.
    pair.scale(1, Duration::from_secs(5)).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    pair.scale(2, Duration::from_secs(5)).await;
    assert_eq!(
        holder(&pair.ns).await.expect("one leads"),
        led,
        "no lease theft"
    );
    let late: Vec<_> = pair
        .leader
        .faults
        .records()
        .into_iter()
        .skip(before)
        .filter(|r| r.verb.writes() && r.kind != "leases" && r.status.is_some())
        .map(|r| (r.point, r.status))
        .collect();
    assert!(late.is_empty(), "the old leader wrote: {late:?}");
}
