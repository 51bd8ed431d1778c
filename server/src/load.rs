//! Makes a model out of files: copy, digest, check, choice of the engine, budget, engine, first run.
//!
//! Runs on a thread of its own with a large stack, because engines recurse over graphs; a panic there is a refusal of the
//! model, not the end of the process. Called by `loader.rs`, and by tests.

pub(crate) mod attempt;
mod gather;
pub(crate) mod named;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aimass_protocol::Signature;

use crate::check::{Features, Refusal, Surroundings, check, features};
use crate::config::Origin;
use crate::engine::choose::choose;
use crate::engine::{Limits, Material, Settings, Source};
use crate::fatal::{Fatal, Reason};
use crate::files::{self, Digest, Entry};
use crate::labels;
use crate::memory;
use crate::model::Model;

use gather::{Gathered, gather};

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
/// The files cannot be had or are not what they should be, or the engine refuses them or is not there.
pub fn load(origin: &Origin, engines: &Settings) -> Result<Model, Fatal> {
    attempt::available(engines)?;
    let checked = checked(origin)?;
    let choice = choose(engines.wanted, &checked.features, &checked.signature);
    tracing::info!(
        model.engine = choice.engine.as_str(),
        "the engine is chosen: {}",
        choice.because.sentence()
    );
    let Checked {
        digest,
        total_bytes: _, // told by `check_files`
        bytes,
        path,
        folder,
        files,
        features,
        signature,
        labels,
        budget_bytes,
    } = checked;
    // What is large is dropped before an engine reads it once more.
    let bytes = (bytes.len() as u64 <= IN_MEMORY_BYTES).then_some(bytes);
    let material = Material {
        source: match &bytes {
            Some(bytes) => Source::Bytes(bytes),
            None => Source::File(&path),
        },
        folder: &folder,
        files: &files,
        features: &features,
        signature: &signature,
        limits: Limits {
            max_plans: engines.max_plans,
            budget_bytes,
        },
    };
    let model = attempt::attempt(engines.wanted, choice, &material, &digest.to_string())?;
    Ok(model.with_labels(labels))
}

/// A model whose files are complete and whose graph has passed the check.
pub(crate) struct Checked {
    /// Of its files.
    pub(crate) digest: Digest,
    /// Of all files.
    pub(crate) total_bytes: u64,
    /// The model file.
    pub(crate) bytes: Vec<u8>,
    /// Where that is.
    pub(crate) path: PathBuf,
    /// The folder that external data is relative to.
    pub(crate) folder: PathBuf,
    /// The files there.
    pub(crate) files: Vec<PathBuf>,
    /// What the graph consists of.
    pub(crate) features: Features,
    /// What the model takes and gives.
    pub(crate) signature: Signature,
    /// Names of its classes; empty if there are none beside it.
    pub(crate) labels: Vec<String>,
    /// What the model may hold beyond its files; `None` without a memory limit.
    pub(crate) budget_bytes: Option<u64>,
}

/// Everything before an engine sees the model.
fn checked(origin: &Origin) -> Result<Checked, Fatal> {
    let (digest, gathered) = gather(origin)?;
    check_files(&origin.folder, origin.beside_bytes, digest, gathered)
}

/// `beside`: bytes of memory that another version holds meanwhile.
fn check_files(
    folder: &Path,
    beside: u64,
    digest: Digest,
    gathered: Gathered,
) -> Result<Checked, Fatal> {
    let Gathered {
        entries,
        model: entry,
        bytes,
        limit,
    } = gathered;
    let budget = limit.map(|limit| memory::budget_of(limit).saturating_sub(beside));
    let total = files::total(entries.iter().map(|entry| entry.size));
    let siblings = siblings(&entries, &entry.path);
    let surroundings = Surroundings {
        files: &siblings,
        budget_bytes: budget.unwrap_or(UNLIMITED_BYTES),
    };
    let refused = |refusal: Refusal| Fatal::new(Reason::ModelLoadFailed, refusal.to_string());
    let signature = check(&bytes, &surroundings).map_err(refused)?;
    let features = features(&bytes).map_err(refused)?;
    tracing::info!(
        model.file = entry.path,
        model.bytes = total,
        model.digest = %digest,
        "the model's files are complete and checked"
    );

    let labels = labels::beside(folder, &entries, &entry, &signature);
    let parent = Path::new(&entry.path).parent().unwrap_or(Path::new(""));
    Ok(Checked {
        digest,
        bytes,
        total_bytes: total,
        path: folder.join(&entry.path),
        folder: folder.join(parent),
        files: siblings.into_keys().map(PathBuf::from).collect(),
        features,
        signature,
        labels,
        budget_bytes: budget.map(|budget| budget - total.min(budget)),
    })
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
