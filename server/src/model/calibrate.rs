//! Which buckets are worth it: measured once after load, smallest first.
//!
//! Called by `keeper` on a thread of low priority, when requests are served already, and before by nobody: until then
//! rows run one at a time. Convolutions are slower in batches than in a loop, multi-layer perceptrons ten times faster.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use aimass_protocol::Tensor;

use super::{Model, probe};
use crate::batch::{Bucket, Costs, WORTH};
use crate::engine::Shapes;

/// The most time that all measurements together may take.
const BUDGET: Duration = Duration::from_secs(1);
/// Buckets in a row that are not worth it, after which no larger one is tried.
const GIVE_UP_AFTER: usize = 2;
/// A measurement shorter than this is repeated: the clock's own cost would show.
const SHORTEST: Duration = Duration::from_micros(200);
/// How often at most.
const MOST_REPEATS: u32 = 32;

/// Runs some work and says how long the processor worked on it.
pub type Timed<'a> = dyn Fn(&mut dyn FnMut()) -> Duration + 'a;

/// The buckets to measure: 1, 2, 4 … `largest`, or the allowed ones and 1.
pub fn sizes(largest: usize, allowed: &[usize]) -> Vec<usize> {
    let powers = std::iter::successors(Some(1_usize), |size| size.checked_mul(2));
    let mut sizes: Vec<usize> = powers.take_while(|size| *size < largest).collect();
    sizes.push(largest);
    if !allowed.is_empty() {
        sizes = allowed.to_vec();
        sizes.push(1);
    }
    sizes.retain(|size| (1..=largest).contains(size));
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

impl Model {
    /// Measures the buckets of `sizes`, which ascend from 1, and uses those that are worth it from now on.
    ///
    /// A bucket is proved before it is timed. What its time per row is not below [`WORTH`] of every smaller one's is not
    /// used, nor what comes after two of such, or after a second. Does nothing for a model whose rows cannot be told
    /// apart, and the second time.
    pub fn calibrate(&self, sizes: &[usize], timed: &Timed<'_>) {
        let Some(first_run) = self.first_run.get().filter(|_| self.separable) else {
            return;
        };
        if sizes.len() < 2 || self.costs.get().is_some() {
            return;
        }
        let mut survey = Survey::default();
        for rows in sizes {
            if survey.is_over() || self.rows_depend() {
                break;
            }
            let shapes = with_rows(first_run, *rows);
            let measured = self.measure(&shapes, *rows, timed, &mut survey.spent);
            if !survey.judge(*rows, measured) {
                self.engine.forget(&shapes);
            }
        }
        let Survey { used, one, .. } = survey;
        // Set once: there is one calibration for each model.
        let _first = self.costs.set(Costs::new(used, nanoseconds(one)));
        if self.rows_depend() {
            for rows in sizes.iter().filter(|rows| **rows > 1) {
                self.engine.forget(&with_rows(first_run, *rows));
            }
        }
    }

    /// Time of one run of `rows` rows, if it gives the right results.
    fn measure(
        &self,
        shapes: &Shapes,
        rows: usize,
        timed: &Timed<'_>,
        spent: &mut Duration,
    ) -> Option<Duration> {
        let mut ready = true;
        // Builds and runs the bucket for the first time, unless it has one row and was run at load.
        *spent += timed(&mut || ready = rows == 1 || self.proved_at(shapes.clone(), rows));
        let probes = probe::tensors(self.signature(), shapes, 1).filter(|_| ready)?;
        let mut run = |times: u32| {
            let mut succeeded = true;
            let took = timed(&mut || succeeded = self.runs(&probes, times));
            *spent += took;
            succeeded.then_some(took)
        };
        let once = run(1)?;
        let repeats = SHORTEST.as_nanos().checked_div(once.as_nanos());
        let repeats = repeats.map_or(MOST_REPEATS, |repeats| {
            u32::try_from(repeats).unwrap_or(MOST_REPEATS)
        });
        let repeats = repeats.clamp(1, MOST_REPEATS);
        let mut times = [run(repeats)?, run(repeats)?, run(repeats)?];
        times.sort_unstable();
        let [_, median, _] = times;
        Some(median / repeats)
    }

    fn runs(&self, probes: &[Tensor], times: u32) -> bool {
        let run = || (0..times).all(|_| self.engine.run(probes).is_ok());
        catch_unwind(AssertUnwindSafe(run)).unwrap_or(false)
    }
}

fn with_rows(shapes: &Shapes, rows: usize) -> Shapes {
    let mut shapes = shapes.clone();
    for first in shapes.iter_mut().filter_map(|shape| shape.first_mut()) {
        *first = rows;
    }
    shapes
}

/// What was found so far.
#[derive(Default)]
struct Survey {
    used: Vec<Bucket>,
    /// One run of one row.
    one: Duration,
    /// The best time per row so far, in nanoseconds.
    best: Option<f64>,
    unused: usize,
    spent: Duration,
}

impl Survey {
    fn is_over(&self) -> bool {
        self.unused >= GIVE_UP_AFTER || self.spent >= BUDGET
    }

    /// Whether a bucket is used from now on.
    fn judge(&mut self, rows: usize, measured: Option<Duration>) -> bool {
        let Some(took) = measured else {
            // Larger ones need more of what is missing.
            self.unused = GIVE_UP_AFTER;
            return rows == 1;
        };
        let per_row = took.as_secs_f64() * 1e9 / f64::from(u32::try_from(rows).unwrap_or(u32::MAX));
        let worth = self.best.is_none_or(|best| per_row <= WORTH * best);
        self.best = Some(self.best.map_or(per_row, |best| best.min(per_row)));
        if rows == 1 {
            self.one = took;
        } else if worth {
            self.used.push(Bucket {
                rows,
                nanoseconds: nanoseconds(took),
            });
        }
        self.unused = if worth { 0 } else { self.unused + 1 };
        worth
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
