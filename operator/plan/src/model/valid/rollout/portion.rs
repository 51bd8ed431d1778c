//! `spec.rollout.rollingUpdate`: parts of the pods wanted.
//!
//! Pure. Called by `rollout`.

use aimass_crds::model_deployment::RollingUpdate;
use aimass_crds::scalars::CountOrPercent;

use super::Rejection;

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

/// `maxSurge` and `maxUnavailable`; not both are nothing, or no rollout could begin.
pub(super) fn portions(wire: &RollingUpdate) -> Result<(Portion, Portion), Rejection> {
    let surge = portion(
        "spec.rollout.rollingUpdate.maxSurge",
        wire.max_surge.as_ref(),
    )?;
    let unavailable = portion(
        "spec.rollout.rollingUpdate.maxUnavailable",
        wire.max_unavailable.as_ref(),
    )?;
    let surge = surge.unwrap_or(Portion::Percent(25));
    let unavailable = unavailable.unwrap_or(Portion::Count(0));
    if surge.is_zero() && unavailable.is_zero() {
        return Err(Rejection::NoPortion);
    }
    Ok((surge, unavailable))
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
