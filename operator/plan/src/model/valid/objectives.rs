//! `spec.objectives`, with its default.
//!
//! Pure. Called by `valid`, and by `model::objectives` for whoever counts.

use std::time::Duration;

use aimass_crds::model_deployment::Objectives as Wire;
use aimass_crds::scalars::{Duration as WireDuration, Percent as WirePercent};

use super::{Rejection, fields};
use crate::model::analysis::{Checks, ErrorRate, Latency, Percent};
use crate::model::objectives::{LEAST, Objectives};

/// Over how long requests are counted where it is not said.
const WINDOW: Duration = Duration::from_secs(300);

pub(crate) fn objectives(wire: &Wire) -> Result<Objectives, Rejection> {
    let Wire {
        latency_p95,
        latency_p99,
        error_rate,
        window,
    } = wire;
    let is_set = [
        error_rate.is_some(),
        latency_p95.is_some(),
        latency_p99.is_some(),
    ];
    if !is_set.contains(&true) {
        return Err(Rejection::Incomplete {
            path: "spec.objectives",
            needs: "at least one of errorRate, latencyP95, latencyP99",
        });
    }
    let window = fields::duration(
        "spec.objectives.window",
        window.as_ref(),
        WINDOW,
        ("1m", "1h"),
    )?;
    Ok(Objectives {
        checks: Checks {
            min_requests: LEAST,
            error_rate: error_rate.as_ref().map(share).transpose()?,
            latency_p95: latency("spec.objectives.latencyP95", latency_p95.as_ref())?,
            latency_p99: latency("spec.objectives.latencyP99", latency_p99.as_ref())?,
        },
        window,
    })
}

fn share(wire: &WirePercent) -> Result<ErrorRate, Rejection> {
    let hundredths = wire.hundredths().ok_or_else(|| Rejection::Range {
        path: "spec.objectives.errorRate",
        min: "0%",
        max: "100%",
        value: wire.0.clone(),
    })?;
    Ok(ErrorRate {
        max: Some(Percent { hundredths }),
        max_increase: None,
    })
}

fn latency(path: &'static str, wire: Option<&WireDuration>) -> Result<Option<Latency>, Rejection> {
    let max = fields::duration(path, wire, Duration::ZERO, ("1ms", "10m"))?;
    Ok(wire.map(|_| Latency {
        max: Some(max),
        max_increase: None,
    }))
}
