//! The thread that loads the model, and loads it anew after its engine was quarantined.
//!
//! Started by `run.rs`. The first failure is the process's end; a later one is tried again, because what was served
//! before may be served once more.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::Origin;
use crate::fatal::Fatal;
use crate::load::{load, wait};
use crate::state::{Slot, State};

/// Stack of the thread: engines recurse over graphs.
const STACK_BYTES: usize = 64 << 20;
/// The longest pause before a model is loaded anew.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// A model that served for so long after a reload starts again with the shortest pause.
const FORGET: Duration = Duration::from_secs(600);

/// Starts the thread. What comes back is the failure of the first load, if it fails.
///
/// # Errors
/// The system gives no thread.
pub fn start(
    origin: Origin,
    max_plans: usize,
    state: State,
    reload: mpsc::Receiver<()>,
) -> std::io::Result<oneshot::Receiver<Fatal>> {
    let (failed, failure) = oneshot::channel();
    std::thread::Builder::new()
        .name("loader".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            if let Err(fatal) = load_into(&origin, max_plans, &state) {
                // The receiver is gone only when the process is ending anyway.
                let _unheard = failed.send(fatal);
                return;
            }
            // Kept, so that the receiver does not mistake its end for a failure.
            let _serving = failed;
            reload_for_ever(&origin, max_plans, &state, &reload);
        })?;
    Ok(failure)
}

fn reload_for_ever(origin: &Origin, max_plans: usize, state: &State, reload: &mpsc::Receiver<()>) {
    let mut pause = Duration::from_secs(1);
    let mut last = Instant::now();
    while reload.recv().is_ok() {
        if last.elapsed() > FORGET {
            pause = Duration::from_secs(1);
        }
        loop {
            std::thread::park_timeout(pause);
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
            match load_into(origin, max_plans, state) {
                Ok(()) => break,
                Err(fatal) => tracing::error!(error = %fatal, "failed to load the model anew"),
            }
        }
        last = Instant::now();
    }
}

fn load_into(origin: &Origin, max_plans: usize, state: &State) -> Result<(), Fatal> {
    wait(origin)?;
    let started = Instant::now();
    let model = load(origin, max_plans)?;
    let took = started.elapsed();
    state.metrics().model_load_duration.set(took.as_secs_f64());
    state.metrics().show_plans(model.memory().plans);
    let settings = state.settings();
    state.metrics().show_model(&vec![
        ("model", settings.model_name.clone()),
        ("version", settings.model_version.to_string()),
        ("digest", model.digest().to_owned()),
        ("revision", settings.revision.clone().unwrap_or_default()),
        ("engine", model.engine().to_owned()),
    ]);
    tracing::info!(
        model.name = state.settings().model_name,
        model.version = state.settings().model_version,
        model.digest = model.digest(),
        model.engine = model.engine(),
        model.bytes = model.memory().bytes,
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "the model is loaded and has run"
    );
    state.set_slot(Slot::Ready(model.into()));
    Ok(())
}
