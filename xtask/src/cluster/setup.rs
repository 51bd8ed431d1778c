//! Everything that must be there before the first process starts: network, control groups, keys,
//! configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::clock;
use crate::cluster::cgroup::{self, Groups};
use crate::cluster::files::{self, Files};
use crate::cluster::part::Part;
use crate::cluster::{control, kubeconfig, network, node};
use crate::packages::PLUGIN_FOLDERS;
use crate::pki::{self, Authority, Subject};

/// Users with a kubeconfig, and those whose certificate serves.
const SUBJECTS: [(&str, Subject); 6] = [
    ("admin", subject("admin", Some("system:masters"), &[])),
    (
        "serving",
        subject(
            "kube-apiserver",
            None,
            &[
                "10.201.0.2",
                "127.0.0.1",
                network::API_SERVICE,
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
            ],
        ),
    ),
    (
        "kube-controller-manager",
        subject("system:kube-controller-manager", None, &[]),
    ),
    (
        "kube-scheduler",
        subject("system:kube-scheduler", None, &[]),
    ),
    ("kube-proxy", subject("system:kube-proxy", None, &[])),
    (
        "kubelet",
        subject(
            "system:node:node1",
            Some("system:nodes"),
            &["10.201.0.2", node::NAME],
        ),
    ),
];

const fn subject(
    name: &'static str,
    group: Option<&'static str>,
    addresses: &'static [&'static str],
) -> Subject {
    Subject {
        name,
        group,
        addresses,
    }
}

/// Makes all of it. The folder of records comes last: it says that the rest is complete.
///
/// # Errors
/// If the machine does not let us; what was made so far is left for `down`.
pub(super) fn run(files: &Files, bin: &Path) -> Result<()> {
    files.note_start()?;
    clear_logs(files)?;
    network::up()?;
    let groups = cgroup::up()?;
    write_pki(files)?;
    write_configs(files, &groups)?;
    files::write(&files.config("bin"), &bin.display().to_string())?;
    files::write(&files.config("join"), &groups.join.display().to_string())?;
    std::fs::create_dir_all(files.records()).context("failed to make the folder of records")
}

/// The file by which a process joins our control group, as [`run`] found it.
pub(super) fn join(files: &Files) -> Result<PathBuf> {
    read(files, "join")
}

/// The folder of the programs with which the cluster was started.
pub(super) fn bin(files: &Files) -> Result<PathBuf> {
    read(files, "bin")
}

fn read(files: &Files, name: &str) -> Result<PathBuf> {
    let path = files.config(name);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    Ok(text.into())
}

/// Logs outlive `down`; those of the last cluster go when the next one starts.
fn clear_logs(files: &Files) -> Result<()> {
    let logs = files.logs();
    if logs.exists() {
        std::fs::remove_dir_all(&logs).context("failed to remove the logs of the last cluster")?;
    }
    std::fs::create_dir_all(&logs)
        .with_context(|| format!("failed to make the folder {}", logs.display()))
}

fn write_pki(files: &Files) -> Result<()> {
    let authority = Authority::new(clock::wall())?;
    files::write(&files.pki("ca.crt"), authority.certificate())?;
    for (name, subject) in SUBJECTS {
        let pair = authority.issue(subject)?;
        files::write(&files.pki(&format!("{name}.crt")), &pair.certificate)?;
        files::write(&files.pki(&format!("{name}.key")), &pair.key)?;
        let kubeconfig = kubeconfig::text(control::SERVER, authority.certificate(), &pair)?;
        files::write(&files.kubeconfig_of(name), &kubeconfig)?;
    }
    let [private, public] = pki::token_keys()?;
    files::write(&files.pki("tokens.key"), &private)?;
    files::write(&files.pki("tokens.pub"), &public)
}

fn write_configs(files: &Files, groups: &Groups) -> Result<()> {
    let plugins = PLUGIN_FOLDERS
        .iter()
        .map(Path::new)
        .find(|folder| folder.join("ptp").exists());
    // The control lane does without them, and asks for no package that has them.
    let plugins = plugins.unwrap_or(Path::new("/usr/lib/cni"));
    let containerd = node::containerd_config(files, plugins);
    files::write(&files.config("containerd.toml"), &containerd)?;
    let objects = [
        ("audit-policy.json", control::audit_policy()),
        ("cni/10-aimass.conflist", node::network(files)),
        ("kubelet.json", node::kubelet_config(files, groups.is_v1)),
        ("kube-proxy.json", node::proxy_config(files)),
    ];
    for (name, object) in objects {
        files::write(&files.config(name), &format!("{object:#}\n"))?;
    }
    for part in [Part::Etcd, Part::Containerd, Part::Kubelet] {
        let folder = files.data(part.name());
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    }
    Ok(())
}
