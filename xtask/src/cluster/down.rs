//! Taking the cluster down, whatever state it is in: everything of it has a fixed name (control
//! group, namespace, interface, folders), so that no record is needed to find it.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cluster::files::{Files, RUN};
use crate::cluster::part::Part;
use crate::cluster::{cgroup, door, mounts, network, process, sandbox};
use crate::step::Step;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);
/// Where the kubelet links to the logs of containers.
const LOG_LINKS: &str = "/var/log/containers";
/// Where the kubelet listens for drivers of devices.
const DEVICE_PLUGINS: &str = "/var/lib/kubelet/device-plugins";

/// Stops and removes everything but the logs.
///
/// # Errors
/// If something is left; says what.
pub(super) fn run(files: &Files) -> Result<()> {
    let started = Files::started();
    let files = started.as_ref().unwrap_or(files);
    let mut step = Step::begin("stop the cluster", None);
    if let Some(record) = process::record(files, door::NAME) {
        record.stop(GRACE);
    }
    // First those that would start or restart something.
    for part in [
        Part::Kubelet,
        Part::Proxy,
        Part::Scheduler,
        Part::ControllerManager,
    ] {
        stop(files, part);
        step.tick();
    }
    cgroup::kill(Some(cgroup::PODS));
    step.tick();
    for part in [Part::Containerd, Part::ApiServer, Part::Etcd] {
        stop(files, part);
        step.tick();
    }
    // What no record knows of: a start that was cut off, the runtime's helpers.
    cgroup::kill(None);
    mounts::unmount_below(&folders(files));
    sandbox::remove();
    network::down();
    cgroup::down();
    let folders = mounts::below(&folders(files));
    if !folders.is_empty() {
        bail!("still mounted, so nothing is deleted: {folders:?}: unmount it, then try again");
    }
    kubelets_leavings(files);
    sandbox::unmount_names();
    delete(files)?;
    let mut remains = network::remains();
    remains.extend(cgroup::remains());
    if !remains.is_empty() {
        bail!("still there: {}: try again in a moment", remains.join(", "));
    }
    step.done("");
    Ok(())
}

/// Whether anything of a cluster is there, running or not.
pub(super) fn anything(files: &Files) -> bool {
    !network::remains().is_empty()
        || !cgroup::remains().is_empty()
        || sandbox::is_any()
        || files.to_delete().iter().any(|path| path.exists())
}

fn stop(files: &Files, part: Part) {
    if let Some(record) = process::record(files, part.name()) {
        record.stop(GRACE);
    }
}

fn folders(files: &Files) -> Vec<&Path> {
    vec![files.root(), Path::new(RUN)]
}

fn delete(files: &Files) -> Result<()> {
    for path in files.to_delete() {
        if path.exists() {
            std::fs::remove_dir_all(&path)
                .with_context(|| format!("failed to delete {}", path.display()))?;
        }
    }
    Ok(())
}

/// Removes what the kubelet leaves in fixed places, as far as it is ours.
fn kubelets_leavings(files: &Files) {
    for link in sandbox::files_of(Path::new(LOG_LINKS)) {
        if std::fs::read_link(&link).is_ok_and(|target| target.starts_with(files.logs())) {
            let _ = std::fs::remove_file(link);
        }
    }
    let socket = Path::new(DEVICE_PLUGINS).join("kubelet.sock");
    // Of another kubelet if somebody listens.
    if UnixStream::connect(&socket).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused) {
        let _ = std::fs::remove_file(socket);
    }
    for folder in [
        DEVICE_PLUGINS,
        "/var/lib/kubelet",
        LOG_LINKS,
        sandbox::NOTES,
        "/var/lib/cni",
    ] {
        // Only empty folders can be removed like this.
        let _ = std::fs::remove_dir(folder);
    }
}
