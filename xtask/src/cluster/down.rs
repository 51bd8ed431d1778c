//! Taking the cluster down, whatever state it is in: everything of it has a fixed name (control
//! group, namespace, interface, folders), so that no record is needed to find it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::cluster::files::{Files, RUN};
use crate::cluster::part::Part;
use crate::cluster::{cgroup, mounts, network, node, process};
use crate::step::Step;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);
/// Where the plug-ins note which pod got which interface.
const PLUGIN_RESULTS: &str = "/var/lib/cni/results";
/// Where network namespaces have their names.
const NAMESPACES: &str = "/run/netns";

/// Stops and removes everything but the logs.
///
/// # Errors
/// If something is left; says what.
pub(super) fn run(files: &Files) -> Result<()> {
    let mut step = Step::begin("stop the cluster", None);
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
    pods_namespaces();
    network::down();
    cgroup::down();
    let folders = mounts::below(&folders(files));
    if !folders.is_empty() {
        bail!("still mounted, so nothing is deleted: {folders:?}: unmount it, then try again");
    }
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

/// A note of the plug-ins about one interface of one pod.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    container_id: String,
    network_name: String,
    netns: PathBuf,
}

/// Pods' network namespaces have random names; the plug-ins' notes say which are ours.
fn pods_namespaces() {
    let notes: Vec<(PathBuf, Note)> = files_of(Path::new(PLUGIN_RESULTS))
        .into_iter()
        .filter_map(|path| {
            let note = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
            Some((path, note))
        })
        .collect();
    let of_ours = |note: &&(PathBuf, Note)| note.1.network_name == node::NETWORK;
    let containers: Vec<&str> = notes
        .iter()
        .filter(of_ours)
        .map(|(_, note)| note.container_id.as_str())
        .collect();
    // The loopback interface of the same pod has a note of its own, under another network's name.
    for (path, note) in &notes {
        if !containers.contains(&note.container_id.as_str()) {
            continue;
        }
        // `/var/run` is a link to `/run`.
        if let Some(name) = note.netns.file_name() {
            let point = Path::new(NAMESPACES).join(name);
            mounts::unmount_below(&[&point]);
            let _ = std::fs::remove_file(&point);
        }
        let _ = std::fs::remove_file(path);
    }
}

/// `ip netns` mounts the folder of names upon itself when it makes the first one.
pub(super) fn tidy_names() {
    let folder = Path::new(NAMESPACES);
    if folder.is_dir() && files_of(folder).is_empty() {
        mounts::unmount_below(&[folder]);
        let _ = std::fs::remove_dir(folder);
    }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
