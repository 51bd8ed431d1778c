//! Questions to the API server about callers with tokens: who shows one, and whether it may call a model.
//!
//! Thin: `desk` decides what is known, what is being asked and what must be asked; `line` sees to it that each question is asked
//! once; `wire` what is asked and what an answer means; `reviewer` alone holds a client. [`Reviews`] is called by `phase::tokens`,
//! [`Tokens`] alone by `doorman`, for another audience. Reviews store nothing and change nothing in the cluster.

mod answers;
mod desk;
mod identity;
mod line;
mod reviewer;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;

pub use self::answers::Verdict;
pub use self::identity::{Identity, Wanted};
use self::line::Line;
pub use self::reviewer::Reviewer;
use crate::jwt::Jwt;
use crate::limit;
use crate::metrics::ReviewTimes;

/// A yes about a caller is believed for so long, and no longer than its token lasts.
const CALLERS: Duration = Duration::from_secs(10);
/// Tokens of one audience that are asked about, a second.
const TOKENS: u64 = 50;
/// Models that are asked about, a second: a caller has one token and many models.
const MODELS: u64 = 100;

/// A question, by a hash of all that its answer depends on.
type Question = [u8; 32];

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller's address has made us ask too much.
    Limited(limit::Refusal),
    /// The API server does not answer, or is asked too much.
    Unavailable,
}

/// What is known of tokens for one audience; clones share it.
#[derive(Clone)]
pub struct Tokens {
    reviewer: Arc<Reviewer>,
    line: Arc<Line<Arc<Identity>>>,
    longest: Duration,
}

impl Tokens {
    /// Nothing is known yet. A yes is believed for `longest`, and no longer than its token lasts. `kind` is the label `review` of
    /// the metric.
    #[must_use]
    pub fn new(
        reviewer: Arc<Reviewer>,
        kind: &'static str,
        longest: Duration,
        times: &ReviewTimes,
    ) -> Self {
        Self {
            reviewer,
            line: Arc::new(Line::new(kind, TOKENS, times)),
            longest,
        }
    }

    /// Who shows `jwt` at `now` by the wall clock. `admit` is called before the API server is asked.
    ///
    /// # Errors
    /// `admit`'s own, and where there is no answer. What cannot be good is refused without asking anybody.
    pub async fn ask(
        &self,
        jwt: Jwt<'_>,
        now: Timestamp,
        admit: impl FnOnce() -> Result<(), limit::Refusal>,
    ) -> Result<Verdict<Arc<Identity>>, Failure> {
        // Before anything else is looked at, and whatever the token says of itself.
        let question = jwt.digest();
        let Some(left) = jwt.time_left(self.reviewer.audience(), now) else {
            return Ok(Verdict::No);
        };
        let ask = || {
            let (reviewer, token) = (Arc::clone(&self.reviewer), jwt.text().to_owned());
            async move { reviewer.who(&token).await }.boxed()
        };
        let left = left.min(self.longest);
        self.line.ask(question, left, admit, ask).await
    }
}

/// What is known of callers, and what is being asked; clones share it.
#[derive(Clone)]
pub struct Reviews(Arc<Inner>);

struct Inner {
    reviewer: Arc<Reviewer>,
    tokens: Tokens,
    models: Arc<Line<()>>,
}

impl Reviews {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(reviewer: Reviewer, times: &ReviewTimes) -> Self {
        let reviewer = Arc::new(reviewer);
        Self(Arc::new(Inner {
            tokens: Tokens::new(Arc::clone(&reviewer), "token", CALLERS, times),
            reviewer,
            models: Arc::new(Line::new("access", MODELS, times)),
        }))
    }

    /// As [`Tokens::ask`].
    ///
    /// # Errors
    /// The same.
    pub async fn token(
        &self,
        jwt: Jwt<'_>,
        now: Timestamp,
        admit: impl FnOnce() -> Result<(), limit::Refusal>,
    ) -> Result<Verdict<Arc<Identity>>, Failure> {
        self.0.tokens.ask(jwt, now, admit).await
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
        self.0.models.ask(question, CALLERS, admit, ask).await
    }
}
