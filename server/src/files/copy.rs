//! Makes a private copy of what lies on a mounted volume: a file, an archive or a folder.
//!
//! Called by `load.rs` for `--model-copy-from`. The source may change under us; the copy is what is hashed and served.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::list::invalid;
use super::{Digest, Kind, Limits, Manifest, Staging, digest, manifest};
use crate::fatal::{Fatal, Reason};

/// Folders inside folders.
const MAX_DEPTH: usize = 16;

/// Copies `source` to `destination`, unless a complete copy with the `expected` digest (or any, if none is expected) is
/// there already.
pub fn copy(
    source: &Path,
    destination: &Path,
    expected: Option<&Digest>,
    limits: Limits,
) -> Result<Manifest, Fatal> {
    if let Ok(Some(manifest)) = manifest(destination)
        && expected.is_none_or(|expected| *expected == manifest.digest)
    {
        return Ok(manifest);
    }
    let unreadable = |error| Fatal::io("failed to read the model's source", &error);
    let metadata = fs::metadata(source).map_err(unreadable)?;
    let mut staging = Staging::begin(destination, limits)?;
    let digest = if metadata.is_dir() {
        add_folder(source, &mut staging)?;
        Digest::of_folder(staging.entries())
    } else if metadata.is_file() {
        add_file(source, expected, &mut staging)?
    } else {
        return Err(invalid("the model's source is neither a file nor a folder"));
    };
    matches(&digest, expected)?;
    staging.finish(digest)
}

/// Refuses a digest that is not the expected one.
pub fn matches(digest: &Digest, expected: Option<&Digest>) -> Result<(), Fatal> {
    match expected {
        Some(expected) if expected != digest => {
            let text = format!("the files have digest {digest}, expected is {expected}");
            Err(Fatal::new(Reason::DigestMismatch, text))
        }
        _ => Ok(()),
    }
}

fn add_file(
    source: &Path,
    expected: Option<&Digest>,
    staging: &mut Staging,
) -> Result<Digest, Fatal> {
    let unreadable = |error: io::Error| Fatal::io("failed to read the model's source", &error);
    let name = source
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("model.onnx");
    let mut reader = File::open(source).map_err(unreadable)?;
    let kind = Kind::of_name(name);
    if kind == Kind::File {
        staging.add(name, &mut reader)?;
        return Ok(staging.entries().last().map_or_else(
            || Digest::of_folder(&[]),
            |entry| Digest::of_hex(&entry.sha256),
        ));
    }
    // The archive is copied before it is unpacked, so that what was hashed is what is unpacked.
    let size = reader.metadata().map_err(unreadable)?.len();
    if size > staging.limits().max_bytes {
        return Err(super::list::too_much(staging.limits()));
    }
    let mut scratch = File::create(staging.scratch())
        .map_err(|error| Fatal::io("failed to copy the archive", &error))?;
    io::copy(&mut io::Read::take(reader, size), &mut scratch)
        .map_err(|error| Fatal::io("failed to copy the archive", &error))?;
    let (_, hex) = digest::hash_file(&staging.scratch(), name)?;
    let digest = Digest::of_hex(&hex);
    matches(&digest, expected)?;
    staging.add_scratch(kind, name)?;
    Ok(digest)
}

fn add_folder(source: &Path, staging: &mut Staging) -> Result<(), Fatal> {
    let mut waiting = vec![(String::new(), 0)];
    while let Some((relative, depth)) = waiting.pop() {
        let unreadable = |error| Fatal::io("failed to read the model's source", &error);
        for child in fs::read_dir(source.join(&relative)).map_err(unreadable)? {
            let child = child.map_err(unreadable)?;
            let name = child.file_name();
            let Some(name) = name.to_str() else {
                return Err(invalid("a file name is not UTF-8"));
            };
            if name == "lost+found" {
                continue;
            }
            let path = if relative.is_empty() {
                name.to_owned()
            } else {
                format!("{relative}/{name}")
            };
            // The kind of the entry itself: links are not followed on somebody else's volume.
            let kind = child.file_type().map_err(unreadable)?;
            if kind.is_dir() && depth < MAX_DEPTH {
                waiting.push((path, depth + 1));
            } else if kind.is_file() {
                let mut reader = File::open(source.join(&path)).map_err(unreadable)?;
                staging.add(&path, &mut reader)?;
            } else {
                return Err(invalid(&format!(
                    "{path} is a link, a special file or nested too deep"
                )));
            }
        }
    }
    Ok(())
}
