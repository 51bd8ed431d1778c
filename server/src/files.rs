//! The files of a model on disk: which there are, what they hash to, and private copies of them.
//!
//! Synchronous; called on the loading thread and by `fetch` on a blocking thread. Touches only the folders it is given.
//! A private copy is `<parent>/files` (any name) with `<parent>/manifest.json`, which is renamed into place last: where
//! the manifest is, the copy is complete.

mod archive;
mod copy;
mod digest;
mod list;
mod staging;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fatal::{Fatal, Reason};

pub use copy::{copy, matches};
pub use digest::{Digest, Hashing};
pub use list::list;
pub use staging::{Kind, Staging};

/// What a set of files may be at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all files together, and of an archive.
    pub max_bytes: u64,
    /// Files.
    pub max_files: usize,
    /// Unpacked bytes per packed byte of an archive.
    pub max_ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 10 << 30,
            max_files: 10_000,
            max_ratio: 200,
        }
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the folder, with `/`.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// In lower-case hex.
    pub sha256: String,
}

/// One file, of whose content nothing is known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Relative to the folder, with `/`.
    pub path: String,
    /// In bytes.
    pub size: u64,
}

impl Entry {
    /// The file before it is read again.
    pub fn found(&self) -> Found {
        Found {
            path: self.path.clone(),
            size: self.size,
        }
    }
}

/// What a private copy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the source: the file, the archive as it was, or the folder.
    pub digest: Digest,
    /// In order of their paths.
    pub files: Vec<Entry>,
}

/// Where the manifest of the private copy `folder` is.
pub fn manifest_path(folder: &Path) -> PathBuf {
    folder.with_file_name("manifest.json")
}

/// The manifest of the private copy `folder`; `None` if there is none (yet).
pub fn manifest(folder: &Path) -> Result<Option<Manifest>, Fatal> {
    let text = match std::fs::read(manifest_path(folder)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fatal::io("failed to read manifest.json", &error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Fatal::new(
            Reason::ArtifactInvalid,
            format!("manifest.json is damaged: {error}"),
        )
    })
}

/// The file that holds the model: `model.onnx`, else the only `*.onnx`, else the only file.
pub fn model_file(found: &[Found]) -> Result<&Found, Fatal> {
    if let Some(file) = found.iter().find(|file| file.path == "model.onnx") {
        return Ok(file);
    }
    let mut onnx = found.iter().filter(|file| file.path.ends_with(".onnx"));
    let text = match (onnx.next(), onnx.next(), found) {
        (Some(file), None, _) => return Ok(file),
        (None, _, [file]) if !is_saved_model(file) => return Ok(file),
        (Some(first), Some(second), _) => format!(
            "the model is ambiguous: {} and {} are there; name one of them model.onnx",
            first.path, second.path
        ),
        (None, _, []) => "there are no files".to_owned(),
        (None, _, _) if found.iter().any(is_saved_model) => {
            "TensorFlow SavedModel is not supported; convert it to ONNX (tf2onnx)".to_owned()
        }
        (None, _, _) => "there is no .onnx file".to_owned(),
    };
    Err(Fatal::new(Reason::ArtifactInvalid, text))
}

fn is_saved_model(file: &Found) -> bool {
    file.path.ends_with("saved_model.pb")
}

/// Reads `entry` of `folder`, whose size and hash must be those of the entry.
pub fn read(folder: &Path, entry: &Entry) -> Result<Vec<u8>, Fatal> {
    let (read, bytes) = take(folder, &entry.found())?;
    unchanged(std::slice::from_ref(entry), &[read])?;
    Ok(bytes)
}

/// Reads a file of `folder`: what is returned is what was hashed.
pub fn take(folder: &Path, found: &Found) -> Result<(Entry, Vec<u8>), Fatal> {
    let unreadable =
        |error: io::Error| Fatal::io(&format!("failed to read {}", found.path), &error);
    let file = File::open(folder.join(&found.path)).map_err(unreadable)?;
    let mut bytes = Vec::with_capacity(usize::try_from(found.size).unwrap_or(0));
    // One byte more than expected tells a file that has grown.
    file.take(found.size.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let mut hash = Hashing::new();
    hash.update(&bytes);
    let entry = Entry {
        path: found.path.clone(),
        size: bytes.len() as u64,
        sha256: hash.finish(),
    };
    if entry.size != found.size {
        return Err(changed(&found.path));
    }
    Ok((entry, bytes))
}

/// What all of these files take, in bytes.
pub fn total(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}

/// Looks at one file of `folder`.
pub fn find(folder: &Path, path: &str) -> Result<Found, Fatal> {
    let metadata = std::fs::metadata(folder.join(path));
    let metadata =
        metadata.map_err(|error| Fatal::io(&format!("failed to read {path}"), &error))?;
    Ok(Found {
        path: path.to_owned(),
        size: metadata.len(),
    })
}

/// Lists one file of `folder`.
pub fn entry(folder: &Path, path: &str) -> Result<Entry, Fatal> {
    let (size, sha256) = digest::hash_file(&folder.join(path), path)?;
    Ok(Entry {
        path: path.to_owned(),
        size,
        sha256,
    })
}

/// Checks size and hash of `entry` without keeping its bytes.
pub fn verify(folder: &Path, listed: &Entry) -> Result<(), Fatal> {
    unchanged(
        std::slice::from_ref(listed),
        &[entry(folder, &listed.path)?],
    )
}

/// Checks that files, in the same order, are what they were when they were listed.
pub fn unchanged(listed: &[Entry], read: &[Entry]) -> Result<(), Fatal> {
    let mut pairs = listed.iter().zip(read);
    match pairs.find(|(listed, read)| listed != read) {
        None => Ok(()),
        Some((listed, _)) => Err(changed(&listed.path)),
    }
}

fn changed(path: &str) -> Fatal {
    let text = format!("{path} is not what it was when it was copied or listed");
    Fatal::new(Reason::DigestMismatch, text)
}
