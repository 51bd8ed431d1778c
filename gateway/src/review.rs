//! Questions to the API server about callers with tokens: who shows one, and whether it may call a model.
//!
//! Thin: `desk` decides what is known, what is being asked and what must be asked; `wire` what is asked and what an answer
//! means; `reviewer` alone holds a client. Called by `phase::tokens`. Reviews store nothing and change nothing in the cluster.
//!
//! Whoever wants to know what somebody is asking already waits with them. When all of them have gone away, the question has too.

mod answers;
mod desk;
mod identity;
mod reviewer;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, WeakShared};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time;

pub use self::answers::Verdict;
use self::desk::{Desk, Look};
pub use self::identity::{Identity, Wanted};
pub use self::reviewer::Reviewer;
use crate::jwt::Jwt;
use crate::limit;
use crate::metrics::ReviewTimes;

/// Questions of one kind that the API server has at once; others wait.
const IN_FLIGHT: usize = 8;
/// For an answer, waiting for a place included.
const DEADLINE: Duration = Duration::from_secs(2);
/// Tokens that are asked about, a second.
const TOKENS: u64 = 50;
/// Models that are asked about, a second: a caller has one token and many models.
const MODELS: u64 = 100;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller's address has made us ask too much.
    Limited(limit::Refusal),
    /// The API server does not answer, or is asked too much.
    Unavailable,
}

/// What is known, and what is being asked; clones share it.
#[derive(Clone)]
pub struct Reviews(Arc<Inner>);

struct Inner {
    reviewer: Arc<Reviewer>,
    tokens: Arc<Line<Arc<Identity>>>,
    models: Arc<Line<()>>,
}

impl Reviews {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(reviewer: Reviewer, times: &ReviewTimes) -> Self {
        Self(Arc::new(Inner {
            reviewer: Arc::new(reviewer),
            tokens: Arc::new(Line::new("token", TOKENS, times)),
            models: Arc::new(Line::new("access", MODELS, times)),
        }))
    }

    /// Who shows `jwt` at `now` by the wall clock. `admit` is called before the API server is asked.
    ///
    /// # Errors
    /// `admit`'s own, and where there is no answer. What cannot be good is refused without asking anybody.
    pub async fn token(
        &self,
        jwt: Jwt<'_>,
        now: Timestamp,
        admit: impl FnOnce() -> Result<(), limit::Refusal>,
    ) -> Result<Verdict<Arc<Identity>>, Failure> {
        let reviewer = &self.0.reviewer;
        // Before anything else is looked at, and whatever the token says of itself.
        let question = jwt.digest();
        let Some(left) = jwt.time_left(reviewer.audience(), now) else {
            return Ok(Verdict::No);
        };
        let ask = || {
            let (reviewer, token) = (Arc::clone(reviewer), jwt.text().to_owned());
            async move { reviewer.who(&token).await }.boxed()
        };
        self.0.tokens.ask(question, left, admit, ask).await
    }

    /// Whether `identity` may call `wanted`. `admit` is called before the API server is asked.
    ///
    /// # Errors
    /// `admit`'s own, and where there is no answer.
    pub async fn access(
        &self,
        identity: &Arc<Identity>,
        wanted: &Wanted,
        admit: impl FnOnce() -> Result<(), limit::Refusal>,
    ) -> Result<Verdict<()>, Failure> {
        let question = identity.digest_with(wanted);
        let ask = || {
            let reviewer = Arc::clone(&self.0.reviewer);
            let (identity, wanted) = (Arc::clone(identity), wanted.clone());
            async move { reviewer.may(&identity, &wanted).await }.boxed()
        };
        let forever = Duration::MAX;
        self.0.models.ask(question, forever, admit, ask).await
    }
}

/// A question, by a hash of all that its answer depends on.
type Question = [u8; 32];
/// An answer of the API server, or why there is none.
type Told<V> = Result<Verdict<V>, String>;
/// The way to a question under way, which several may wait for, and which ends when nobody does.
type WeakFlight<V> = WeakShared<BoxFuture<'static, Result<Verdict<V>, Failure>>>;

/// Questions of one kind.
struct Line<V: Clone> {
    kind: &'static str,
    desk: Mutex<Desk<V, WeakFlight<V>>>,
    room: Semaphore,
    times: ReviewTimes,
    failing: AtomicBool,
}

impl<V: Clone + Send + Sync + 'static> Line<V> {
    fn new(kind: &'static str, per_second: u64, times: &ReviewTimes) -> Self {
        Self {
            kind,
            desk: Mutex::new(Desk::new(per_second)),
            room: Semaphore::new(IN_FLIGHT),
            times: times.clone(),
            failing: AtomicBool::new(false),
        }
    }

    /// The answer to `question`; no yes is kept for longer than `left`.
    async fn ask(
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
