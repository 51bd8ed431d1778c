//! What the gateway adds to an answer: the same load through it and direct to the pod, one after the other.

use std::time::Duration;

use super::pod::Pod;
use super::running::Gateway;
use super::site::{Caller, Limits, Site};
use super::{ROUNDS, Setting, WARM_UP, json_of};
use crate::open_loop::{self, Arrivals, latency_ms};
use crate::{Row, median};

/// What the model takes.
const DELAY: Duration = Duration::from_millis(5);
const PER_SECOND: f64 = 1000.0;
/// Some six are in flight: none waits for a connection.
const CONNECTIONS: usize = 32;
const BODY_BYTES: usize = 1024;
/// A key with a rate and with concurrency, neither of which is met.
const LIMITS: Limits = Limits {
    per_second: 1_000_000,
    in_flight: 1_000,
};
/// The percentiles, and what each may have more.
const GOALS: [(&str, f64, Option<f64>); 3] = [
    ("gateway/added/p50", 50.0, None),
    ("gateway/added/p95", 95.0, Some(1.0)),
    ("gateway/added/p99", 99.0, Some(3.0)),
];

/// The figures.
///
/// # Errors
/// The gateway does not start, or an answer is not 2xx.
pub(super) fn figures(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let pod = Pod::start(DELAY)?;
    let caller = Caller::limited("added0000000", LIMITS);
    let request = caller.request("iris", &json_of(BODY_BYTES));
    let site = Site::of(pod.address, &[&caller]);
    let gateway = Gateway::start(&setting.binaries, &site, &request)?;
    let load = |address, duration| {
        let arrivals = Arrivals {
            per_second: PER_SECOND,
            connections: CONNECTIONS,
            duration,
        };
        open_loop::run_answered(address, &request, arrivals)
    };
    load(pod.address, WARM_UP)?;
    load(gateway.address, WARM_UP)?;
    let (mut direct, mut through) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        direct.push(load(pod.address, setting.run)?);
        through.push(load(gateway.address, setting.run)?);
    }
    let of = |rounds: &[Vec<_>], percent| {
        let each = rounds.iter().map(|samples| latency_ms(samples, percent));
        median(each.collect())
    };
    let row = |(name, percent, goal): (&str, f64, Option<f64>)| {
        let (direct, through) = (of(&direct, percent), of(&through, percent));
        let added = through - direct;
        let row = match goal {
            Some(goal) => Row::at_most(name, added, "ms", goal),
            None => Row::plain(name, added, "ms"),
        };
        row.against(format!(
            "{PER_SECOND} 1/s of 1 KiB: {through:.2} ms through it, {direct:.2} ms direct"
        ))
    };
    Ok(GOALS.into_iter().map(row).collect())
}
