//! How much memory a model may use: 0.8 of the container's limit, less 64 MiB for the process itself.
//!
//! Reads the cgroup file system once, at load. Called by `load.rs`.

use std::path::Path;

/// What the process needs besides the model.
const OWN_BYTES: u64 = 64 << 20;
/// Above this a limit means "none": cgroup v1 writes 2⁶³ rounded down to a page.
const NO_LIMIT: u64 = 1 << 60;

/// The container's memory limit in bytes, if it has one.
pub fn container_limit() -> Option<u64> {
    limit(Path::new("/sys/fs/cgroup"))
}

/// What a limit leaves for a model, in bytes.
pub fn budget_of(limit: u64) -> u64 {
    (limit / 10 * 8).saturating_sub(OWN_BYTES)
}

/// The smallest limit in whole MiB that leaves `needed` bytes for a model.
pub fn limit_for(needed: u64) -> u64 {
    let tenths = needed.saturating_add(OWN_BYTES) / 8;
    (tenths.saturating_mul(10) >> 20).saturating_add(1) << 20
}

/// The container's limit, cgroup v2 or v1.
fn limit(root: &Path) -> Option<u64> {
    let files = ["memory.max", "memory/memory.limit_in_bytes"];
    let limit = files
        .iter()
        .find_map(|file| std::fs::read_to_string(root.join(file)).ok())?;
    limit.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_is_advised_is_enough() {
        for needed in [0, 155, 1 << 20, 410 << 20, 90_271_980] {
            assert!(budget_of(limit_for(needed)) >= needed, "{needed}");
        }
        assert_eq!(limit_for(0), 81 << 20);
    }

    #[test]
    fn both_kinds_of_cgroups_are_read() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(limit(root.path()), None);
        std::fs::create_dir(root.path().join("memory")).unwrap();
        let v1 = root.path().join("memory/memory.limit_in_bytes");
        std::fs::write(&v1, "9223372036854771712\n").unwrap();
        assert_eq!(limit(root.path()), None);
        std::fs::write(&v1, "536870912\n").unwrap();
        assert_eq!(limit(root.path()), Some(512 << 20));
        std::fs::write(root.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(limit(root.path()), None);
        std::fs::write(root.path().join("memory.max"), "1073741824\n").unwrap();
        assert_eq!(limit(root.path()).map(budget_of), Some(791_884_592));
    }
}
