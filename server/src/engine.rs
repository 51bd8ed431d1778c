//! What the server needs of an inference engine: a few synchronous methods.
//!
//! Called by `model.rs` on worker threads and at load, never on an async thread. Only `engine/<name>.rs` names an
//! engine's crate; an engine knows nothing of HTTP, queues or files but the bytes it is given. Which there are:
//! [`name`]; which one a model gets: [`choose`].

pub mod choose;
pub mod clock;
mod external;
mod failure;
pub mod name;
#[cfg(feature = "ort")]
pub mod ort;
pub mod rten;
pub mod tract;

use std::path::{Path, PathBuf};

use aimass_protocol::{Signature, Tensor};
use tokio::time::Instant;

use crate::check::Features;

pub use choose::{Because, Choice};
pub use failure::{Failure, Kind};
pub use name::{Name, Wanted};

/// The shapes of one request's inputs, in graph order: what a plan is built for.
pub type Shapes = Vec<Vec<usize>>;

/// An engine with one model in it.
///
/// All methods may be called from several threads at once. They may panic: callers contain that.
pub trait Engine: Send + Sync {
    /// The engine's name in metadata and metrics.
    fn name(&self) -> &'static str;

    /// What the model takes and gives.
    fn signature(&self) -> &Signature;

    /// Builds what is needed to run inputs of exactly these shapes, unless it is there already.
    fn prepare(&self, shapes: &Shapes) -> Result<(), Failure>;

    /// Runs the model once. `inputs` are in graph order and of the declared types; the answer is in graph order too.
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure>;

    /// What model and plans hold at the moment, and how many plans there are.
    fn memory(&self) -> Memory;

    /// Lets go of what was built for inputs of exactly these shapes. Nothing, for an engine that builds nothing.
    fn forget(&self, _shapes: &Shapes) {}

    /// Lets go of what was built for more than one row and has not been used since `since`.
    fn forget_unused(&self, _since: Instant) {}
}

/// What an engine holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// An estimate, in bytes.
    pub bytes: u64,
    /// Plans built and kept.
    pub plans: usize,
}

/// A checked model, as an engine is given it.
pub struct Material<'a> {
    /// The model file.
    pub source: Source<'a>,
    /// The folder of the model file, where its external data lies.
    pub folder: &'a Path,
    /// The only names that external data may have, relative to `folder`.
    pub files: &'a [PathBuf],
    /// What the check read out of the graph.
    pub features: &'a Features,
    /// What the model takes and gives.
    pub signature: &'a Signature,
    /// How much the engine may hold.
    pub limits: Limits,
}

impl Material<'_> {
    /// The size of all files: what an engine holds of weights, as an estimate.
    pub fn weight_bytes(&self) -> u64 {
        let size = |file: &PathBuf| {
            std::fs::metadata(self.folder.join(file)).map_or(0, |metadata| metadata.len())
        };
        self.files.iter().map(size).sum()
    }
}

/// Where the model's bytes are. They have been checked before.
pub enum Source<'a> {
    /// In memory: what was hashed is what is parsed.
    Bytes(&'a [u8]),
    /// A file of a private copy, too large to hold twice.
    File(&'a Path),
}

/// How much an engine may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Plans kept, by engines that have them; the one unused for longest goes first.
    pub max_plans: usize,
    /// Bytes for plans beyond the model itself; `None` without a memory limit.
    pub budget_bytes: Option<u64>,
}

/// Which engine is wanted, and what engines are given.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By the user.
    pub wanted: Wanted,
    /// Plans that an engine keeps.
    pub max_plans: usize,
    /// Where onnxruntime's shared library is.
    #[cfg(feature = "ort")]
    pub onnxruntime: PathBuf,
}

impl Settings {
    /// For `wanted`, keeping `max_plans` plans; onnxruntime is looked for where the linker looks.
    pub fn of(wanted: Wanted, max_plans: usize) -> Self {
        Self {
            wanted,
            max_plans,
            #[cfg(feature = "ort")]
            onnxruntime: "libonnxruntime.so".into(),
        }
    }
}
