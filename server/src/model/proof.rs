//! Whether rows that are run together give what each gives alone: tried with made-up rows, once per bucket and shapes.
//!
//! Called by workers before the first batch of its kind, and by the calibration at load.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use aimass_protocol::Tensor;

use super::{Model, probe};
use crate::engine::Shapes;
use crate::rows;

/// Sets of shapes whose proof is remembered.
const PROOFS: usize = 256;

impl Model {
    /// Whether `rows` rows like those of `inputs` may be run in runs of `buckets` rows.
    ///
    /// A single row in a run of its own needs no proof: it is what a proof compares with.
    pub fn proved(&self, inputs: &[Tensor], rows: usize, buckets: &[usize]) -> bool {
        if rows <= 1 && matches!(buckets, [1]) {
            return true;
        }
        let mut last = 0;
        buckets.iter().all(|bucket| {
            // Rows that may run in pairs may also run one by one.
            let bucket = (*bucket).max(2);
            let known = bucket == last;
            last = bucket;
            known || self.proved_at(shapes_with_rows(inputs, bucket), bucket)
        })
    }

    /// Whether one proof failed: rows of this model depend on each other, every request runs in exactly its shape.
    pub fn rows_depend(&self) -> bool {
        self.rows_depend.load(Ordering::Relaxed)
    }

    pub(super) fn proved_at(&self, shapes: Shapes, bucket: usize) -> bool {
        if self.rows_depend() {
            return false;
        }
        if let Some(proved) = self.proofs().get(&shapes) {
            return *proved;
        }
        // A panic is a bucket that the engine cannot run; the log has it by the panic hook.
        let proved = catch_unwind(AssertUnwindSafe(|| self.prove(&shapes, bucket)));
        let proved = proved.ok().flatten();
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
        let probes = probe::tensors(self.signature(), shapes, 1)?;
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
}

/// The shapes of `inputs` with another number of rows.
pub(super) fn shapes_with_rows(inputs: &[Tensor], rows: usize) -> Shapes {
    let with_rows = |input: &Tensor| {
        let mut shape = input.shape().to_vec();
        if let Some(first) = shape.first_mut() {
            *first = rows;
        }
        shape
    };
    inputs.iter().map(with_rows).collect()
}
