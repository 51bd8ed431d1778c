//! The threads that run the engine.
//!
//! Started once by `run.rs` (and by tests). Engines compute for milliseconds, so they never run on async threads; the
//! threads are nicer than those, so that refusals are answered while all cores compute. A panic ends a job, not a thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::{Bucket, Dropped, Metrics};
use crate::model::Stopped;
use crate::queue::{Done, Ended, Job};
use crate::state::State;

/// Stack of a worker: engines recurse over graphs.
const STACK_BYTES: usize = 16 << 20;
/// Above the async threads', see above.
const NICENESS: i32 = 5;

/// Starts `count` threads. They live as long as the process.
///
/// # Errors
/// The system gives no thread.
pub fn start(count: usize, state: &State) -> std::io::Result<()> {
    for index in 0..count {
        let state = state.clone();
        std::thread::Builder::new()
            .name(format!("engine-{index}"))
            .stack_size(STACK_BYTES)
            .spawn(move || work(&state))?;
    }
    Ok(())
}

fn work(state: &State) {
    // Refused only by unusual sandboxes; then threads are merely equal.
    let thread = Some(rustix::thread::gettid());
    if let Err(error) = rustix::process::setpriority_process(thread, NICENESS) {
        tracing::debug!(%error, "the engine threads keep the priority of all others");
    }
    loop {
        let job = state.queue().pop();
        run(state, job);
    }
}

fn run(state: &State, job: Job) {
    let metrics: &Arc<Metrics> = state.metrics();
    let started = Instant::now();
    let queued = started.saturating_duration_since(job.since);
    if let Some(reason) = dropped(&job, started) {
        metrics.dropped.get_or_create(&reason).inc();
        return;
    }
    let abandoned = || job.reply.is_closed() || Instant::now() >= job.deadline;
    let result = catch_unwind(AssertUnwindSafe(|| job.model.run(&job.inputs, &abandoned)));
    let ran = started.elapsed();
    let result = match result {
        Ok(result) => result.map_err(Ended::Stopped),
        Err(_) => Err(Ended::Panicked),
    };
    match &result {
        Ok(done) => {
            state.queue().observe(job.rows, ran);
            let seconds = ran.as_secs_f64();
            metrics
                .inference_duration
                .get_or_create(&Bucket::of(done.bucket))
                .observe(seconds);
            metrics.show_plans(job.model.memory().plans);
        }
        Err(Ended::Stopped(Stopped::Abandoned)) => {
            metrics.dropped.get_or_create(&Dropped::DEADLINE).inc();
        }
        Err(Ended::Stopped(Stopped::Refused(_))) => {}
        Err(Ended::Panicked) => state.engine_panicked(started),
    }
    metrics.queue_duration.observe(queued.as_secs_f64());
    // Nobody waits any more: the result is discarded.
    let _unheard = job.reply.send(Done {
        result,
        queued,
        ran,
    });
}

fn dropped(job: &Job, now: Instant) -> Option<Dropped> {
    if job.reply.is_closed() {
        Some(Dropped::CANCELLED)
    } else if job.deadline.saturating_duration_since(now) == Duration::ZERO {
        Some(Dropped::DEADLINE)
    } else {
        None
    }
}
