//! A loaded model: its engine, its identity, and which of its requests' rows can be told apart.
//!
//! Made and warmed up on the loading thread, run on worker threads (`model/runs.rs`). Knows nothing of HTTP or queues.

mod calibrate;
pub(crate) mod probe;
mod proof;
mod runs;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use aimass_protocol::{Dim, Signature, Tensor};
use tokio::time::Instant;

use crate::batch::Costs;
use crate::engine::{Because, Engine, Failure, Memory, Shapes};
use crate::shapes::Advice;

pub use calibrate::{Timed, sizes};
pub use runs::Part;
pub(crate) use runs::{join, uneven};

/// Rows of the largest bucket, unless the user wants larger ones.
pub const LARGEST_BUCKET: usize = 64;
/// The version of a model that nobody numbers.
pub const FIRST_VERSION: i64 = 1;
/// Rows that one request may have.
pub const MAX_ROWS: usize = 65_536;
/// Sizes tried for a declared dimension that is free, when the model is run for the first time. The first fits texts,
/// the next ones what convolutions over pictures need at least, the last one those over sound.
const FREE_SIZES: [usize; 5] = [1, 16, 64, 224, 576];

/// A model that can be run.
pub struct Model {
    engine: Box<dyn Engine>,
    because: Because,
    digest: String,
    /// Names of its classes; empty if it has none beside it.
    labels: Vec<String>,
    /// Shapes that it was sent and does not declare.
    advice: Advice,
    version: i64,
    /// Whether dimension 0 of every input is free, and no other dimension means the same.
    separable: bool,
    /// What its buckets cost, once measured.
    costs: OnceLock<Costs>,
    /// The only bucket until then.
    single: Costs,
    /// The shapes of the first run, which had one row.
    first_run: OnceLock<Shapes>,
    /// Whether running such shapes gave the same rows as running them alone.
    proofs: Mutex<BTreeMap<Shapes, bool>>,
    /// One proof failed: rows of this model depend on each other, every request runs in exactly its shape.
    rows_depend: AtomicBool,
}

impl Model {
    /// A model whose files have `digest`, as version [`FIRST_VERSION`].
    pub fn new(engine: Box<dyn Engine>, digest: String) -> Self {
        let separable = separable(engine.signature());
        Self {
            engine,
            because: Because::Configured,
            digest,
            labels: Vec::new(),
            advice: Advice::default(),
            version: FIRST_VERSION,
            separable,
            costs: OnceLock::new(),
            single: Costs::single(),
            first_run: OnceLock::new(),
            proofs: Mutex::new(BTreeMap::new()),
            rows_depend: AtomicBool::new(false),
        }
    }

    /// The same with names for its classes.
    #[must_use]
    pub fn with_labels(self, labels: Vec<String>) -> Self {
        Self { labels, ..self }
    }

    /// Names of its classes, in the model's order: as many as there are scores, or none.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What is known about shapes that it does not declare.
    pub(crate) const fn advice(&self) -> &Advice {
        &self.advice
    }

    /// What made-up inputs of these shapes give; `None` if they are too large or the engine refuses them.
    pub(crate) fn try_shapes(&self, shapes: &Shapes) -> Option<Vec<Tensor>> {
        let probes = probe::tensors(self.signature(), shapes, 1)?;
        self.engine.run(&probes).ok()
    }

    /// The same model, with the reason why it runs on this engine.
    #[must_use]
    pub fn chosen(self, because: Because) -> Self {
        Self { because, ..self }
    }

    /// What the model takes and gives.
    pub fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    /// The same model as version `version`: what answers of it are marked with.
    #[must_use]
    pub fn numbered(self, version: i64) -> Self {
        Self { version, ..self }
    }

    /// The number under which it is served.
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// `sha256:…` of its files.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The engine's name.
    pub fn engine(&self) -> &'static str {
        self.engine.name()
    }

    /// Why it runs on that engine.
    pub fn because(&self) -> Because {
        self.because
    }

    /// What it holds at the moment.
    pub fn memory(&self) -> Memory {
        self.engine.memory()
    }

    /// Lets go of what was built for batches and has not been used since `since`.
    pub fn forget_unused(&self, since: Instant) {
        self.engine.forget_unused(since);
    }

    /// The buckets in use, and what they cost.
    pub fn costs(&self) -> &Costs {
        match self.costs.get() {
            Some(costs) if !self.rows_depend() => costs,
            _ => &self.single,
        }
    }

    /// The largest number of rows that run at once: 1 if rows depend on each other or cannot be told apart, if larger
    /// runs are not worth it, or as long as that is not known.
    pub fn max_rows_at_once(&self) -> usize {
        self.costs().largest()
    }

    /// Rows in the whole request, if rows are told apart by dimension 0 of every input.
    pub fn rows_of(&self, inputs: &[Tensor]) -> Option<usize> {
        if !self.separable {
            return None;
        }
        let mut rows = None;
        for input in inputs {
            let count = *input.shape().first()?;
            if *rows.get_or_insert(count) != count {
                return None;
            }
        }
        rows
    }

    /// Runs the model once with one row of made-up input: what works then is ready to serve.
    pub fn warm_up(&self) -> Result<(), Failure> {
        let mut first_failure = None;
        for (_, shapes) in probe::tries(self.signature(), &FREE_SIZES) {
            let Some(inputs) = probe::tensors(self.signature(), &shapes, 1) else {
                continue;
            };
            match self
                .engine
                .prepare(&shapes)
                .and_then(|()| self.engine.run(&inputs))
            {
                Ok(outputs) => {
                    self.check_outputs(&outputs)?;
                    self.first_run.get_or_init(|| shapes);
                    return Ok(());
                }
                Err(failure) => {
                    first_failure.get_or_insert(failure);
                }
            }
        }
        Err(first_failure.unwrap_or_else(|| Failure::new("(inputs)", "shapes are too large")))
    }

    fn check_outputs(&self, outputs: &[Tensor]) -> Result<(), Failure> {
        let declared = self.signature().outputs();
        if outputs.len() != declared.len() {
            let reason = format!(
                "gives {} outputs, declares {}",
                outputs.len(),
                declared.len()
            );
            return Err(Failure::new("(outputs)", reason));
        }
        Ok(())
    }

    fn proofs(&self) -> MutexGuard<'_, BTreeMap<Shapes, bool>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether dimension 0 of every input is free or unknown, and its symbol names no other dimension: else rows cannot be
/// added alone.
fn separable(signature: &Signature) -> bool {
    let shapes = || {
        let inputs = signature.inputs().iter();
        inputs.filter_map(|spec| spec.shape.as_deref())
    };
    let free = |shape: &[Dim]| matches!(shape.first(), Some(Dim::Symbol(_) | Dim::Unknown));
    let batch = |dim: &Dim| shapes().any(|shape| shape.first() == Some(dim));
    let elsewhere = shapes()
        .flat_map(|shape| shape.iter().skip(1))
        .any(|dim| matches!(dim, Dim::Symbol(_)) && batch(dim));
    shapes().all(free) && !elsewhere && !signature.inputs().is_empty()
}

#[cfg(test)]
mod tests;
