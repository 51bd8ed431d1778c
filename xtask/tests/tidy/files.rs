//! The files of the repository, and how a check reports what it found.

use std::fs;
use std::path::{Path, PathBuf};

/// A file, by its path from the repository's folder, with forward slashes.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    // Cargo runs a test in the folder of its crate.
    let root = Path::new("..").canonicalize();
    root.expect("xtask lies in the repository")
}

/// Every file of the repository that ends in `.{extension}` and is text, in order of the paths.
pub(crate) fn with_extension(extension: &str) -> Vec<File> {
    let mut paths = Vec::new();
    collect(&root(), &mut paths);
    paths.sort();
    let wanted = paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == extension));
    wanted.map(|path| read(&path)).collect()
}

/// The files below `folder` that end in `.{extension}`.
pub(crate) fn below(folder: &str, extension: &str) -> Vec<File> {
    let mut files = with_extension(extension);
    files.retain(|file| file.path.starts_with(folder));
    files
}

fn read(path: &Path) -> File {
    let text = fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let relative = path
        .strip_prefix(root())
        .expect("the walk starts at the root");
    let parts: Vec<_> = relative
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    File {
        path: parts.join("/"),
        text,
    }
}

/// Walks all folders but those that hold nothing of ours: `.git`, and `target` at any depth.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder);
    let entries =
        entries.unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("an entry of a folder can be read");
        let kind = entry.file_type().expect("an entry has a type");
        let name = entry.file_name();
        if kind.is_dir() && name != ".git" && name != "target" {
            collect(&entry.path(), paths);
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
}

/// Fails with every finding, one a line, and what to do about them.
#[track_caller]
pub(crate) fn none(found: &[String], remedy: &str) {
    assert!(
        found.is_empty(),
        "{} found:\n  {}\n\n{remedy}",
        found.len(),
        found.join("\n  ")
    );
}
