//! The threads that run the engine.
//!
//! Started once by `run.rs` (and by tests). Engines compute for milliseconds, so they never run on async threads; the
//! threads are nicer than those, so that refusals are answered while all cores compute. A panic ends a run, not a thread.

mod batch;

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
    be_nice(NICENESS);
    let mut batch = Vec::new();
    loop {
        state.queue().take(&mut batch);
        batch::run(state, &mut batch);
    }
}

/// Lowers the priority of this thread.
pub(crate) fn be_nice(niceness: i32) {
    // Refused only by unusual sandboxes; then threads are merely equal.
    let thread = Some(rustix::thread::gettid());
    if let Err(error) = rustix::process::setpriority_process(thread, niceness) {
        tracing::debug!(%error, "a thread keeps the priority of all others");
    }
}
