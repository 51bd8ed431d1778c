//! The gateway's certificate: of an authority made here, trusted by whoever is given its file.
//!
//! Kept as long as the cluster has it: who trusts the authority of the last demo goes on trusting it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use super::install::NAMESPACE;
use super::site::Site;
use crate::pki::{Authority, Subject};
use crate::places::Places;
use crate::{clock, step};

/// The Secret that the gateway mounts.
pub(super) const SECRET: &str = "aimass-gateway-tls";

const SERVER: Subject = Subject {
    name: "aimass-gateway",
    group: None,
    addresses: &[
        "localhost",
        "127.0.0.1",
        "aimass-gateway.aimass-system.svc",
        "aimass-gateway.aimass-system.svc.cluster.local",
    ],
};

/// The authority's file, for those who call.
pub(super) fn authority(places: &Places) -> PathBuf {
    places.target().join("demo/ca.crt")
}

/// Sees to it that the Secret is there and the authority's file fits it.
///
/// # Errors
/// If the cluster refuses, or the file cannot be written.
pub(super) fn ensure(places: &Places, site: &Site) -> Result<()> {
    let path = authority(places);
    let there = known(site)?;
    if !there.is_empty() {
        return write(&path, &there);
    }
    let authority = Authority::new(clock::wall())?;
    let pair = authority.issue(SERVER)?;
    let manifest = serde_json::json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": SECRET, "namespace": NAMESPACE},
                "type": "kubernetes.io/tls",
                "stringData": {
                    "tls.crt": pair.certificate,
                    "tls.key": pair.key,
                    "ca.crt": authority.certificate(),
                },
            },
        ],
    });
    apply(site, &manifest.to_string())?;
    step::say("Made an authority and a certificate for https://localhost.");
    write(&path, authority.certificate())
}

/// The authority that the Secret in the cluster names, or nothing.
fn known(site: &Site) -> Result<String> {
    let template =
        r#"go-template={{with .data}}{{with index . "ca.crt"}}{{. | base64decode}}{{end}}{{end}}"#;
    let mut command = site.kubectl();
    command.args(["--namespace", NAMESPACE, "get", "secret", SECRET]);
    step::output(command.args(["--ignore-not-found", "--output", template]))
}

/// By standard input: a key does not belong on a command line.
fn apply(site: &Site, manifest: &str) -> Result<()> {
    let mut child = site
        .kubectl()
        .args(["apply", "--server-side", "--filename", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("failed to start kubectl")?;
    let mut input = child.stdin.take().context("the input was asked for")?;
    input
        .write_all(manifest.as_bytes())
        .context("kubectl did not read the certificate")?;
    drop(input);
    let ended = child.wait().context("kubectl did not end")?;
    ensure!(
        ended.success(),
        "the cluster refuses the gateway's certificate"
    );
    Ok(())
}

fn write(path: &std::path::Path, text: &str) -> Result<()> {
    let context = || format!("failed to write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    std::fs::write(path, text).with_context(context)
}
