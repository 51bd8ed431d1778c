//! The thread beside each loaded model: measures its batches once, then lets go of what is not used any more.
//!
//! Started by `loader` when the model answers already, so that a cold start never waits for it; of low priority. Ends
//! with the model.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::clock::cpu_time;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::state::State;
use crate::workers::be_nice;

/// Stack of the thread: engines recurse over graphs when they build plans.
const STACK_BYTES: usize = 64 << 20;
/// Below the engine's threads.
const NICENESS: i32 = 10;
/// Between two looks for plans that are not used.
const PAUSE: Duration = Duration::from_secs(60);
/// A plan unused for so long is dropped.
const IDLE: Duration = Duration::from_secs(600);

/// Starts the thread for `model`.
///
/// # Errors
/// The system gives no thread.
pub fn start(model: &Arc<Model>, state: &State) -> std::io::Result<()> {
    let (model, sizes) = (Arc::downgrade(model), state.settings().batching.sizes());
    let metrics = Arc::clone(state.metrics());
    std::thread::Builder::new()
        .name("keeper".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            be_nice(NICENESS);
            measure(&model, &sizes, &metrics);
            keep(&model, &metrics);
        })
        .map(drop)
}

fn measure(model: &Weak<Model>, sizes: &[usize], metrics: &Metrics) {
    let Some(model) = model.upgrade() else {
        return;
    };
    let started = Instant::now();
    // Runs of the engine are contained one by one; this is for what builds.
    let calibrate = || model.calibrate(sizes, &processor_time);
    if catch_unwind(AssertUnwindSafe(calibrate)).is_err() {
        tracing::warn!("the engine panicked while batches were measured: rows run one by one");
    }
    metrics.show_memory(model.memory());
    let buckets: Vec<usize> = model.costs().sizes().collect();
    tracing::info!(
        model.buckets = ?buckets,
        duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "the model's batches are measured"
    );
}

fn keep(model: &Weak<Model>, metrics: &Metrics) {
    loop {
        std::thread::park_timeout(PAUSE);
        let Some(model) = model.upgrade() else {
            return;
        };
        if let Some(since) = Instant::now().checked_sub(IDLE) {
            model.forget_unused(since);
        }
        metrics.show_memory(model.memory());
    }
}

/// How long this thread, or an engine in its place, computed for `work`: neighbours and throttling do not count.
fn processor_time(work: &mut dyn FnMut()) -> Duration {
    let before = cpu_time();
    work();
    cpu_time().saturating_sub(before)
}
