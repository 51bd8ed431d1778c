//! Makes a model out of files: copy, digest, check, budget, engine, first run.
//!
//! Runs on a thread of its own with a large stack, because engines recurse over graphs; a panic there is a refusal of the
//! model, not the end of the process. Called by `loader.rs`, and by tests.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aimass_chassis::units::FlagBytes;

use crate::check::{Surroundings, check};
use crate::config::Origin;
use crate::engine::tract::{self, Source, Tract};
use crate::fatal::{Fatal, Reason};
use crate::files::{self, Digest, Entry};
use crate::labels;
use crate::memory;
use crate::model::Model;

/// Models up to this size are parsed from memory: what was hashed is what is parsed. Larger ones are mapped by the engine
/// instead of being held twice.
const IN_MEMORY_BYTES: u64 = 64 << 20;
/// Pause between two looks for a manifest.
const WAIT: Duration = Duration::from_millis(100);
/// What one constant may take where there is no memory limit.
const UNLIMITED_BYTES: u64 = 16 << 30;

/// Returns once the folder is there: at once, unless it is brought by `fetch`.
///
/// # Errors
/// The manifest cannot be read.
pub fn wait(origin: &Origin) -> Result<(), Fatal> {
    while origin.wait && files::manifest(&origin.folder)?.is_none() {
        std::thread::park_timeout(WAIT);
    }
    Ok(())
}

/// Loads the model and runs it once.
///
/// # Errors
/// The files cannot be had or are not what they should be, or the engine refuses them.
pub fn load(origin: &Origin, max_plans: usize) -> Result<Model, Fatal> {
    let (digest, entries) = gather(origin)?;
    let entry = files::model_file(&entries)?;
    let limit = memory::container_limit();
    let beside = origin.beside_bytes;
    let budget = limit.map(|limit| memory::budget_of(limit).saturating_sub(beside));
    let total = entries
        .iter()
        .fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
    within_limit(total, limit, beside)?;

    let bytes = files::read(&origin.folder, entry)?;
    for other in entries.iter().filter(|other| other.path != entry.path) {
        files::verify(&origin.folder, other)?;
    }
    let folder = origin
        .folder
        .join(Path::new(&entry.path).parent().unwrap_or(Path::new("")));
    let siblings = siblings(&entries, &entry.path);
    let surroundings = Surroundings {
        files: &siblings,
        budget_bytes: budget.unwrap_or(UNLIMITED_BYTES),
    };
    let signature = check(&bytes, &surroundings)
        .map_err(|refusal| Fatal::new(Reason::ModelLoadFailed, refusal.to_string()))?;
    tracing::info!(
        model.file = entry.path,
        model.bytes = total,
        model.digest = %digest,
        "the model's files are complete and checked"
    );

    let labels = labels::beside(&origin.folder, &entries, entry, &signature);
    let names = siblings.into_keys().map(PathBuf::from).collect();
    let limits = tract::Limits {
        max_plans,
        budget_bytes: budget.map(|budget| budget - total.min(budget)),
    };
    let path = origin.folder.join(&entry.path);
    contained(move || {
        let source = if bytes.len() as u64 > IN_MEMORY_BYTES {
            drop(bytes);
            SourceKind::File(path)
        } else {
            SourceKind::Bytes(bytes)
        };
        let engine = Tract::load(&source.borrow(), &folder, names, signature, limits)?;
        let model = Model::new(Box::new(engine), digest.to_string()).with_labels(labels);
        model.warm_up()?;
        Ok(model)
    })
}

enum SourceKind {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl SourceKind {
    fn borrow(&self) -> Source<'_> {
        match self {
            Self::Bytes(bytes) => Source::Bytes(bytes),
            Self::File(path) => Source::File(path),
        }
    }
}

/// Digest and files, after a copy was made. The digest is the expected one, if there is one.
fn gather(origin: &Origin) -> Result<(Digest, Vec<Entry>), Fatal> {
    let expected = origin.digest.as_ref();
    let limits = files::Limits::default();
    if let Some(source) = &origin.copy_from {
        let manifest = files::copy(source, &origin.folder, expected, limits)?;
        return Ok((manifest.digest, manifest.files));
    }
    if !origin.in_place
        && let Some(manifest) = files::manifest(&origin.folder)?
    {
        files::matches(&manifest.digest, expected)?;
        return Ok((manifest.digest, manifest.files));
    }
    let entries = files::list(&origin.folder, &limits)?;
    let folder = Digest::of_folder(&entries);
    // One file may be named by its own digest or by that of the folder with it.
    let digest = match entries.as_slice() {
        [entry] if expected.is_none_or(|expected| *expected != folder) => {
            Digest::of_hex(&entry.sha256)
        }
        _ => folder,
    };
    files::matches(&digest, expected)?;
    Ok((digest, entries))
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

/// Files in or below the model file's folder, by their path relative to it: where its external data may be.
fn siblings(entries: &[Entry], model: &str) -> BTreeMap<String, u64> {
    let folder = model.rsplit_once('/').map_or("", |(folder, _)| folder);
    let relative = |path: &str| match folder {
        "" => Some(path.to_owned()),
        folder => path
            .strip_prefix(folder)?
            .strip_prefix('/')
            .map(str::to_owned),
    };
    let sized = |entry: &Entry| Some((relative(&entry.path)?, entry.size));
    entries.iter().filter_map(sized).collect()
}

/// Runs the engine's part: its refusals and panics become the model's.
fn contained(load: impl FnOnce() -> Result<Model, crate::engine::Failure>) -> Result<Model, Fatal> {
    match catch_unwind(AssertUnwindSafe(load)) {
        Ok(result) => {
            result.map_err(|failure| Fatal::new(Reason::ModelLoadFailed, failure.to_string()))
        }
        // Its text went to the log by the panic hook; it may hold paths.
        Err(_) => Err(Fatal::new(
            Reason::ModelLoadFailed,
            "the engine panicked while it loaded the model; the log has the details",
        )),
    }
}
