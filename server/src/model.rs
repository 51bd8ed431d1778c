//! A loaded model: its engine, its identity, and how the rows of a request become runs of the engine.
//!
//! Called on worker threads (`run`) and on the loading thread (`warm_up`). Knows nothing of HTTP or queues.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aimass_protocol::{Dim, Signature, Tensor};

use crate::engine::{Engine, Failure, Memory, Shapes};
use crate::rows;
use crate::shapes::Advice;

/// Rows of the largest plan; requests with more run in chunks of as many.
pub const LARGEST_BUCKET: usize = 64;
/// The version of a model that nobody numbers.
pub const FIRST_VERSION: i64 = 1;
/// Rows that one request may have.
pub const MAX_ROWS: usize = 65_536;
/// Sets of shapes whose padding was proved or disproved that are remembered.
const PROOFS: usize = 256;
/// Sizes tried for a declared dimension that is free, when the model is run for the first time. The first fits texts,
/// the others what convolutions need at least.
const FREE_SIZES: [usize; 4] = [1, 16, 64, 224];

/// A model that can be run.
pub struct Model {
    engine: Box<dyn Engine>,
    digest: String,
    /// Names of its classes; empty if it has none beside it.
    labels: Vec<String>,
    /// Shapes that it was sent and does not declare.
    advice: Advice,
    version: i64,
    /// Whether padding to these shapes gave the same rows as running them alone.
    proofs: Mutex<BTreeMap<Shapes, bool>>,
    /// One proof failed: rows of this model depend on each other, every request runs in exactly its shape.
    rows_depend: AtomicBool,
}

/// The result of one request.
#[derive(Debug)]
pub struct Ran {
    /// In graph order.
    pub outputs: Vec<Tensor>,
    /// Rows of the plan that was used, for metrics: a power of two, or the request's own number.
    pub bucket: usize,
}

/// Why a request has no result.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The engine refused it.
    Refused(Failure),
    /// Nobody waits for it any more.
    Abandoned,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl Model {
    /// A model whose files have `digest`, as version [`FIRST_VERSION`].
    pub fn new(engine: Box<dyn Engine>, digest: String) -> Self {
        Self {
            engine,
            digest,
            labels: Vec::new(),
            advice: Advice::default(),
            version: FIRST_VERSION,
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
        let probes = self.probes_of(shapes, 1)?;
        self.engine.run(&probes).ok()
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

    /// What it holds at the moment.
    pub fn memory(&self) -> Memory {
        self.engine.memory()
    }

    /// The largest number of rows that run at once: 1 if rows depend on each other or cannot be told apart.
    pub fn max_rows_at_once(&self) -> usize {
        let free = self.signature().inputs().iter().all(|spec| {
            spec.shape
                .as_deref()
                .is_none_or(|shape| matches!(shape.first(), Some(Dim::Symbol(_) | Dim::Unknown)))
        });
        if free && !self.rows_depend.load(Ordering::Relaxed) {
            LARGEST_BUCKET
        } else {
            1
        }
    }

    /// Runs the model once with one row of made-up input: what works then is ready to serve.
    pub fn warm_up(&self) -> Result<(), Failure> {
        let mut first_failure = None;
        for free in FREE_SIZES {
            let Some(inputs) = self.probes(1, free) else {
                continue;
            };
            let shapes = inputs.iter().map(|input| input.shape().to_vec()).collect();
            match self
                .engine
                .prepare(&shapes)
                .and_then(|()| self.engine.run(&inputs))
            {
                Ok(outputs) => return self.check_outputs(&outputs),
                Err(failure) => {
                    first_failure.get_or_insert(failure);
                }
            }
            // Without free dimensions the next size is the same again.
            if !self.has_free_sizes() {
                break;
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

    /// Runs a request whose inputs fit the signature. `abandoned` is asked between chunks.
    pub fn run(&self, inputs: &[Tensor], abandoned: &dyn Fn() -> bool) -> Result<Ran, Stopped> {
        let Some(rows) = self
            .rows_of(inputs)
            .filter(|_| !self.rows_depend.load(Ordering::Relaxed))
        else {
            return self.exactly(inputs);
        };
        let bucket = rows.max(1).next_power_of_two().min(LARGEST_BUCKET);
        if rows == bucket || !self.proved(inputs, bucket) {
            return self.exactly(inputs);
        }
        let mut parts = Vec::new();
        let mut done = 0;
        loop {
            let count = (rows - done).min(bucket);
            parts.push(self.padded(inputs, done, count, bucket)?);
            done += count;
            if done >= rows {
                break;
            }
            if abandoned() {
                return Err(Stopped::Abandoned);
            }
        }
        Ok(Ran {
            outputs: join_outputs(parts)?,
            bucket,
        })
    }

    /// Rows in the whole request, if rows are told apart by dimension 0 of every input.
    pub fn rows_of(&self, inputs: &[Tensor]) -> Option<usize> {
        let specs = self.signature().inputs();
        let mut rows = None;
        for (spec, input) in specs.iter().zip(inputs) {
            if let Some(declared) = &spec.shape
                && !matches!(declared.first(), Some(Dim::Symbol(_) | Dim::Unknown))
            {
                return None;
            }
            let count = *input.shape().first()?;
            if *rows.get_or_insert(count) != count {
                return None;
            }
        }
        rows.filter(|_| !batch_symbol_elsewhere(self.signature()))
    }

    fn exactly(&self, inputs: &[Tensor]) -> Result<Ran, Stopped> {
        let outputs = self.engine.run(inputs)?;
        let bucket = inputs
            .first()
            .and_then(|input| input.shape().first())
            .copied();
        Ok(Ran {
            outputs,
            bucket: bucket.unwrap_or(1),
        })
    }

    fn padded(
        &self,
        inputs: &[Tensor],
        start: usize,
        count: usize,
        bucket: usize,
    ) -> Result<Vec<Tensor>, Failure> {
        let padded: Option<Vec<Tensor>> = if count == 0 {
            // No rows at all: run one made-up row and keep none of it.
            let shapes = shapes_with_rows(inputs, bucket);
            self.probes_of(&shapes, 1)
        } else {
            inputs
                .iter()
                .map(|input| rows::take(input, start..start + count, bucket))
                .collect()
        };
        let padded = padded.ok_or_else(uneven)?;
        let outputs = self.engine.run(&padded)?;
        outputs
            .iter()
            .map(|output| rows::first(output, count).ok_or_else(uneven))
            .collect()
    }

    /// Whether `bucket` rows at once give what each row gives alone: tried once per set of shapes with made-up rows.
    fn proved(&self, inputs: &[Tensor], bucket: usize) -> bool {
        let shapes = shapes_with_rows(inputs, bucket);
        if let Some(proved) = self.proofs().get(&shapes) {
            return *proved;
        }
        let proved = self.prove(&shapes, bucket);
        if proved == Some(false) {
            self.rows_depend.store(true, Ordering::Relaxed);
        }
        let mut proofs = self.proofs();
        if proofs.len() >= PROOFS {
            proofs.clear();
        }
        proofs.insert(shapes, proved == Some(true));
        proved == Some(true)
    }

    /// `None` if the engine cannot run that bucket at all.
    fn prove(&self, shapes: &Shapes, bucket: usize) -> Option<bool> {
        let probes = self.probes_of(shapes, 1)?;
        let together = self.engine.run(&probes).ok()?;
        let same_rows = |output: &Tensor| output.shape().first() == Some(&bucket);
        if !together.iter().all(same_rows) {
            return Some(false);
        }
        // First, middle and last tell rows that are mixed up, merged or summed; all of 64 would delay the request.
        for row in [0, bucket / 2, bucket - 1] {
            let one = |tensor: &Tensor| rows::take(tensor, row..row + 1, 1);
            let alone: Vec<Tensor> = probes.iter().map(one).collect::<Option<_>>()?;
            let alone = self.engine.run(&alone).ok()?;
            let agree = together.iter().zip(&alone).all(|(together, alone)| {
                one(together).is_some_and(|together| rows::agree(&together, alone))
            });
            if !agree {
                return Some(false);
            }
        }
        Some(true)
    }

    fn probes(&self, rows: usize, free: usize) -> Option<Vec<Tensor>> {
        let size = |(position, dim): (usize, &Dim)| match dim {
            Dim::Fixed(size) => *size,
            Dim::Symbol(_) | Dim::Unknown if position == 0 => rows,
            Dim::Symbol(_) | Dim::Unknown => free,
        };
        let shape = |dims: &Option<Vec<Dim>>| match dims {
            Some(dims) => dims.iter().enumerate().map(size).collect(),
            None => vec![rows, free],
        };
        let specs = self.signature().inputs();
        let shapes: Shapes = specs.iter().map(|spec| shape(&spec.shape)).collect();
        self.probes_of(&shapes, 1)
    }

    fn probes_of(&self, shapes: &Shapes, seed: u32) -> Option<Vec<Tensor>> {
        let specs = self.signature().inputs();
        let probe = |(spec, shape): (&aimass_protocol::TensorSpec, &Vec<usize>)| {
            rows::probe(spec.datatype, shape, seed)
        };
        specs.iter().zip(shapes).map(probe).collect()
    }

    fn has_free_sizes(&self) -> bool {
        self.signature().inputs().iter().any(|spec| {
            let fixed = |dim: &Dim| matches!(dim, Dim::Fixed(_));
            spec.shape
                .as_ref()
                .is_none_or(|dims| !dims.iter().skip(1).all(fixed))
        })
    }

    fn proofs(&self) -> MutexGuard<'_, BTreeMap<Shapes, bool>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the symbol of a dimension 0 names another dimension too: then rows cannot be added alone.
fn batch_symbol_elsewhere(signature: &Signature) -> bool {
    let shapes = || {
        signature
            .inputs()
            .iter()
            .filter_map(|spec| spec.shape.as_deref())
    };
    let batch = |dim: &Dim| shapes().any(|shape| shape.first() == Some(dim));
    shapes()
        .flat_map(|shape| shape.iter().skip(1))
        .any(|dim| matches!(dim, Dim::Symbol(_)) && batch(dim))
}

fn shapes_with_rows(inputs: &[Tensor], rows: usize) -> Shapes {
    let with_rows = |input: &Tensor| {
        let mut shape = input.shape().to_vec();
        if let Some(first) = shape.first_mut() {
            *first = rows;
        }
        shape
    };
    inputs.iter().map(with_rows).collect()
}

fn join_outputs(parts: Vec<Vec<Tensor>>) -> Result<Vec<Tensor>, Failure> {
    let mut columns: Vec<Vec<Tensor>> = Vec::new();
    for part in parts {
        columns.resize_with(part.len().max(columns.len()), Vec::new);
        for (column, output) in columns.iter_mut().zip(part) {
            column.push(output);
        }
    }
    columns
        .into_iter()
        .map(|column| rows::join(column).ok_or_else(uneven))
        .collect()
}

fn uneven() -> Failure {
    Failure::new("(outputs)", "the number of rows changed between runs")
}

#[cfg(test)]
mod tests;
