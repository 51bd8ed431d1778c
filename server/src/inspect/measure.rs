//! Times the engines of this binary on one model, and compares their answers.
//!
//! Called by `inspect.rs` on a thread with a large stack. Its time is bounded: what is not measured within it is left out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use aimass_protocol::{Dim, Signature, Tensor};
use tokio::time::Instant;

use super::compare::{Agreement, compare};
use crate::engine::{Engine, Failure, Material, Name, clock};
use crate::model::probe::{self, Free};

/// Rows of the runs that are timed.
pub(super) const ROWS: [usize; 4] = [1, 8, 32, 64];
/// Sizes tried for dimensions that are free; the first fits texts, the others what convolutions need at least.
const FREE_SIZES: [usize; 5] = [16, 64, 224, 576, 1];
/// Timed runs of one engine with one number of rows.
const MAX_RUNS: usize = 25;
/// Time for them.
const RUNS_TIME: Duration = Duration::from_millis(700);
/// Time from which on no further number of rows of an engine is begun.
const ENGINE_TIME: Duration = Duration::from_secs(6);

/// What one engine makes of the model.
pub(super) struct Measured {
    pub(super) engine: Name,
    /// Why it is out, in place of everything else.
    pub(super) refused: Option<String>,
    /// From the files in memory to the end of the first run.
    pub(super) load: Duration,
    /// As the engine estimates it, after all runs.
    pub(super) bytes: u64,
    /// By the rows of [`ROWS`]: the median of CPU time. Absent: not possible, or no time left.
    pub(super) times: Vec<(usize, Duration)>,
    /// Against the first engine that is not out; absent for that one.
    pub(super) agreement: Option<Agreement>,
}

/// Measures `engines`, one after the other. The first that is not out is the one that the others are compared with.
pub(super) fn measure(
    engines: &[Name],
    material: &Material<'_>,
    is_quantised: bool,
) -> Vec<Measured> {
    let mut subject = Subject {
        signature: material.signature,
        is_quantised,
        free: None,
        expected: None,
    };
    let each = engines.iter().map(|engine| {
        let measured = catch_unwind(AssertUnwindSafe(|| subject.on(*engine, material)));
        let failed = |text: String| Measured {
            engine: *engine,
            refused: Some(text),
            load: Duration::ZERO,
            bytes: 0,
            times: Vec::new(),
            agreement: None,
        };
        match measured {
            Ok(Ok(measured)) => measured,
            Ok(Err(failure)) => failed(failure.to_string()),
            Err(_) => failed("it panicked".to_owned()),
        }
    });
    each.collect()
}

struct Subject<'a> {
    signature: &'a Signature,
    is_quantised: bool,
    /// The size of free dimensions with which the first engine could run the model.
    free: Option<Free>,
    /// What that answered.
    expected: Option<Vec<Tensor>>,
}

impl Subject<'_> {
    fn on(&mut self, engine: Name, material: &Material<'_>) -> Result<Measured, Failure> {
        let begun = Instant::now();
        let loaded = engine.load(material)?;
        let (free, answer) = self.first_run(&*loaded)?;
        let load = begun.elapsed();
        let expected = self.expected.as_ref();
        let agreement = expected.map(|expected| compare(expected, &answer, self.is_quantised));
        self.free.get_or_insert(free);
        self.expected.get_or_insert(answer);
        let mut times = Vec::new();
        for rows in ROWS {
            if begun.elapsed() > ENGINE_TIME {
                break;
            }
            let shapes = probe::shapes(self.signature, rows, free);
            let Some(inputs) = probe::tensors(self.signature, &shapes, 1) else {
                break;
            };
            // Several rows are not every model's: that is no failure.
            match median(&*loaded, &inputs) {
                Ok(time) => times.push((rows, time)),
                Err(failure) if rows == 1 => return Err(failure),
                Err(_) => break,
            }
            if !takes_rows(self.signature) {
                break;
            }
        }
        Ok(Measured {
            engine,
            refused: None,
            load,
            bytes: loaded.memory().bytes,
            times,
            agreement,
        })
    }

    /// One row, with the size that the first engine could run, or with the first that this one can.
    fn first_run(&self, engine: &dyn Engine) -> Result<(Free, Vec<Tensor>), Failure> {
        let mut refused = None;
        let tries = match self.free {
            Some(free) => vec![(free, probe::shapes(self.signature, 1, free))],
            None => probe::tries(self.signature, &FREE_SIZES),
        };
        for (free, shapes) in tries {
            let Some(inputs) = probe::tensors(self.signature, &shapes, 1) else {
                continue;
            };
            match engine.run(&inputs) {
                Ok(answer) => return Ok((free, answer)),
                Err(failure) => {
                    refused.get_or_insert(failure);
                }
            }
        }
        Err(refused.unwrap_or_else(|| Failure::new("(inputs)", "shapes are too large")))
    }
}

/// The median CPU time of a run, after one that is not timed.
fn median(engine: &dyn Engine, inputs: &[Tensor]) -> Result<Duration, Failure> {
    engine.run(inputs)?;
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < MAX_RUNS && (times.is_empty() || begun.elapsed() < RUNS_TIME) {
        let before = clock::cpu_time();
        engine.run(inputs)?;
        times.push(clock::cpu_time().saturating_sub(before));
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// Whether every input's first dimension is free.
fn takes_rows(signature: &Signature) -> bool {
    let free = |dim: Option<&Dim>| matches!(dim, Some(Dim::Symbol(_) | Dim::Unknown));
    let shapes = signature.inputs().iter().map(|spec| spec.shape.as_deref());
    shapes
        .into_iter()
        .all(|shape| shape.is_none_or(|shape| free(shape.first())))
}
