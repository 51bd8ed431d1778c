//! Declared shapes as advice: what TensorFlow Serving's callers may send although the model declares another shape.
//!
//! Called by `routes::infer` for `/v1` under lenient checks, before a request whose shapes do not fit is queued. The model
//! is tried once with made-up rows of the shapes that were sent; what runs and keeps its rows apart is let through.
//! Engines recurse and may take long: a try has a thread of its own, one at a time, and little time.

mod class;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aimass_protocol::{Error, Tensor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout};

use crate::engine::Shapes;
use crate::model::Model;
use class::{Class, Known};

/// What a class of shapes may take to be built and tried; more is what a caller would wait for in vain.
const TRY: Duration = Duration::from_secs(2);
/// Stack of the thread: engines recurse over graphs. As the workers'.
const STACK_BYTES: usize = 16 << 20;

/// What is known about the shapes that a model was sent and does not declare. Part of the model.
pub struct Advice {
    known: Mutex<Known>,
    /// One try at a time.
    trying: Arc<Semaphore>,
}

impl Default for Advice {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            trying: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Advice {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shapes that do not fit and were let through: to be held against what comes out.
pub struct Advised {
    misfit: Error,
    class: Class,
    sent: Shapes,
}

/// Why shapes that do not fit are not let through.
pub enum Refused {
    /// The model cannot run them: the error that says so.
    Misfit(Error),
    /// Others are being tried; later it may work.
    Busy,
}

/// Lets `inputs`, which do not fit for the reason `misfit`, through if the model can run them.
///
/// # Errors
/// See [`Refused`]. Takes at most four seconds.
pub async fn advise(
    model: &Arc<Model>,
    inputs: &[Tensor],
    misfit: Error,
) -> Result<Advised, Refused> {
    let sent: Shapes = inputs.iter().map(|input| input.shape().to_vec()).collect();
    let class = Class::of(model.signature(), &sent);
    let known = model.advice().known().look(&class);
    let runs = match known {
        Some(runs) => runs,
        None => find_out(model, &class).await.ok_or(Refused::Busy)?,
    };
    if runs {
        Ok(Advised {
            misfit,
            class,
            sent,
        })
    } else {
        Err(Refused::Misfit(misfit))
    }
}

impl Advised {
    /// The last condition: what the made-up rows kept, the rows that were sent keep too.
    ///
    /// # Errors
    /// The shapes do not fit after all, and will not be tried again.
    pub fn check(self, model: &Model, outputs: &[Tensor]) -> Result<(), Error> {
        if class::keeps_rows(model.signature(), &self.sent, outputs) {
            return Ok(());
        }
        model.advice().known().learn(self.class, false);
        Err(self.misfit)
    }
}

/// Whether the model runs `class`; `None` if it could not be tried in time because others are.
async fn find_out(model: &Arc<Model>, class: &Class) -> Option<bool> {
    let trying = Arc::clone(&model.advice().trying).acquire_owned();
    let permit = timeout(TRY, trying).await.ok()?.ok()?;
    // Whoever had the permit before may have tried the same.
    let known = model.advice().known().look(class);
    if known.is_some() {
        return known;
    }
    let tried = start(Arc::clone(model), class.clone(), permit)?;
    if let Ok(Ok(runs)) = timeout(TRY, tried).await {
        return Some(runs);
    }
    // The thread goes on and keeps its permit; nobody waits for this class again.
    model.advice().known().learn(class.clone(), false);
    Some(false)
}

/// Starts the try; what it finds is remembered even if nobody waits any more. `None` if the system gives no thread.
fn start(
    model: Arc<Model>,
    class: Class,
    permit: OwnedSemaphorePermit,
) -> Option<oneshot::Receiver<bool>> {
    let (done, tried) = oneshot::channel();
    let started = Instant::now();
    let work = move || {
        let _permit = permit;
        let runs = catch_unwind(AssertUnwindSafe(|| runs(&model, &class))).unwrap_or(false);
        let runs = runs && started.elapsed() < TRY;
        tracing::info!(
            shapes = %class,
            runs,
            "tried shapes that the model does not declare"
        );
        model.advice().known().learn(class, runs);
        // The request may be gone.
        let _unheard = done.send(runs);
    };
    std::thread::Builder::new()
        .name("shapes".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .ok()?;
    Some(tried)
}

fn runs(model: &Model, class: &Class) -> bool {
    let shapes = class.shapes();
    let outputs = model.try_shapes(&shapes);
    outputs.is_some_and(|outputs| class::keeps_rows(model.signature(), &shapes, &outputs))
}
