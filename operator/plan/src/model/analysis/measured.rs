//! What was counted against limits that stand by themselves: figures alone, whatever chance explains.
//!
//! Pure. Called by `model::objectives`, which asks of a model that serves what `analysis` asks of a new
//! revision.

use super::checks::{Checks, Metric};
use super::counts::{Compared, Counts};
use super::question::Question;
use super::text;

/// One limit, and what was counted against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Which.
    pub metric: Metric,
    /// Whether it is exceeded.
    pub exceeds: bool,
    /// What was counted: `errorRate 4.1 % of 193`.
    pub text: String,
}

/// What was counted against each limit of `checks` that is not relative to another revision, in the order
/// of [`Metric::ALL`]. One with fewer than `checks.min_requests` answers says nothing and is left out.
#[must_use]
pub fn measure(checks: &Checks, counts: Counts) -> Vec<Measured> {
    let counts = Compared {
        new: counts,
        ..Compared::default()
    };
    let measured = checks.list().into_iter().filter_map(|check| {
        let question = Question::of(&check, &counts);
        let exceeds = question.exceeds()?;
        let enough = question.new.answers >= checks.least();
        enough.then(|| Measured {
            metric: check.metric,
            exceeds,
            text: text::measured(&check, &question),
        })
    });
    measured.collect()
}

/// The limits of `checks` in words: `errorRate 1 %, latencyP95 200 ms`.
#[must_use]
pub fn asked(checks: &Checks) -> String {
    let asked: Vec<String> = checks.list().iter().map(text::asked).collect();
    asked.join(", ")
}
