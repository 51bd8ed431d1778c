//! The operator: time from apply to Ready, requests, writes, memory, and what a restart costs.
//!
//! The floor is the same child objects posted without any operator, on the same cluster in the same
//! run. The operator is the shipped binary, a process of its own under a ServiceAccount of its own,
//! so that the audit log tells its requests from everybody else's.

mod account;
mod audit;
mod floor;
mod load;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kube::Client;

use crate::process::Process;
use crate::{Row, median};

/// What these figures need besides a client that may do everything.
#[derive(Clone)]
pub struct Setting {
    /// A client of the cluster's administrator.
    pub client: Client,
    /// Address of the API server and its CA, for the operator's own kubeconfig.
    pub kubeconfig: PathBuf,
    /// The audit log of the API server.
    pub audit: PathBuf,
    /// The operator's binary.
    pub operator: PathBuf,
    /// Image of the model server, present on the node.
    pub server_image: String,
}

/// How long everything may take to become Ready before a figure is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// All figures about objects, with `count` of them at once.
///
/// # Errors
/// The cluster refuses something, or is not Ready in time.
pub async fn figures(setting: &Setting, count: usize) -> anyhow::Result<Vec<Row>> {
    load::define(&setting.client).await?;
    let namespace = load::namespace(&setting.client, "bench-objects").await?;
    let account = account::create(setting, &namespace).await?;
    let mut rows = Vec::new();

    let operator = start(setting, &account)?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    rows.push(Row::at_most(
        "operator/resident-at-0",
        operator.resident_mib()?,
        "MiB",
        25.0,
    ));

    let mut single = Vec::new();
    for index in 0..5 {
        single
            .push(load::apply_until_ready(setting, &namespace, &format!("one-{index}"), 1).await?);
    }
    let floor_single = floor::until_available(setting, &namespace, "one-0", 1).await?;
    let single = median(single);
    rows.push(
        Row::at_most(
            "operator/ready-1-against-floor",
            single / floor_single,
            "ratio",
            2.0,
        )
        .against(format!(
            "{single:.2} s; objects without operator {floor_single:.2} s"
        )),
    );
    load::delete_all(setting, &namespace).await?;

    let before = audit::count(setting, &account.user)?;
    let many = load::apply_until_ready(setting, &namespace, "many", count).await?;
    let after = audit::count(setting, &account.user)?;
    let each = |value: usize| to_f64(value) / to_f64(count);
    rows.push(Row::at_most(
        "operator/requests-per-object",
        each(after.requests - before.requests),
        "requests",
        12.0,
    ));
    rows.push(Row::at_most(
        "operator/writes-per-object",
        each(after.writes - before.writes),
        "requests",
        8.0,
    ));
    let name = format!("operator/resident-at-{count}");
    rows.push(Row::at_most(&name, operator.resident_mib()?, "MiB", 25.0));
    drop(operator);

    let restarted = Instant::now();
    let before = audit::count(setting, &account.user)?;
    let operator = start(setting, &account)?;
    let idle = audit::until_idle(setting, &account.user, restarted).await?;
    let after = audit::count(setting, &account.user)?;
    rows.push(Row::plain("operator/restart-to-idle", idle, "s"));
    let writes = to_f64(after.writes - before.writes);
    rows.push(Row::at_most(
        "operator/writes-after-restart",
        writes,
        "requests",
        0.0,
    ));
    drop(operator);

    let template = format!("many-{:03}", 0);
    let floor_namespace = load::namespace(&setting.client, "bench-floor").await?;
    let children = floor::children(setting, &namespace, &template).await?;
    load::delete_all(setting, &namespace).await?;
    let floor = floor::post(setting, &floor_namespace, &children, count).await?;
    rows.push(
        Row::at_most(
            &format!("operator/ready-{count}-against-floor"),
            many / floor,
            "ratio",
            2.0,
        )
        .against(format!(
            "{many:.1} s; objects without operator {floor:.1} s"
        )),
    );
    load::remove(&setting.client, &[&namespace, &floor_namespace]).await?;
    Ok(rows)
}

fn start(setting: &Setting, account: &account::Account) -> anyhow::Result<Process> {
    let arguments = [
        format!("--server-image={}", setting.server_image),
        "--leader-elect=false".to_owned(),
        format!("--watch-namespace={}", account.namespace),
        "--admin-port=18502".to_owned(),
    ];
    Process::with_kubeconfig(&setting.operator, &arguments, account.kubeconfig.path())
}

/// Counts are far below 2^52.
fn to_f64(value: usize) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}
