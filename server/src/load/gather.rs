//! The files of a model, complete and as they should be: which there are, what they hash to, and the model file's bytes.
//!
//! Called by `load.rs` and `named.rs`. Each file is read once; nothing is read of a model that would not fit into the memory.

use std::path::Path;

use aimass_chassis::units::FlagBytes;

use crate::config::Origin;
use crate::fatal::{Fatal, Reason};
use crate::files::{self, Digest, Entry, Found, Limits};
use crate::memory;

/// Files that have been read and hashed.
pub(super) struct Gathered {
    /// In order of their paths.
    pub(super) entries: Vec<Entry>,
    /// Which of them is the model.
    pub(super) model: Entry,
    /// The model's bytes, as they were hashed.
    pub(super) bytes: Vec<u8>,
    /// The memory limit, if there is one.
    pub(super) limit: Option<u64>,
}

/// The files and their digest, which is the expected one if one is. Makes the copy first, if one is to be made.
pub(super) fn gather(origin: &Origin) -> Result<(Digest, Gathered), Fatal> {
    let expected = origin.digest.as_ref();
    let limits = Limits::default();
    let copied = if let Some(source) = &origin.copy_from {
        Some(files::copy(source, &origin.folder, expected, limits)?)
    } else if origin.in_place {
        None
    } else {
        files::manifest(&origin.folder)?
    };
    let Some(manifest) = copied else {
        let found = files::list(&origin.folder, &limits)?;
        let gathered = read(&origin.folder, &found, origin.beside_bytes)?;
        let digest = digest(&gathered.entries, expected);
        files::matches(&digest, expected)?;
        return Ok((digest, gathered));
    };
    files::matches(&manifest.digest, expected)?;
    let found: Vec<Found> = manifest.files.iter().map(Entry::found).collect();
    let gathered = read(&origin.folder, &found, origin.beside_bytes)?;
    files::unchanged(&manifest.files, &gathered.entries)?;
    // That of an archive is not that of the files in it.
    Ok((manifest.digest, gathered))
}

/// Reads and hashes the files; `beside`: bytes of memory that another version holds meanwhile.
pub(super) fn read(folder: &Path, found: &[Found], beside: u64) -> Result<Gathered, Fatal> {
    let limit = memory::container_limit();
    let total = files::total(found.iter().map(|file| file.size));
    within_limit(total, limit, beside)?;
    let model = files::model_file(found)?;
    let (model, bytes) = files::take(folder, model)?;
    let entry = |file: &Found| {
        if file.path == model.path {
            Ok(model.clone())
        } else {
            files::entry(folder, &file.path)
        }
    };
    let entries = found.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    Ok(Gathered {
        entries,
        model,
        bytes,
        limit,
    })
}

/// One file is named by its own digest, or by that of the folder with it if that is expected.
pub(super) fn digest(entries: &[Entry], expected: Option<&Digest>) -> Digest {
    let folder = Digest::of_folder(entries);
    match entries {
        [entry] if expected.is_none_or(|expected| *expected != folder) => {
            Digest::of_hex(&entry.sha256)
        }
        _ => folder,
    }
}

/// Refuses files that cannot fit: a loaded model takes a fifth more than its file at least.
fn within_limit(total: u64, limit: Option<u64>, beside: u64) -> Result<(), Fatal> {
    let needed = total.saturating_add(total / 5).saturating_add(beside);
    match limit {
        Some(limit) if needed > memory::budget_of(limit) => {
            let limit = FlagBytes(limit);
            let company = if beside > 0 {
                " beside the version that is served"
            } else {
                ""
            };
            let text = format!(
                "the model's files are {total} bytes and do not fit into the memory limit of {limit}{company}: raise \
                 spec.runtime.resources.limits.memory to at least {}",
                FlagBytes(memory::limit_for(needed))
            );
            Err(Fatal::new(Reason::OutOfMemory, text))
        }
        _ => Ok(()),
    }
}
