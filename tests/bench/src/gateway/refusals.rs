//! How soon the gateway refuses while far more is asked of it than it lets through, and how much of that it still answers.
//!
//! One caller has eight requests in flight and sends four times what that allows; the rest is 429. At the same time one with a
//! wrong secret (401) and one who asks for a model that could not be loaded (503) each send as much as is allowed to the first.

use std::time::Duration;

use super::pod::Pod;
use super::running::Gateway;
use super::site::{Caller, Limits, Model, Site};
use super::{Setting, json_of};
use crate::closed_loop::{self, Until};
use crate::open_loop::{self, Arrivals, Sample, served_ms};
use crate::{Row, count};

/// What the model takes: it, and no core, bounds what is answered.
const DELAY: Duration = Duration::from_millis(10);
const IN_FLIGHT: u32 = 8;
/// Overload in multiples of what is let through.
const FACTOR: f64 = 4.0;
/// Enough for four times as many in flight as there may be.
const CONNECTIONS: usize = 64;
/// Of each caller who is always refused.
const REFUSED_CONNECTIONS: usize = 16;
const BODY_BYTES: usize = 64;
/// A rate that is never met.
const PER_SECOND: u64 = 1_000_000;

/// The figures.
///
/// # Errors
/// The gateway does not start, or a connection breaks.
pub(super) fn figures(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let pod = Pod::start(DELAY)?;
    let limits = |in_flight| Limits {
        per_second: PER_SECOND,
        in_flight,
    };
    let caller = Caller::limited("limited00000", limits(IN_FLIGHT));
    let other = Caller::limited("other0000000", limits(1_000));
    let mut site = Site::of(pod.address, &[&caller, &other]);
    site.models.push(Model {
        name: "broken".to_owned(),
        pods: Vec::new(),
    });
    let body = json_of(BODY_BYTES);
    let request = caller.request("iris", &body);
    let unknown = other.request_with_wrong_secret("iris", &body);
    let broken = other.request("broken", &body);
    let gateway = Gateway::start(&setting.binaries, &site, &request)?;
    let address = gateway.address;

    let allowed = usize::try_from(IN_FLIGHT)?;
    let until = Until::Elapsed(setting.run);
    let peak = closed_loop::run_counting(address, &request, allowed, until)?.requests_per_second;
    let duration = setting.run * 2;
    let refused = Arrivals {
        per_second: peak,
        connections: REFUSED_CONNECTIONS,
        duration,
    };
    let all = Arrivals {
        per_second: peak * FACTOR,
        connections: CONNECTIONS,
        duration,
    };
    let (limited, unknown, broken) = std::thread::scope(|scope| {
        let unknown = scope.spawn(|| open_loop::run(address, &unknown, refused));
        let broken = scope.spawn(|| open_loop::run(address, &broken, refused));
        let limited = open_loop::run(address, &request, all);
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().expect("the loop does not panic")
        };
        (limited, join(unknown), join(broken))
    });
    let (limited, unknown, broken) = (limited?, unknown?, broken?);

    let answered = limited.iter().filter(|sample| sample.is_answered());
    let goodput = count(answered.count()) / duration.as_secs_f64() / peak;
    let against = format!(
        "{peak:.0} 1/s with {IN_FLIGHT} in flight; offered {:.0} 1/s and {:.0} 1/s of others",
        peak * FACTOR,
        peak * 2.0
    );
    let mut rows =
        vec![Row::at_least("gateway/refusals/goodput", goodput, "ratio", 0.9).against(against)];
    for (samples, status) in [(&unknown, 401), (&limited, 429), (&broken, 503)] {
        rows.push(row(samples, status)?);
    }
    Ok(rows)
}

/// How long refusals with `status` took.
fn row(samples: &[Sample], status: u16) -> anyhow::Result<Row> {
    let refusals = samples.iter().filter(|sample| sample.status == status);
    let refusals = refusals.count();
    let strange = |sample: &&Sample| sample.status != status && !sample.is_answered();
    if let Some(sample) = samples.iter().find(strange) {
        anyhow::bail!("an answer under load has status {}", sample.status);
    }
    anyhow::ensure!(refusals > 0, "nothing was refused with {status}");
    let name = format!("gateway/refusals/{status}-p99");
    let row = Row::at_most(&name, served_ms(samples, status, 99.0), "ms", 10.0);
    Ok(row.against(format!(
        "{refusals} refused of {}; median {:.2} ms",
        samples.len(),
        served_ms(samples, status, 50.0)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(status: u16, served_us: u32) -> Sample {
        Sample {
            due: Duration::ZERO,
            status,
            latency_us: served_us,
            served_us,
        }
    }

    #[test]
    fn answers_do_not_count_as_refusals() {
        let samples = [sample(200, 90_000), sample(429, 2000)];
        let row = row(&samples, 429).unwrap();
        assert!((row.value - 2.0).abs() < 1e-9);
        assert_eq!(row.against, "1 refused of 2; median 2.00 ms");
    }

    #[test]
    fn what_is_neither_is_no_figure() {
        assert!(row(&[sample(429, 1), sample(502, 1)], 429).is_err());
        assert!(row(&[sample(200, 1)], 429).is_err());
    }
}
