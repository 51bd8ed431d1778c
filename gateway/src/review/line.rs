//! Questions of one kind: so many at once, each asked once, whoever wants to know.
//!
//! Thin: `desk` decides. Whoever wants to know what somebody is asking already waits with them. When all of them have gone away,
//! the question has too. Used by `review`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, WeakShared};
use tokio::sync::Semaphore;
use tokio::time;

use super::answers::Verdict;
use super::desk::{Desk, Look};
use super::{Failure, Question};
use crate::limit;
use crate::metrics::ReviewTimes;

/// Questions of one kind that the API server has at once; others wait.
const IN_FLIGHT: usize = 8;
/// For an answer, waiting for a place included.
const DEADLINE: Duration = Duration::from_secs(2);

/// An answer of the API server, or why there is none.
type Told<V> = Result<Verdict<V>, String>;
/// The way to a question under way, which several may wait for, and which ends when nobody does.
type WeakFlight<V> = WeakShared<BoxFuture<'static, Result<Verdict<V>, Failure>>>;

/// Questions of one kind.
pub(super) struct Line<V: Clone> {
    kind: &'static str,
    desk: Mutex<Desk<V, WeakFlight<V>>>,
    room: Semaphore,
    times: ReviewTimes,
    failing: AtomicBool,
}

impl<V: Clone + Send + Sync + 'static> Line<V> {
    /// `kind` is the label `review` of the metric.
    pub(super) fn new(kind: &'static str, per_second: u64, times: &ReviewTimes) -> Self {
        Self {
            kind,
            desk: Mutex::new(Desk::new(per_second)),
            room: Semaphore::new(IN_FLIGHT),
            times: times.clone(),
            failing: AtomicBool::new(false),
        }
    }

    /// The answer to `question`; a yes is kept for `left`.
    pub(super) async fn ask(
        self: &Arc<Self>,
        question: Question,
        left: Duration,
        admit: impl FnOnce() -> Result<(), limit::Refusal>,
        ask: impl FnOnce() -> BoxFuture<'static, Told<V>>,
    ) -> Result<Verdict<V>, Failure> {
        let flight = {
            let (mut desk, now) = (self.lock(), now());
            let under_way = match desk.look(&question, now) {
                Look::Known(verdict) => return Ok(verdict),
                Look::Asked(flight) => flight.upgrade(),
                Look::Unknown => None,
            };
            match under_way {
                Some(flight) => flight,
                None => {
                    admit().map_err(Failure::Limited)?;
                    let flight = Arc::clone(self).fly(question, left, ask()).boxed().shared();
                    let weak = flight.downgrade().ok_or(Failure::Unavailable)?;
                    let is_awaited = |flight: &WeakFlight<V>| flight.upgrade().is_some();
                    if !desk.begin(question, weak, is_awaited, now) {
                        return Err(Failure::Unavailable);
                    }
                    flight
                }
            }
        };
        flight.await
    }

    /// One question, from its place in the line to its answer.
    async fn fly(
        self: Arc<Self>,
        question: Question,
        left: Duration,
        ask: BoxFuture<'static, Told<V>>,
    ) -> Result<Verdict<V>, Failure> {
        let begun = time::Instant::now();
        let asked = async {
            // Nobody closes it.
            let _place = self.room.acquire().await.map_err(|e| e.to_string())?;
            // An answer is about the cluster as it was then, or later.
            let at = now();
            Ok::<_, String>((ask.await?, at))
        };
        let told = match time::timeout(DEADLINE, asked).await {
            Ok(told) => told,
            Err(_late) => Err(format!("no answer within {DEADLINE:?}")),
        };
        let result = match &told {
            Ok((Verdict::Yes(_), _)) => "yes",
            Ok((Verdict::No, _)) => "no",
            Err(_) => "unavailable",
        };
        self.times.observe(self.kind, result, begun.elapsed());
        self.note(told.as_ref().err());
        let told = told.ok();
        self.lock().close(&question, told.clone(), left);
        told.map(|(verdict, _)| verdict).ok_or(Failure::Unavailable)
    }

    /// Says that something is wrong once, then only in passing, until it is right again.
    fn note(&self, error: Option<&String>) {
        let kind = self.kind;
        let before = self.failing.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !before => tracing::warn!(review.kind = kind, "{error}"),
            Some(error) => tracing::debug!(review.kind = kind, "{error}"),
            None if before => tracing::info!(review.kind = kind, "reviews are answered again"),
            None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Desk<V, WeakFlight<V>>> {
        // A panic elsewhere leaves whole entries.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Instant {
    time::Instant::now().into_std()
}
