//! Mounts below the cluster's folders: found in the kernel's list, unmounted deepest first.

use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

/// A mounted file system.
pub(super) struct Mount {
    /// Where.
    pub(super) point: PathBuf,
    /// `cgroup`, `overlay` …
    pub(super) kind: String,
}

/// All mounts of this process' namespace, in the order of mounting.
pub(super) fn all() -> Vec<Mount> {
    // Unreadable only without /proc, where nothing else of the cluster works.
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

/// Mount points at or below one of `folders`, the last mounted first.
pub(super) fn below(folders: &[&Path]) -> Vec<PathBuf> {
    let points = all().into_iter().rev().map(|mount| mount.point);
    points
        .filter(|point| folders.iter().any(|folder| point.starts_with(folder)))
        .collect()
}

/// Unmounts what is at or below `folders`; what is busy is detached, and goes with its last user.
pub(super) fn unmount_below(folders: &[&Path]) {
    // One mount may hide another on the same point, hence more than one round.
    for _ in 0..3 {
        let points = below(folders);
        if points.is_empty() {
            return;
        }
        for point in points {
            let _ = unmount(&point, UnmountFlags::DETACH);
        }
    }
}

/// `36 35 98:0 / /mnt\040x rw,noatime shared:1 - ext3 /dev/root rw` (proc_pid_mountinfo(5)).
fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    let kind = after.split(' ').next()?;
    Some(Mount {
        point: unescape(point).into(),
        kind: kind.to_owned(),
    })
}

/// Space, tab, newline and backslash are written as octal numbers.
fn unescape(text: &str) -> String {
    let pairs = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    pairs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_point_and_kind() {
        let line = "36 35 98:0 /mnt1 /mnt\\0402/x rw,noatime master:1 - ext3 /dev/root rw";
        let mount = parse(line).unwrap();
        assert_eq!(mount.point, Path::new("/mnt 2/x"));
        assert_eq!(mount.kind, "ext3");
        assert!(parse("").is_none());
    }
}
