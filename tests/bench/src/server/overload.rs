//! Four times of what the server can do, asked of it for a while: how much of its peak it keeps, how
//! soon it refuses, and how soon all is well again.

use std::time::Duration;

use anyhow::Context as _;

use super::CONNECTIONS;
use super::running::{Programs, Running, minilm_v2};
use crate::open_loop::{self, Arrivals, Sample, served_ms};
use crate::{Row, closed_loop, count};

/// Overload in multiples of the peak.
const FACTOR: f64 = 4.0;
/// More than the server lets in at once (256), so that the rest is refused instead of not sent.
const OPEN_CONNECTIONS: usize = 512;
/// Afterwards this much of the peak is asked for.
const AFTERWARDS: f64 = 0.5;
/// Longer than any recovery that would be bearable.
const RECOVERY: Duration = Duration::from_secs(8);

/// The figures for the sentence encoder with 16 tokens, overloaded for `duration`.
///
/// # Errors
/// Models were not fetched, or the server does not start.
pub fn figures(programs: &Programs, duration: Duration) -> anyhow::Result<Vec<Row>> {
    let model = programs
        .minilm()
        .context("overload needs the fetched models: run `cargo xtask models fetch`")?;
    let request = minilm_v2();
    let server = Running::start(programs, &model, &[])?;
    let closed = |duration| closed_loop::run(server.data, &request, CONNECTIONS, duration);
    // Buckets are measured while the first requests run.
    closed(Duration::from_secs(3))?;
    let peak = closed(duration)?.requests_per_second;
    let arrivals = Arrivals {
        per_second: peak * FACTOR,
        connections: OPEN_CONNECTIONS,
        duration,
    };
    let during = open_loop::run(server.data, &request, arrivals)?;
    let after = Arrivals {
        per_second: peak * AFTERWARDS,
        duration: RECOVERY,
        ..arrivals
    };
    let after = open_loop::run(server.data, &request, after)?;
    let goodput = answered(&during) / duration.as_secs_f64() / peak;
    let refused = served_ms(&during, 503, 99.0);
    let broken = during.iter().filter(|sample| sample.status == 0).count();
    let of_peak = format!(
        "closed loop, {peak:.0} 1/s; offered {:.0} 1/s",
        peak * FACTOR
    );
    Ok(vec![
        Row::at_least("overload/minilm-16/goodput", goodput, "ratio", 0.9).against(of_peak),
        Row::at_most("overload/minilm-16/refusal-p99", refused, "ms", 10.0),
        Row::at_most("overload/minilm-16/broken", count(broken), "requests", 0.0),
        Row::at_most("overload/minilm-16/recovery", recovery_s(&after), "s", 2.0),
    ])
}

/// How many were answered.
fn answered(samples: &[Sample]) -> f64 {
    count(samples.iter().filter(|sample| sample.is_answered()).count())
}

/// When the last request was due that was not answered within half a second, in seconds.
fn recovery_s(samples: &[Sample]) -> f64 {
    let late = |sample: &&Sample| !sample.is_answered() || sample.latency_us > 500_000;
    let last = samples.iter().rev().find(late);
    last.map_or(0.0, |sample| sample.due.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(due_ms: u64, status: u16, latency_us: u32) -> Sample {
        Sample {
            due: Duration::from_millis(due_ms),
            status,
            latency_us,
            served_us: latency_us,
        }
    }

    #[test]
    fn recovery_ends_with_the_last_request_that_was_refused_or_late() {
        let samples = [
            sample(0, 503, 100),
            sample(900, 200, 600_000),
            sample(1000, 200, 4000),
        ];
        assert!((recovery_s(&samples) - 0.9).abs() < 1e-9);
        assert!(recovery_s(&samples[2..]).abs() < 1e-9);
    }

    #[test]
    fn only_refusals_count_as_refusals() {
        let samples = [
            sample(0, 503, 2000),
            sample(1, 200, 90_000),
            sample(2, 0, 1),
        ];
        assert!((served_ms(&samples, 503, 99.0) - 2.0).abs() < 1e-9);
        assert!((answered(&samples) - 1.0).abs() < 1e-9);
    }
}
