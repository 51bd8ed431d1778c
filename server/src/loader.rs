//! The thread that loads the model: one folder once, and anew after its engine was quarantined; or the versions of a base
//! path, as they come and go.
//!
//! Started by `run.rs`. The failure that leaves nothing to serve at the start is the process's end; a later one is tried
//! again, because what was served before may be served once more.

pub mod follow;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::{Origin, Source};
use crate::engine::Settings;
use crate::fatal::Fatal;
use crate::keeper;
use crate::load::{load, wait};
use crate::model::{FIRST_VERSION, Model};
use crate::state::{Slot, State};

/// Stack of the thread: engines recurse over graphs.
const STACK_BYTES: usize = 64 << 20;
/// The shortest pause before a model is loaded anew.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// A model that served for so long after a reload starts again with the shortest pause.
const FORGET: Duration = Duration::from_secs(600);

/// Starts the thread. What comes back is the failure that leaves nothing to serve, if the start ends so.
///
/// # Errors
/// The system gives no thread.
pub fn start(
    source: Source,
    engines: Settings,
    state: State,
    reload: mpsc::Receiver<()>,
) -> std::io::Result<oneshot::Receiver<Fatal>> {
    let (failed, failure) = oneshot::channel();
    std::thread::Builder::new()
        .name("loader".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let result = match &source {
                Source::Folder(origin) => serve_folder(origin, &engines, &state, &reload),
                Source::Versions(versions) => {
                    let load = |folder: &Path, beside_bytes| {
                        let origin = Origin {
                            in_place: true,
                            beside_bytes,
                            ..Origin::of(folder)
                        };
                        load(&origin, &engines)
                    };
                    follow::follow(versions, &load, &state, &reload)
                }
            };
            if let Err(fatal) = result {
                // The receiver is gone only when the process is ending anyway.
                let _unheard = failed.send(fatal);
            }
        })?;
    Ok(failure)
}

fn serve_folder(
    origin: &Origin,
    engines: &Settings,
    state: &State,
    reload: &mpsc::Receiver<()>,
) -> Result<(), Fatal> {
    load_into(origin, engines, state)?;
    let mut pause = MIN_PAUSE;
    let mut last = Instant::now();
    while reload.recv().is_ok() {
        if last.elapsed() > FORGET {
            pause = MIN_PAUSE;
        }
        loop {
            std::thread::park_timeout(pause);
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
            match load_into(origin, engines, state) {
                Ok(()) => break,
                Err(fatal) => tracing::error!(error = %fatal, "failed to load the model anew"),
            }
        }
        last = Instant::now();
    }
    Ok(())
}

fn load_into(origin: &Origin, engines: &Settings, state: &State) -> Result<(), Fatal> {
    wait(origin)?;
    let started = Instant::now();
    let model = load(origin, engines)?;
    let version = state.settings().model_version.unwrap_or(FIRST_VERSION);
    serve(model.numbered(version), started.elapsed(), state);
    Ok(())
}

/// The model answers from now on; it took so long to load.
fn serve(model: Model, took: Duration, state: &State) {
    state.metrics().model_load_duration.set(took.as_secs_f64());
    state.metrics().show_memory(model.memory());
    let settings = state.settings();
    state.metrics().show_model(&vec![
        ("model", settings.model_name.clone()),
        ("version", model.version().to_string()),
        ("digest", model.digest().to_owned()),
        ("revision", settings.revision.clone().unwrap_or_default()),
        ("engine", model.engine().to_owned()),
        ("engine_reason", model.because().word().to_owned()),
    ]);
    tracing::info!(
        model.name = settings.model_name,
        model.version = model.version(),
        model.digest = model.digest(),
        model.engine = model.engine(),
        model.engine_reason = model.because().sentence(),
        model.bytes = model.memory().bytes,
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "the model is loaded and has run"
    );
    let model = Arc::new(model);
    state.set_slot(Slot::Ready(Arc::clone(&model)));
    // Without batches it serves as well.
    if let Err(error) = keeper::start(&model, state) {
        tracing::warn!(%error, "no thread to measure batches: rows run one by one");
    }
}
