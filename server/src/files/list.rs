//! Lists a folder that is read in place: a mounted ConfigMap, an image volume, a folder on somebody's disk.
//!
//! Called by `load.rs` where there is no manifest. In a mounted ConfigMap every name is a link into `..data`: links are
//! followed as long as they stay inside the folder; names that begin with `..` are kubelet's own.

use std::path::Path;

use super::{Found, Limits};
use crate::fatal::{Fatal, Reason};

/// Folders inside folders.
const MAX_DEPTH: usize = 16;

/// All regular files below `folder`, in order of their paths.
pub fn list(folder: &Path, limits: &Limits) -> Result<Vec<Found>, Fatal> {
    let unreadable = |error| Fatal::io("failed to read the model's folder", &error);
    let root = folder.canonicalize().map_err(unreadable)?;
    let mut found = Vec::new();
    let mut bytes = 0_u64;
    let mut waiting = vec![(String::new(), 0)];
    while let Some((relative, depth)) = waiting.pop() {
        for child in std::fs::read_dir(root.join(&relative)).map_err(unreadable)? {
            let name = child.map_err(unreadable)?.file_name();
            let Some(name) = name.to_str() else {
                return Err(invalid("a file name is not UTF-8"));
            };
            if name.starts_with("..") || name == "lost+found" {
                continue;
            }
            let path = if relative.is_empty() {
                name.to_owned()
            } else {
                format!("{relative}/{name}")
            };
            let real = root.join(&path).canonicalize().map_err(unreadable)?;
            if !real.starts_with(&root) {
                return Err(invalid(&format!(
                    "{path} is a link that leaves the model's folder"
                )));
            }
            let metadata = real.metadata().map_err(unreadable)?;
            if metadata.is_dir() {
                // The depth also ends a link to a folder above itself.
                if depth >= MAX_DEPTH {
                    return Err(invalid(&format!(
                        "{path} is nested more than {MAX_DEPTH} deep"
                    )));
                }
                waiting.push((path, depth + 1));
                continue;
            }
            if !metadata.is_file() {
                return Err(invalid(&format!("{path} is not a regular file")));
            }
            bytes = bytes.saturating_add(metadata.len());
            if found.len() >= limits.max_files || bytes > limits.max_bytes {
                return Err(too_much(limits));
            }
            let size = metadata.len();
            found.push(Found { path, size });
        }
    }
    found.sort_by(|left: &Found, right| left.path.cmp(&right.path));
    Ok(found)
}

pub(super) fn invalid(text: &str) -> Fatal {
    Fatal::new(Reason::ArtifactInvalid, text)
}

pub(super) fn too_much(limits: &Limits) -> Fatal {
    invalid(&format!(
        "the model has more than {} files or {} bytes",
        limits.max_files, limits.max_bytes
    ))
}
