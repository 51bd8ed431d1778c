//! What the server needs of an inference engine: a few synchronous methods.
//!
//! Called by `model.rs` on worker threads and at load, never on an async thread. Only `engine/<name>.rs` names an
//! engine's crate; an engine knows nothing of HTTP, queues or files but the bytes it is given.

pub mod tract;

use aimass_protocol::{Signature, Tensor};
use tokio::time::Instant;

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

/// The engine refuses a model or an input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node}: {reason}")]
pub struct Failure {
    /// The node of the graph, as the model names it.
    pub node: String,
    /// One sentence without paths.
    pub reason: String,
}

impl Failure {
    /// A failure at `node`.
    pub fn new(node: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            reason: reason.into(),
        }
    }
}
