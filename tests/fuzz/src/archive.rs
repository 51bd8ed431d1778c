//! Archives of models: nothing is written outside of the destination, and the caps hold.
//!
//! Input: one byte (even: plain tar, odd: packed), then the archive.

use std::fs;
use std::path::Path;

use aimass_server::files::{self, Limits};

const LIMITS: Limits = Limits {
    max_bytes: 1 << 20,
    max_files: 16,
    max_ratio: 200,
};

/// Unpacks it beside a file that must not change.
pub fn body(data: &[u8]) {
    let Some((kind, archive)) = data.split_first() else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let name = if kind % 2 == 0 { "a.tar" } else { "a.tar.gz" };
    let (source, parent) = (root.path().join(name), root.path().join("model"));
    fs::write(&source, archive).unwrap();
    fs::write(root.path().join("other"), b"untouched").unwrap();
    fs::create_dir(&parent).unwrap();
    let destination = parent.join("files");
    let copied = files::copy(&source, &destination, None, LIMITS);

    assert_eq!(fs::read(root.path().join("other")).unwrap(), b"untouched");
    assert_eq!(names(root.path()), [name, "model", "other"]);
    let Ok(manifest) = copied else {
        assert!(!destination.exists(), "a refused archive is served");
        return;
    };
    assert_eq!(names(&parent), ["files", "manifest.json"]);
    let mut found = Found::default();
    found.add(&destination);
    assert!(found.files <= LIMITS.max_files && found.bytes <= LIMITS.max_bytes);
    assert_eq!(found.files, manifest.files.len());
}

/// In order, of one folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What lies below a folder.
#[derive(Default)]
struct Found {
    files: usize,
    bytes: u64,
}

impl Found {
    fn add(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.path().symlink_metadata().unwrap();
            if metadata.is_dir() {
                self.add(&entry.path());
            } else {
                assert!(metadata.is_file(), "{:?} is no plain file", entry.path());
                self.files += 1;
                self.bytes += metadata.len();
            }
        }
    }
}
