//! Whether a model that serves keeps to `spec.objectives`: the condition `WithinObjectives`.
//!
//! Pure. A [`Watch`] is kept by the operator's desk for each model that has objectives; it is told what the
//! gateways count and asked each second. What it says enters a plan as an observed fact, becomes [`Within`]
//! there, and a condition in `status`. Nothing else follows from it: neither pods nor shares.
//!
//! The figures are those of a whole window, over all revisions. After each change another whole window must
//! pass before the next one, so that a model at the edge of its objectives does not swing.

mod ring;
mod watch;
mod within;

use std::time::Duration;

use aimass_crds::ModelDeployment;
use aimass_crds::condition::{Condition, ConditionStatus, ConditionType};
use aimass_crds::reason::Reason;
use serde::Serialize;

use super::analysis::{Checks, Counts, asked, measure};
use super::valid;

pub use watch::Watch;
pub use within::Within;
pub(crate) use within::within;

/// Requests in a window below which nothing is judged: of fewer, a single one that fails is 5 %.
pub(crate) const LEAST: u32 = 20;

/// `spec.objectives`, with its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objectives {
    /// The limits; none is relative to another revision.
    pub checks: Checks,
    /// 1 min to 1 h.
    pub window: Duration,
}

/// What the last whole window says of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Standing {
    /// It keeps to all objectives.
    Met,
    /// Too many requests failed.
    ErrorRateAbove,
    /// Too many answers took too long.
    LatencyAbove,
    /// Too few requests to say anything.
    NoTraffic,
}

/// What was found out, and from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// In one word.
    pub standing: Standing,
    /// With the figures of the moment in which it came about.
    pub message: String,
    /// By what it was judged: the spec may say something else by now.
    pub objectives: Objectives,
}

impl Standing {
    const ALL: [Self; 4] = [
        Self::Met,
        Self::ErrorRateAbove,
        Self::LatencyAbove,
        Self::NoTraffic,
    ];

    /// What status remembers; `None`: nothing of the kind.
    #[must_use]
    pub fn read(conditions: &[Condition]) -> Option<Self> {
        Self::of(ConditionType::WithinObjectives.find(conditions)?)
    }

    pub(crate) fn of(said: &Condition) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|standing| standing.reason().as_str() == said.reason)
    }

    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::Met => Reason::Met,
            Self::ErrorRateAbove => Reason::ErrorRateAboveObjective,
            Self::LatencyAbove => Reason::LatencyAboveObjective,
            Self::NoTraffic => Reason::NoTraffic,
        }
    }

    pub(crate) const fn status(self) -> ConditionStatus {
        match self {
            Self::Met => ConditionStatus::True,
            Self::ErrorRateAbove | Self::LatencyAbove => ConditionStatus::False,
            Self::NoTraffic => ConditionStatus::Unknown,
        }
    }
}

/// What is asked of `model`. `None`: nothing, or what breaks a rule, or it is being deleted.
#[must_use]
pub fn objectives(model: &ModelDeployment) -> Option<Objectives> {
    if model.metadata.deletion_timestamp.is_some() {
        return None;
    }
    valid::objectives(model.spec.objectives.as_ref()?).ok()
}

/// Judges what was counted in a whole window.
fn judge(objectives: &Objectives, counts: Counts) -> Judged {
    let measured = measure(&objectives.checks, counts);
    let standing = match measured.iter().find(|measured| measured.exceeds) {
        Some(first) if first.metric.is_error() => Standing::ErrorRateAbove,
        Some(_) => Standing::LatencyAbove,
        None if measured.is_empty() => Standing::NoTraffic,
        None => Standing::Met,
    };
    let why = measured
        .iter()
        .filter(|measured| measured.exceeds || standing == Standing::Met);
    let figures: Vec<&str> = why.map(|measured| &*measured.text).collect();
    let ask = ask(objectives);
    Judged {
        standing,
        message: if standing == Standing::NoTraffic {
            few(&ask)
        } else {
            figures.join(", ") + &ask
        },
        objectives: objectives.clone(),
    }
}

/// What every message ends with: by that, what is told is known to be of these objectives.
fn ask(objectives: &Objectives) -> String {
    let seconds = objectives.window.as_secs();
    let window = match seconds % 60 {
        0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    };
    format!("; objectives: {} over {window}", asked(&objectives.checks))
}

/// Says the same whatever was counted: where hardly anybody calls, numbers would come and go.
fn few(ask: &str) -> String {
    format!("nothing to judge by: that takes a whole window with {LEAST} requests{ask}")
}

#[cfg(test)]
mod tests;
