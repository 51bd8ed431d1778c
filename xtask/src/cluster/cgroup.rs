//! The cluster's own control groups: `/aimass` in every hierarchy, version 1 and 2.
//!
//! All processes of the cluster are below it, those of pods (`/aimass/kubepods`) and those that we
//! start (`/aimass/system`), also after every record of them is lost: so `down` finds each of ours
//! and none that is not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::cluster::mounts;

/// Our group's name; the kubelet's `cgroupRoot` is this with a slash.
pub(super) const NAME: &str = "aimass";
/// Of the processes that we start.
const SYSTEM: &str = "system";
/// Of pods.
pub(super) const PODS: &str = "kubepods";
/// Version 1: one of these hierarchies holds the processes that we start.
const HOLDERS: [&str; 4] = ["pids", "memory", "cpu", "freezer"];

/// Our group in each hierarchy, and the group for the processes that we start.
pub(super) struct Groups {
    /// The file that a process writes its number to, to join.
    pub(super) join: PathBuf,
    /// Whether this is version 1 alone: the kubelet needs to be told.
    pub(super) is_v1: bool,
}

/// Makes our groups.
///
/// # Errors
/// If this machine has no control groups, or does not let us.
pub(super) fn up() -> Result<Groups> {
    let [v1, v2] = hierarchies();
    // Mixed machines mount version 2 without controllers; version 1 has them then.
    if v1.is_empty() {
        let Some(root) = v2.first() else {
            bail!("no control groups are mounted: mount cgroup2 at /sys/fs/cgroup");
        };
        return up_v2(root);
    }
    for root in &v1 {
        let group = root.join(NAME);
        make(&group)?;
        inherit_cpus(root, &group)?;
    }
    let holder = v1
        .iter()
        .find(|root| HOLDERS.iter().any(|name| root.ends_with(name)));
    let Some(holder) = holder else {
        bail!("none of the control groups {HOLDERS:?} is mounted below /sys/fs/cgroup");
    };
    let system = holder.join(NAME).join(SYSTEM);
    make(&system)?;
    Ok(Groups {
        join: system.join("cgroup.procs"),
        is_v1: true,
    })
}

/// Version 2: controllers are handed down from group to group by name.
fn up_v2(root: &Path) -> Result<Groups> {
    let group = root.join(NAME);
    make(&group)?;
    make(&group.join(SYSTEM))?;
    for parent in [root, &group] {
        let controllers = read(&parent.join("cgroup.controllers"))?;
        for controller in controllers.split_whitespace() {
            // One by one: a controller that cannot be handed down does not keep back the others;
            // the kubelet names those that it misses.
            let _ = std::fs::write(
                parent.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
        }
    }
    let handed_down = read(&group.join("cgroup.controllers"))?;
    let is_missing = |name: &&str| !handed_down.split_whitespace().any(|word| word == *name);
    let missing: Vec<&str> = ["cpu", "cpuset", "memory", "pids"]
        .into_iter()
        .filter(is_missing)
        .collect();
    if !missing.is_empty() {
        bail!(
            "the control group {} does not get the controllers {}: is this a container? run it on \
             the machine itself, or give the container its own writable cgroup namespace",
            group.display(),
            missing.join(", ")
        );
    }
    Ok(Groups {
        join: group.join(SYSTEM).join("cgroup.procs"),
        is_v1: false,
    })
}

/// Version 1, cpuset: a new group has no processors, and nothing can join it.
fn inherit_cpus(root: &Path, group: &Path) -> Result<()> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        if root.join(name).is_file() {
            let value = read(&root.join(name))?;
            std::fs::write(group.join(name), value)
                .with_context(|| format!("failed to set {name} of {}", group.display()))?;
        }
    }
    Ok(())
}

/// Kills every process at or below `part` of our group (all of it: `None`) and waits until they
/// are gone.
pub(super) fn kill(part: Option<&str>) {
    let gone = clock::wait_for(Duration::from_secs(15), || {
        let groups = groups(part);
        for group in &groups {
            // A frozen process does not die.
            let _ = std::fs::write(group.join("freezer.state"), "THAWED");
            let _ = std::fs::write(group.join("cgroup.freeze"), "0");
        }
        let members = members(&groups);
        for member in &members {
            if let Some(pid) = Pid::from_raw(*member) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        members.is_empty().then_some(())
    });
    // Who is left after that is reported by `remains`.
    let _ = gone;
}

/// Removes our groups, deepest first. They must be empty.
pub(super) fn down() {
    // The kernel empties a group a little after its last process has died.
    let _ = clock::wait_for(Duration::from_secs(5), || {
        let mut groups = groups(None);
        groups.reverse();
        for group in &groups {
            let _ = std::fs::remove_dir(group);
        }
        groups.is_empty().then_some(())
    });
}

/// What of our groups is still there, for people.
pub(super) fn remains() -> Vec<String> {
    let groups = groups(None);
    let of_processes = members(&groups).into_iter().map(|pid| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("process {pid} {}", name.trim())
    });
    let mut remains: Vec<String> = of_processes.collect();
    remains.extend(
        groups
            .iter()
            .map(|group| format!("control group {}", group.display())),
    );
    remains
}

/// All groups at or below `part` of ours, parents before children.
fn groups(part: Option<&str>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in hierarchies().into_iter().flatten() {
        let ours = root.join(NAME);
        walk(
            &part.map_or(ours.clone(), |part| ours.join(part)),
            &mut found,
        );
    }
    found
}

fn walk(group: &Path, found: &mut Vec<PathBuf>) {
    if !group.is_dir() {
        return;
    }
    found.push(group.to_owned());
    let Ok(entries) = std::fs::read_dir(group) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), found);
        }
    }
}

fn members(groups: &[PathBuf]) -> BTreeSet<i32> {
    let mut members = BTreeSet::new();
    for group in groups {
        let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        members.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    members
}

/// Mounted hierarchies: those of version 1, and version 2.
fn hierarchies() -> [Vec<PathBuf>; 2] {
    let of = |kind: &str| -> Vec<PathBuf> {
        let mounts = mounts::all().into_iter().filter(|mount| mount.kind == kind);
        let points = mounts.map(|mount| mount.point);
        points
            .filter(|point| point.starts_with("/sys/fs/cgroup"))
            .collect()
    };
    [of("cgroup"), of("cgroup2")]
}

fn make(group: &Path) -> Result<()> {
    std::fs::create_dir_all(group)
        .with_context(|| format!("failed to make the control group {}", group.display()))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}
