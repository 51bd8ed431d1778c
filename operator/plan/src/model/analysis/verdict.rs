//! What is said of a new revision.
//!
//! Pure. Made by `analysis`, acted upon by the rollout, remembered in `status.rollout.checks`.

use std::fmt;

use serde::Serialize;

use super::checks::Metric;

/// What is said of a new revision, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// In all.
    pub verdict: Verdict,
    /// Check by check, at most six: what status remembers for the next interval.
    pub checks: Vec<CheckResult>,
}

/// What is said of a new revision in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it, and enough was seen.
    Pass,
    /// Not known yet.
    Hold(Hold),
    /// It is worse than it may be.
    Fail(Violation),
}

/// Why nothing can be said yet. Displayed as part of a condition's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Gateways that are live do not report.
    SilentGateways(u32),
    /// Too few requests came to the new revision.
    NewRequests {
        /// Since the step began.
        have: u64,
        /// `minRequests`.
        want: u64,
    },
    /// Too few requests came to the stable revision, and it is all that this one is compared with.
    StableRequests {
        /// Over the same seconds.
        have: u64,
        /// `minRequests`.
        want: u64,
    },
    /// A check is violated for the first time, or by hardly more requests than that time: the next
    /// interval decides.
    Unconfirmed(Metric),
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SilentGateways(1) => f.write_str("a live gateway does not report"),
            Self::SilentGateways(count) => write!(f, "{count} live gateways do not report"),
            Self::NewRequests { have, want } => {
                write!(f, "{have} of {want} requests on the new revision")
            }
            Self::StableRequests { have, want } => {
                write!(f, "{have} of {want} requests on the stable revision")
            }
            Self::Unconfirmed(metric) => {
                write!(f, "{metric} is violated: the next interval decides")
            }
        }
    }
}

/// The check that a revision failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub metric: Metric,
    /// What was seen, for the Event and for `failure.message`:
    /// `errorRate 4.1 % of 193, stable 0.3 % of 3,610, limit +1 %, p = 3e-6`.
    pub message: String,
}

/// One check at the end of an interval, as in status. Texts are at most 16 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// The limit that is checked.
    pub metric: Metric,
    /// What is said of it.
    pub verdict: CheckVerdict,
    /// Requests on the new revision that it was judged by.
    pub requests: u64,
    /// The new revision's figure: `4.1%`, `182ms`; empty without requests.
    pub new: String,
    /// The stable revision's; empty without requests.
    pub stable: String,
    /// The limit: `1%`, `300ms`, or what may be added to stable's figure, `+1%`.
    pub limit: String,
}

/// What is said of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum CheckVerdict {
    /// Not violated.
    Pass,
    /// Not violated, by too few requests.
    Hold,
    /// Violated in this interval. Twice running is a Fail in all.
    Fail,
}

impl CheckVerdict {
    /// The name in status and as a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Hold => "Hold",
            Self::Fail => "Fail",
        }
    }

    /// The verdict that `as_str` gives `text` for: the way back from status.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        [Self::Pass, Self::Hold, Self::Fail]
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
    }
}
