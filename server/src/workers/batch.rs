//! One batch on one worker: gather, run, scatter; and if it fails, each of its requests once more alone.
//!
//! Called by `workers`. A panic of the engine is contained here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use aimass_protocol::Tensor;
use tokio::time::Instant;

use crate::engine::Failure;
use crate::metrics::{Bucket, Dropped};
use crate::model::{Model, Part, join, uneven};
use crate::queue::{Done, Ended, Job, Place, Way};
use crate::rows;
use crate::state::State;

/// What a run gave one of its requests.
struct Ran {
    result: Result<Vec<Tensor>, Ended>,
    /// Rows of the request that have run now.
    rows: usize,
    /// In the engine.
    took: Duration,
    /// Real rows of all requests in the batch.
    batch_rows: usize,
}

/// Runs `batch`, which is left empty.
pub(super) fn run(state: &State, batch: &mut Vec<(Place, Job)>) {
    let now = Instant::now();
    batch.retain_mut(|(_, job)| {
        let waited = now.saturating_duration_since(job.since);
        job.times.queued = job.times.queued.saturating_add(waited);
        is_wanted(state, job, now)
    });
    if batch.len() > 1 {
        let all = together(state, batch);
        for ((place, job), ran) in batch.drain(..).zip(all) {
            proceed(state, place, job, ran);
        }
    } else if let Some((place, job)) = batch.pop() {
        let ran = alone(state, &job);
        proceed(state, place, job, ran);
    }
}

/// Whether somebody still waits; else it is counted as dropped.
fn is_wanted(state: &State, job: &Job, now: Instant) -> bool {
    let reason = if job.is_late(now) {
        Dropped::DEADLINE
    } else if job.reply.is_closed() {
        Dropped::CANCELLED
    } else {
        return true;
    };
    state.metrics().dropped.get_or_create(&reason).inc();
    false
}

/// Runs the next rows of all jobs, which go with each other, as one batch.
fn together(state: &State, jobs: &[(Place, Job)]) -> Vec<Ran> {
    let parts: Vec<Part<'_>> = jobs.iter().map(|(_, job)| next_part(job)).collect();
    let total = parts.iter().map(|part| part.range.len()).sum();
    let singly = || -> Vec<Ran> { jobs.iter().map(|(_, job)| alone(state, job)).collect() };
    let Some((_, first)) = jobs.first() else {
        return Vec::new();
    };
    let model = &first.work.model;
    let buckets = model.costs().split(total);
    if !model.proved(&first.work.inputs, total, &buckets) {
        return singly();
    }
    let started = Instant::now();
    let run = || scatter(&model.run_together(&parts, &buckets)?, &parts);
    let result = catch_unwind(AssertUnwindSafe(run));
    let took = started.elapsed();
    if let Ok(Ok(outputs)) = result {
        note(state, model, (total, &buckets), took);
        let ran = |(part, outputs): (&Part<'_>, Vec<Tensor>)| Ran {
            result: Ok(outputs),
            rows: part.range.len(),
            took,
            batch_rows: total,
        };
        return parts.iter().zip(outputs).map(ran).collect();
    }
    // One bad request must not fail the others, and nobody knows which one it is.
    state.metrics().batch_retries.inc();
    let all = singly();
    let guilty = |ran: &Ran| ran.result == Err(Ended::Panicked);
    // The guilty have panicked again, and are counted by that; without any it was the batch itself.
    if result.is_err() && !all.iter().any(guilty) {
        state.engine_panicked(Instant::now());
    }
    all
}

/// Runs the next rows of one job, or all of them if they cannot be told apart.
fn alone(state: &State, job: &Job) -> Ran {
    let model = &job.work.model;
    let part = next_part(job);
    let buckets = match job.work.way {
        Way::Together => model.costs().split(part.range.len()),
        Way::Singly => vec![1],
        Way::Whole => Vec::new(),
    };
    let apart = !buckets.is_empty() && model.proved(&job.work.inputs, job.work.rows, &buckets);
    let rows = if apart {
        part.range.len()
    } else {
        job.work.rows
    };
    let run = || {
        if apart {
            let parts = std::slice::from_ref(&part);
            only(model.run_together(parts, &buckets)?, rows)
        } else {
            model.run_whole(&job.work.inputs)
        }
    };
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(run));
    let took = started.elapsed();
    let result = match result {
        Ok(result) => result.map_err(Ended::Refused),
        Err(_) => Err(Ended::Panicked),
    };
    match &result {
        Ok(_) if apart => note(state, model, (rows, &buckets), took),
        Ok(_) => note(state, model, (rows, &[rows]), took),
        Err(Ended::Refused(_)) => {}
        Err(Ended::Panicked) => state.engine_panicked(started),
    }
    Ran {
        result,
        rows,
        took,
        batch_rows: rows,
    }
}

fn next_part(job: &Job) -> Part<'_> {
    Part {
        inputs: &job.work.inputs,
        range: job.next_rows(),
    }
}

/// Each part's rows of the outputs. What comes after them is padding.
fn scatter(outputs: &[Tensor], parts: &[Part<'_>]) -> Result<Vec<Vec<Tensor>>, Failure> {
    let mut start = 0_usize;
    let rows_of = |part: &Part<'_>| {
        let range = start..start.saturating_add(part.range.len());
        start = range.end;
        let take = |output| rows::take(output, range.clone(), range.len()).ok_or_else(uneven);
        outputs.iter().map(take).collect()
    };
    parts.iter().map(rows_of).collect()
}

/// The outputs without padding.
fn only(outputs: Vec<Tensor>, rows: usize) -> Result<Vec<Tensor>, Failure> {
    if outputs
        .iter()
        .all(|output| output.shape().first() == Some(&rows))
    {
        return Ok(outputs);
    }
    let first = |output| rows::first(output, rows).ok_or_else(uneven);
    outputs.iter().map(first).collect()
}

/// Counts a run that succeeded.
fn note(state: &State, model: &Model, (rows, buckets): (usize, &[usize]), took: Duration) {
    let metrics = state.metrics();
    let bucket = buckets.first().copied().unwrap_or(rows);
    metrics
        .inference_duration
        .get_or_create(&Bucket::of(bucket))
        .observe(took.as_secs_f64());
    metrics.observe_batch(rows);
    metrics.show_memory(model.memory());
    state.queue().observe(rows, took, model.costs().gain(rows));
}

/// Tells the end of a job, or lets it wait for its next rows.
fn proceed(state: &State, place: Place, mut job: Job, ran: Ran) {
    job.times.ran = job.times.ran.saturating_add(ran.took);
    job.times.batch_rows = job.times.batch_rows.max(ran.batch_rows);
    let result = match ran.result {
        Err(ended) => Err(ended),
        Ok(outputs) if ran.rows >= job.work.rows => Ok(outputs),
        Ok(outputs) => {
            job.parts.push(outputs);
            job.done = job.done.saturating_add(ran.rows);
            if job.done < job.work.rows {
                if is_wanted(state, &job, Instant::now()) {
                    state.queue().give_back(place, job);
                }
                return;
            }
            join(std::mem::take(&mut job.parts)).map_err(Ended::Refused)
        }
    };
    let times = job.times;
    state
        .metrics()
        .queue_duration
        .observe(times.queued.as_secs_f64());
    // Nobody waits any more: the result is discarded.
    let _unheard = job.reply.send(Done { result, times });
}
