//! What the tests of this lane share: a model that is served for real, and a caller of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aimass_tests::client::Caller;
use aimass_tests::cluster::{Cluster, Namespace};
use aimass_tests::gated;
pub(crate) use aimass_tests::gated::{Gated, READY, serve, settled};
pub(crate) use aimass_tests::linear::{doubled, file};
use aimass_tests::operator::Settings;
use aimass_tests::workload::Run;
use aimass_tests::{eventually, linear, load, models};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

/// Held by whoever sends a load for minutes: two at once would measure each other.
static LOAD: Mutex<()> = Mutex::const_new(());

/// Waits for its turn to send a load; until the value is dropped nobody else does.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    LOAD.lock().await
}

/// A namespace with an operator, and the linear model's file in it.
pub(crate) async fn run(test: &str, settings: Settings) -> Run {
    gated::run(&Cluster::connect().await, test, settings).await
}

/// A namespace with gateways whose signals its operator reads.
pub(crate) async fn gated(test: &str) -> Gated {
    Gated::start(&Cluster::connect().await, test).await
}

/// The linear model `iris`, small, for everybody to call.
pub(crate) fn public_model(replicas: i32) -> Value {
    linear::public("iris", replicas)
}

/// A caller of the model's address: the cluster address of its Service.
pub(crate) async fn caller(ns: &Namespace, name: &str) -> Caller {
    let services: Api<Service> = ns.api();
    let service = services
        .get(name)
        .await
        .unwrap_or_else(|e| panic!("no Service {name}: {e}"));
    let spec = service.spec.unwrap_or_default();
    let address: IpAddr = spec
        .cluster_ip
        .as_deref()
        .and_then(|ip| ip.parse().ok())
        .unwrap_or_else(|| panic!("Service {name} has no cluster address"));
    let ports = spec.ports.unwrap_or_default();
    let port = ports
        .iter()
        .find(|p| p.name.as_deref() == Some("http"))
        .or(ports.first());
    let port = port
        .and_then(|p| u16::try_from(p.port).ok())
        .expect("the Service has a port");
    let caller = Caller::new(SocketAddr::new(address, port));
    // A pod is ready a moment before the node's proxy leads to it.
    let answers = || async { caller.get("/v2/health/live").await.map(|_| ()) };
    eventually(Duration::from_secs(10), "the address answers", answers).await;
    caller
}

/// The revision that serves.
pub(crate) async fn stable(ns: &Namespace, name: &str) -> String {
    let object = models::api(ns).get(name).await.expect("the model is there");
    models::text(&object, "/status/stable/revision").to_owned()
}

/// Sends a hundred requests a second, until it is over.
pub(crate) async fn hundred_a_second(caller: Caller, over: Arc<AtomicBool>) -> load::Report {
    let more = move |_| !over.load(Ordering::Relaxed);
    let send = move |number| doubled(caller.clone(), number);
    load::run(Duration::from_millis(10), more, send).await
}
