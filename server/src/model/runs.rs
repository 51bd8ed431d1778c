//! How rows become runs of the engine.
//!
//! Called by `workers`, which contain panics. What is run together must have been proved (`model/proof.rs`).

use std::ops::Range;

use aimass_protocol::Tensor;

use super::proof::shapes_with_rows;
use super::{Model, probe};
use crate::engine::Failure;
use crate::rows;

/// Rows of one request that take part in a batch.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// All inputs of the request, in graph order.
    pub inputs: &'a [Tensor],
    /// Which of its rows; not empty.
    pub range: Range<usize>,
}

impl Model {
    /// Runs the rows of all parts in runs of `buckets` rows, of which the last is padded.
    ///
    /// The outputs have the rows of all parts in order, and after them perhaps those of the padding.
    pub fn run_together(
        &self,
        parts: &[Part<'_>],
        buckets: &[usize],
    ) -> Result<Vec<Tensor>, Failure> {
        if let ([part], [bucket]) = (parts, buckets)
            && part.range.len() == *bucket
            && self.rows_of(part.inputs) == Some(*bucket)
        {
            return self.engine.run(part.inputs);
        }
        let total: usize = parts.iter().map(|part| part.range.len()).sum();
        if let [bucket] = buckets {
            return self.engine.run(&self.gather(parts, total.max(*bucket))?);
        }
        let all = self.gather(parts, total)?;
        let mut runs = Vec::with_capacity(buckets.len());
        let mut start = 0_usize;
        for bucket in buckets {
            let end = start.saturating_add(*bucket).min(total);
            let take = |input| rows::take(input, start..end, *bucket).ok_or_else(uneven);
            let inputs: Vec<Tensor> = all.iter().map(take).collect::<Result<_, _>>()?;
            runs.push(self.engine.run(&inputs)?);
            start = end;
        }
        join(runs)
    }

    /// Runs a request in exactly its shape.
    pub fn run_whole(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        if self.rows_of(inputs) != Some(0) || self.rows_depend() {
            return self.engine.run(inputs);
        }
        // No rows at all: run one made-up row and keep none of it.
        let probes = probe::tensors(self.signature(), &shapes_with_rows(inputs, 1), 1);
        let outputs = self.engine.run(&probes.ok_or_else(uneven)?)?;
        let none = |output| rows::first(output, 0).ok_or_else(uneven);
        outputs.iter().map(none).collect()
    }

    /// Each input's rows of all parts, padded to `total`.
    fn gather(&self, parts: &[Part<'_>], total: usize) -> Result<Vec<Tensor>, Failure> {
        let count = self.signature().inputs().len();
        if parts.iter().any(|part| part.inputs.len() != count) {
            return Err(uneven());
        }
        let gather = |index: usize| {
            let parts = parts
                .iter()
                .filter_map(move |part| Some((part.inputs.get(index)?, part.range.clone())));
            rows::gather(parts, total).ok_or_else(uneven)
        };
        (0..count).map(gather).collect()
    }
}

/// The outputs of runs after each other as those of one.
pub(crate) fn join(runs: Vec<Vec<Tensor>>) -> Result<Vec<Tensor>, Failure> {
    let mut columns: Vec<Vec<Tensor>> = Vec::new();
    for run in runs {
        columns.resize_with(run.len().max(columns.len()), Vec::new);
        for (column, output) in columns.iter_mut().zip(run) {
            column.push(output);
        }
    }
    columns
        .into_iter()
        .map(|column| rows::join(column).ok_or_else(uneven))
        .collect()
}

pub(crate) fn uneven() -> Failure {
    Failure::new("(outputs)", "the number of rows changed between runs")
}
