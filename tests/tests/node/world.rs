//! What the tests of this lane share: a model that is served for real, and a caller of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aimass_tests::args::repository;
use aimass_tests::client::Caller;
use aimass_tests::cluster::{Cluster, Everywhere, Namespace};
use aimass_tests::gateway::Gateway;
use aimass_tests::operator::Settings;
use aimass_tests::workload::Run;
use aimass_tests::{eventually, load, models};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

/// An image that is in the node starts, loads a small model and answers by then.
pub(crate) const READY: Duration = Duration::from_secs(30);

/// Held by whoever sends a load for minutes: two at once would measure each other.
static LOAD: Mutex<()> = Mutex::const_new(());

/// Waits for its turn to send a load; until the value is dropped nobody else does.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    LOAD.lock().await
}

/// Asks the linear model `iris` for the double of a number below 100.
///
/// Which one, `number` says, but not in its order: gateways share requests out by turns of a hundred, and a revision would get
/// the same numbers each time.
pub(crate) async fn doubled(caller: Caller, number: usize) -> Result<(), String> {
    let scattered = u64::try_from(number).unwrap_or_default();
    let scattered = scattered.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let scattered = (scattered ^ (scattered >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = u8::try_from((scattered >> 32) % 100).unwrap_or_default();
    let body = json!({"instances": [[number]]});
    let reply = caller.post("/v1/models/iris:predict", &body).await?;
    if reply.status != 200 {
        return Err(format!("{}: {}", reply.status, reply.text()));
    }
    let wanted = 2.0 * f64::from(number);
    match reply.json()["predictions"][0][0].as_f64() {
        Some(answer) if (answer - wanted).abs() < 0.5 => Ok(()),
        other => Err(format!("{other:?} is not {wanted}")),
    }
}

/// The model file of an example.
pub(crate) fn file(example: &str) -> Vec<u8> {
    let path = repository().join(format!("examples/{example}/{example}.onnx"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A namespace with an operator, and the linear model's file in it.
pub(crate) async fn run(test: &str, settings: Settings) -> Run {
    let cluster = Cluster::connect().await;
    let run = Run::start_real(&cluster, test, settings).await;
    models::files(&run.ns, models::FILES, &[("model.onnx", &file("linear"))]).await;
    run
}

/// Applies a model and waits until it is as it says.
pub(crate) async fn serve(ns: &Namespace, model: &Value) {
    models::apply(ns, model).await.expect("the model is valid");
    let name = model["metadata"]["name"].as_str().unwrap_or_default();
    settled(ns, name).await;
}

/// Waits until the model serves what its spec says.
pub(crate) async fn settled(ns: &Namespace, name: &str) {
    let look = || async {
        let object = models::api(ns).get(name).await.map_err(|e| e.to_string())?;
        models::settled(&object)
    };
    eventually(READY, &format!("{name} serves"), look).await;
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

/// The linear model `iris`, small, for everybody to call.
pub(crate) fn public_model(replicas: i32) -> Value {
    let mut model = models::model("iris", replicas);
    let spec = model["spec"].as_object_mut().expect("a model has a spec");
    spec.insert("access".to_owned(), json!({"mode": "Public"}));
    let resources =
        json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}});
    spec.insert("runtime".to_owned(), json!({"resources": resources}));
    model
}

/// Sends a hundred requests a second, until it is over.
pub(crate) async fn hundred_a_second(caller: Caller, over: Arc<AtomicBool>) -> load::Report {
    let more = move |_| !over.load(Ordering::Relaxed);
    let send = move |number| doubled(caller.clone(), number);
    load::run(Duration::from_millis(10), more, send).await
}

/// A namespace with gateways whose signals its operator reads.
pub(crate) struct Gated {
    pub(crate) run: Run,
    pub(crate) gateway: Gateway,
    rights: Everywhere,
}

impl Gated {
    pub(crate) async fn start(test: &str) -> Self {
        let settings = Settings {
            reads_signals: true,
            ..Settings::default()
        };
        let run = run(test, settings).await;
        // Whose token a gateway has, only the cluster knows.
        let rights = run.ns.grant_signals().await;
        let gateway = Gateway::install(&run.ns).await;
        Self {
            run,
            gateway,
            rights,
        }
    }

    pub(crate) async fn end(self) {
        self.gateway.remove().await;
        self.rights.revoke().await;
    }
}
