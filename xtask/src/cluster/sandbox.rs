//! Pods' network namespaces. Their names are random; the plug-ins' notes say which are ours.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cluster::{mounts, node};

/// Where the plug-ins note which pod got which interface.
pub(super) const NOTES: &str = "/var/lib/cni/results";
/// Where network namespaces have their names.
const NAMES: &str = "/run/netns";
/// How the runtime names those of pods, of any cluster on this machine.
const PREFIX: &str = "cni-";

/// A note about one interface of one pod.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    container_id: String,
    network_name: String,
    result: Outcome,
}

/// What a plug-in did.
#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    interfaces: Vec<Interface>,
}

/// One end of a pod's cable.
#[derive(Deserialize)]
struct Interface {
    /// The namespace's path; absent at the node's end.
    #[serde(default)]
    sandbox: PathBuf,
}

impl Note {
    /// The names of the namespaces that it mentions.
    fn names(&self) -> impl Iterator<Item = &str> {
        let paths = self
            .result
            .interfaces
            .iter()
            .map(|interface| &interface.sandbox);
        paths.filter_map(|path| path.file_name()?.to_str())
    }
}

/// Whether a pod of ours has left anything.
pub(super) fn is_any() -> bool {
    notes()
        .iter()
        .any(|(_, note)| note.network_name == node::NETWORK)
}

/// Removes the namespaces of our pods and the notes about them. Their processes must be gone.
pub(super) fn remove() {
    let notes = notes();
    for (path, note) in ours(&notes) {
        for name in note.names() {
            remove_name(name);
        }
        let _ = std::fs::remove_file(path);
    }
    // A crash may have come between a namespace and its note. What nobody has noted and nobody is
    // in belongs to no pod of another cluster either.
    let noted: BTreeSet<&str> = notes.iter().flat_map(|(_, note)| note.names()).collect();
    let inhabited = inhabited();
    for path in files_of(Path::new(NAMES)) {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_empty = std::fs::metadata(&path).is_ok_and(|m| !inhabited.contains(&m.ino()));
        if name.starts_with(PREFIX) && !noted.contains(name) && is_empty {
            remove_name(name);
        }
    }
}

/// Those of our network, and those about other interfaces (loopback) of the same pods.
fn ours(notes: &[(PathBuf, Note)]) -> Vec<&(PathBuf, Note)> {
    let of_network = notes
        .iter()
        .filter(|(_, note)| note.network_name == node::NETWORK);
    let pods: BTreeSet<&str> = of_network
        .map(|(_, note)| note.container_id.as_str())
        .collect();
    notes
        .iter()
        .filter(|(_, note)| pods.contains(note.container_id.as_str()))
        .collect()
}

fn notes() -> Vec<(PathBuf, Note)> {
    let read = |path: PathBuf| {
        let note = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        Some((path, note))
    };
    files_of(Path::new(NOTES))
        .into_iter()
        .filter_map(read)
        .collect()
}

fn remove_name(name: &str) {
    // The notes say /var/run, which is a link to /run.
    let point = Path::new(NAMES).join(name);
    mounts::unmount_below(&[&point]);
    let _ = std::fs::remove_file(&point);
}

/// The network namespaces (by inode) of all processes.
fn inhabited() -> BTreeSet<u64> {
    let processes = files_of(Path::new("/proc"));
    let namespaces = processes.iter().map(|process| process.join("ns/net"));
    namespaces
        .filter_map(|path| Some(std::fs::metadata(path).ok()?.ino()))
        .collect()
}

/// `ip netns` mounts the folder of names upon itself when it makes the first one; undone when
/// there is none left.
pub(super) fn unmount_names() {
    let folder = Path::new(NAMES);
    if folder.is_dir() && files_of(folder).is_empty() {
        mounts::unmount_below(&[folder]);
        let _ = std::fs::remove_dir(folder);
    }
}

/// What is in a folder; nothing if there is none.
pub(super) fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(container: &str, network: &str, name: &str) -> (PathBuf, Note) {
        let text = format!(
            r#"{{"kind": "cniCacheV1", "containerId": "{container}", "networkName": "{network}",
                "result": {{"interfaces": [
                    {{"name": "veth1"}},
                    {{"name": "eth0", "sandbox": "/var/run/netns/{name}"}}]}}}}"#
        );
        (PathBuf::from(network), serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_pod_of_another_cluster_is_not_ours() {
        let notes = [
            note("1", "aimass", "cni-1"),
            note("1", "cni-loopback", "cni-1"),
            note("2", "k8s-pod-network", "cni-2"),
            note("2", "cni-loopback", "cni-2"),
        ];
        let ours = ours(&notes);
        assert_eq!(ours.len(), 2);
        for (_, note) in ours {
            assert_eq!(note.names().collect::<Vec<_>>(), ["cni-1"]);
        }
    }
}
