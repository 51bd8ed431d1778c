//! `spec.rollout`, with its defaults.
//!
//! Pure. Called by `valid`.

use std::time::Duration;

use aimass_crds::model_deployment::{Rollout as Wire, Strategy as WireStrategy};
use aimass_crds::scalars::CountOrPercent;

use super::{Rejection, fields};

/// How a new revision replaces the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rollout {
    pub(crate) strategy: Strategy,
    /// 30 s to 24 h.
    pub(crate) progress_deadline: Duration,
    pub(crate) auto_rollback: bool,
    pub(crate) paused: bool,
    /// 0 to 6.
    pub(crate) history: usize,
}

/// The way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    RollingUpdate {
        surge: Portion,
        unavailable: Portion,
    },
    Recreate,
}

/// A part of the pods wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Portion {
    /// 0 to 1000 pods.
    Count(i32),
    /// 0 to 100 percent.
    Percent(i32),
}

impl Portion {
    /// Of `total`, rounded up. `total` is at most 1000.
    pub(crate) fn ceil(self, total: i32) -> i32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => (total * percent + 99) / 100,
        }
    }

    /// Of `total`, rounded down.
    pub(crate) fn floor(self, total: i32) -> i32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => total * percent / 100,
        }
    }

    fn is_zero(self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }
}

pub(super) fn rollout(wire: &Wire) -> Result<Rollout, Rejection> {
    let progress_deadline = fields::duration(
        "spec.rollout.progressDeadline",
        wire.progress_deadline.as_ref(),
        Duration::from_secs(600),
        ("30s", "24h"),
    )?;
    let history = fields::integer("spec.rollout.history", wire.history.unwrap_or(3), 0, 6)?;
    Ok(Rollout {
        strategy: strategy(wire)?,
        progress_deadline,
        auto_rollback: wire.auto_rollback.unwrap_or(true),
        paused: wire.paused.unwrap_or(false),
        history: usize::try_from(history).unwrap_or_default(),
    })
}

fn strategy(wire: &Wire) -> Result<Strategy, Rejection> {
    match (wire.strategy.unwrap_or_default(), &wire.rolling_update) {
        (WireStrategy::Recreate, None) => Ok(Strategy::Recreate),
        (WireStrategy::Recreate, Some(_)) => Err(Rejection::PortionsOfRecreate),
        (WireStrategy::RollingUpdate, portions) => {
            let portions = portions.clone().unwrap_or_default();
            let surge = portion(
                "spec.rollout.rollingUpdate.maxSurge",
                portions.max_surge.as_ref(),
            )?;
            let unavailable = portion(
                "spec.rollout.rollingUpdate.maxUnavailable",
                portions.max_unavailable.as_ref(),
            )?;
            let surge = surge.unwrap_or(Portion::Percent(25));
            let unavailable = unavailable.unwrap_or(Portion::Count(0));
            if surge.is_zero() && unavailable.is_zero() {
                return Err(Rejection::NoPortion);
            }
            Ok(Strategy::RollingUpdate { surge, unavailable })
        }
    }
}

fn portion(
    path: &'static str,
    wire: Option<&CountOrPercent>,
) -> Result<Option<Portion>, Rejection> {
    let Some(CountOrPercent(text)) = wire else {
        return Ok(None);
    };
    let number = |text: &str| -> Option<i32> {
        let digits = (1..=4).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let found = match text.strip_suffix('%') {
        Some(percent) => number(percent).filter(|n| *n <= 100).map(Portion::Percent),
        None => number(text).filter(|n| *n <= 1000).map(Portion::Count),
    };
    let rule = "a number from 0 to 1000 or a percentage from 0% to 100%";
    found.map(Some).ok_or_else(|| Rejection::Text {
        path,
        rule,
        value: text.clone(),
    })
}
