//! A namespace in which models are served for real: an operator in this process, and two gateways in pods whose signals
//! it reads. Used by lane `node`, and by `cargo xtask bench scale`.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::{Cluster, Everywhere, Namespace};
use crate::gateway::Gateway;
use crate::operator::Settings;
use crate::workload::Run;
use crate::{eventually, linear, models};

/// An image that is in the node starts, loads a small model and answers by then.
pub const READY: Duration = Duration::from_secs(30);

/// A namespace with an operator, and the linear model's file in it.
pub async fn run(cluster: &Cluster, test: &str, settings: Settings) -> Run {
    let run = Run::start_real(cluster, test, settings).await;
    models::files(
        &run.ns,
        models::FILES,
        &[("model.onnx", &linear::file("linear"))],
    )
    .await;
    run
}

/// Applies a model and waits until it is as it says.
///
/// # Panics
/// If the API server refuses it, or it is not as it says by [`READY`].
pub async fn serve(ns: &Namespace, model: &Value) {
    models::apply(ns, model).await.expect("the model is valid");
    let name = model.pointer("/metadata/name").and_then(Value::as_str);
    settled(ns, name.unwrap_or_default()).await;
}

/// Waits until the model serves what its spec says.
///
/// # Panics
/// If it does not by [`READY`].
pub async fn settled(ns: &Namespace, name: &str) {
    let look = || async {
        let object = models::api(ns).get(name).await.map_err(|e| e.to_string())?;
        models::settled(&object)
    };
    eventually(READY, &format!("{name} serves"), look).await;
}

/// A namespace with gateways whose signals its operator reads.
pub struct Gated {
    /// The namespace and its operator.
    pub run: Run,
    /// The gateways.
    pub gateway: Gateway,
    rights: Everywhere,
}

impl Gated {
    /// Starts the operator, and gateways by the chart, and waits until they are ready.
    pub async fn start(cluster: &Cluster, test: &str) -> Self {
        let settings = Settings {
            reads_signals: true,
            ..Settings::default()
        };
        let run = run(cluster, test, settings).await;
        // Whose token a gateway has, only the cluster knows.
        let rights = run.ns.grant_signals().await;
        let gateway = Gateway::install(&run.ns).await;
        Self {
            run,
            gateway,
            rights,
        }
    }

    /// Takes back what is not in the namespace.
    pub async fn end(self) {
        self.gateway.remove().await;
        self.rights.revoke().await;
    }
}
