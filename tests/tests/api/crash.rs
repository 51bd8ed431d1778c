//! C1, C2: dead before or after any write, a reply lost, a write refused: the same end state, and
//! nothing created or deleted twice, within 10 s.

use aimass_tests::cluster::Cluster;
use aimass_tests::faults::plan::{Fault, Plan};
use aimass_tests::workload::{Workload, crash_plans, expect_same, record};

use crate::workloads::{CHANGE, CREATE, DELETE, SCALE, SWITCH};

async fn at_every_write(workload: &Workload) {
    let cluster = Cluster::connect().await;
    let reference = record(&cluster, workload).await;
    let plans = crash_plans(&reference).into_iter().map(Plan::one).collect();
    expect_same(&cluster, workload, &reference, plans).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_create_survives_a_crash_at_every_write() {
    at_every_write(&CREATE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_scale_survives_a_crash_at_every_write() {
    at_every_write(&SCALE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_change_survives_a_crash_at_every_write() {
    at_every_write(&CHANGE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_switch_survives_a_crash_at_every_write() {
    at_every_write(&SWITCH).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_delete_needs_no_operator() {
    // Owner references do it: there is no write to die at, and none is made.
    let cluster = Cluster::connect().await;
    let reference = record(&cluster, &DELETE).await;
    assert!(reference.writes.is_empty(), "{:?}", reference.writes);
}

/// `--plan 'WORKLOAD: POINT ACTION'`: that one run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_of_a_plan() {
    let cluster = Cluster::connect().await;
    let Some(text) = cluster.plan() else {
        return;
    };
    let (name, fault) = text
        .split_once(':')
        .expect("--plan must be WORKLOAD: POINT ACTION");
    let fault: Fault = fault
        .parse()
        .expect("--plan must be WORKLOAD: POINT ACTION");
    let workload = [CREATE, SCALE, CHANGE, SWITCH, DELETE]
        .into_iter()
        .find(|w| w.name == name.trim());
    let workload = workload.expect("the workload is one of create, scale, change, switch, delete");
    let reference = record(&cluster, &workload).await;
    expect_same(&cluster, &workload, &reference, vec![Plan::one(fault)]).await;
}
