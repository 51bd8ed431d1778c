//! `spec.rollout.analysis`: what is asked of a new revision while it is watched.
//!
//! Pure. Called by `rollout`.

use std::time::Duration;

use aimass_crds::model_deployment::{
    Analysis as Wire, ErrorRate as WireErrorRate, Latency as WireLatency, OnMaxHold,
};
use aimass_crds::scalars::Percent as WirePercent;

use super::{Rejection, fields};
use crate::model::analysis::{Checks, ErrorRate, Latency, Percent};

/// How often it is judged where it is not said.
const INTERVAL: Duration = Duration::from_secs(30);

/// What is asked of a new revision while it is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Analysis {
    /// 5 s to 1 h.
    pub(crate) interval: Duration,
    pub(crate) checks: Checks,
    /// What happens if there is no verdict for too long; `None`: it is waited for.
    pub(crate) max_hold: Option<MaxHold>,
}

/// How long a verdict is waited for, beyond the step's duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxHold {
    /// 1 min to 720 h.
    pub(crate) after: Duration,
    /// Whether the step passes then; else the rollout has failed.
    pub(crate) promotes: bool,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            interval: INTERVAL,
            checks: Checks::default(),
            max_hold: None,
        }
    }
}

pub(super) fn analysis(wire: &Wire) -> Result<Analysis, Rejection> {
    let interval = fields::duration(
        "spec.rollout.analysis.interval",
        wire.interval.as_ref(),
        INTERVAL,
        ("5s", "1h"),
    )?;
    let path = "spec.rollout.analysis.minRequests";
    let least = fields::integer(path, wire.min_requests.unwrap_or(50), 1, 1_000_000)?;
    let latency = |path: (&'static str, &'static str, &'static str), wire: &Option<WireLatency>| {
        wire.as_ref().map(|wire| latency(path, wire)).transpose()
    };
    let checks = Checks {
        min_requests: least.unsigned_abs(),
        error_rate: wire.error_rate.as_ref().map(error_rate).transpose()?,
        latency_p95: latency(P95, &wire.latency_p95)?,
        latency_p99: latency(P99, &wire.latency_p99)?,
    };
    let asks = [
        wire.error_rate.is_some(),
        wire.latency_p95.is_some(),
        wire.latency_p99.is_some(),
    ];
    if !asks.contains(&true) {
        return Err(Rejection::Incomplete {
            path: "spec.rollout.analysis",
            needs: "at least one of errorRate, latencyP95, latencyP99",
        });
    }
    Ok(Analysis {
        interval,
        checks,
        max_hold: max_hold(wire)?,
    })
}

fn max_hold(wire: &Wire) -> Result<Option<MaxHold>, Rejection> {
    if wire.max_hold.is_none() {
        return match wire.on_max_hold {
            None => Ok(None),
            Some(_) => Err(Rejection::Incomplete {
                path: "spec.rollout.analysis.onMaxHold",
                needs: "maxHold",
            }),
        };
    }
    let after = fields::duration(
        "spec.rollout.analysis.maxHold",
        wire.max_hold.as_ref(),
        Duration::ZERO,
        ("1m", "720h"),
    )?;
    Ok(Some(MaxHold {
        after,
        promotes: wire.on_max_hold.unwrap_or_default() == OnMaxHold::Promote,
    }))
}

const NOTHING: &str = "at least one of max, maxIncrease";

fn error_rate(wire: &WireErrorRate) -> Result<ErrorRate, Rejection> {
    let share = |path, wire: &WirePercent| percent(path, wire.hundredths(), ("100%", &wire.0));
    let (max, max_increase) = (wire.max.as_ref(), wire.max_increase.as_ref());
    if max.is_none() && max_increase.is_none() {
        let path = "spec.rollout.analysis.errorRate";
        return Err(Rejection::Incomplete {
            path,
            needs: NOTHING,
        });
    }
    let path = "spec.rollout.analysis.errorRate.max";
    let max = max.map(|wire| share(path, wire)).transpose()?;
    let path = "spec.rollout.analysis.errorRate.maxIncrease";
    let max_increase = max_increase.map(|wire| share(path, wire)).transpose()?;
    Ok(ErrorRate { max, max_increase })
}

/// Paths of a quantile: itself, `max`, `maxIncrease`.
const P95: (&str, &str, &str) = (
    "spec.rollout.analysis.latencyP95",
    "spec.rollout.analysis.latencyP95.max",
    "spec.rollout.analysis.latencyP95.maxIncrease",
);
const P99: (&str, &str, &str) = (
    "spec.rollout.analysis.latencyP99",
    "spec.rollout.analysis.latencyP99.max",
    "spec.rollout.analysis.latencyP99.maxIncrease",
);

fn latency(
    (path, max_path, increase_path): (&'static str, &'static str, &'static str),
    wire: &WireLatency,
) -> Result<Latency, Rejection> {
    if wire.max.is_none() && wire.max_increase.is_none() {
        return Err(Rejection::Incomplete {
            path,
            needs: NOTHING,
        });
    }
    let max = fields::duration(max_path, wire.max.as_ref(), Duration::ZERO, ("1ms", "1h"))?;
    let increase = wire
        .max_increase
        .as_ref()
        .map(|wire| percent(increase_path, wire.hundredths(), ("9999%", &wire.0)));
    Ok(Latency {
        max: wire.max.as_ref().map(|_| max),
        max_increase: increase.transpose()?,
    })
}

fn percent(
    path: &'static str,
    hundredths: Option<u32>,
    (max, text): (&'static str, &str),
) -> Result<Percent, Rejection> {
    let found = hundredths.map(|hundredths| Percent { hundredths });
    found.ok_or_else(|| Rejection::Range {
        path,
        min: "0%",
        max,
        value: text.to_owned(),
    })
}
