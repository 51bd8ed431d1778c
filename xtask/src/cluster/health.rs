//! Whether a process of the cluster does its work. Only asks.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::cluster::files::Files;
use crate::cluster::network::NODE;
use crate::cluster::node;
use crate::cluster::part::Part;
use crate::{http, step};

/// Asks one process; the error is a short reason.
pub(super) fn check(bin: &Path, files: &Files, part: Part) -> Result<(), String> {
    match part {
        Part::Etcd => plain(2381, "/health"),
        Part::ApiServer => secure(bin, files, 6443, "/readyz"),
        Part::ControllerManager => secure(bin, files, 10257, "/healthz"),
        Part::Scheduler => secure(bin, files, 10259, "/healthz"),
        Part::Containerd => {
            let mut command = Command::new("ctr");
            run(command.args(["--address", &node::socket(), "version"]))
        }
        Part::Kubelet => {
            plain(10248, "/healthz")?;
            node_is_ready(bin, files)
        }
        Part::Proxy => plain(10256, "/healthz"),
    }
}

fn plain(port: u16, path: &str) -> Result<(), String> {
    let answer = http::get(SocketAddr::from((NODE, port)), path).map_err(|e| format!("{e:#}"))?;
    match answer.status {
        200 => Ok(()),
        status => Err(format!(
            "{path} answers {status}: {}",
            first_line(&answer.body)
        )),
    }
}

/// kubectl has the certificates, and speaks TLS.
fn secure(bin: &Path, files: &Files, port: u16, path: &str) -> Result<(), String> {
    let mut command = Command::new(bin.join("kubectl"));
    command.arg("--kubeconfig").arg(files.kubeconfig());
    command.arg(format!("--server=https://{NODE}:{port}"));
    run(command.args(["--request-timeout=5s", "get", "--raw", path]))
}

fn node_is_ready(bin: &Path, files: &Files) -> Result<(), String> {
    let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}: {.status.conditions[?(@.type=="Ready")].message}"#;
    let mut command = Command::new(bin.join("kubectl"));
    command.arg("--kubeconfig").arg(files.kubeconfig());
    command.args([
        "--request-timeout=5s",
        "get",
        "node",
        node::NAME,
        "--output",
        path,
    ]);
    let said = step::output(&mut command).map_err(|error| short(&error))?;
    if said.starts_with("True") {
        return Ok(());
    }
    Err(format!("the node is not ready: {said}"))
}

fn run(command: &mut Command) -> Result<(), String> {
    step::output(command)
        .map(|_| ())
        .map_err(|error| short(&error))
}

fn short(error: &anyhow::Error) -> String {
    first_line(&format!("{error:#}")).to_owned()
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
