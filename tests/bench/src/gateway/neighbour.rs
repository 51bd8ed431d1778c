//! A caller who sends a hundred times as much as another one who asks the same model: what the other one notices.

use std::time::Duration;

use super::pod::Pod;
use super::running::Gateway;
use super::site::{Caller, Limits, Site};
use super::{ROUNDS, Setting, WARM_UP, json_of};
use crate::open_loop::{self, Arrivals, Sample, latency_ms};
use crate::{Row, count, median};

/// What the model takes.
const DELAY: Duration = Duration::from_millis(5);
const BODY_BYTES: usize = 64;
/// The plan of both: ten times what the quiet one needs, a tenth of what the noisy one sends.
const LIMITS: Limits = Limits {
    per_second: 500,
    in_flight: 16,
};
const QUIET_PER_SECOND: f64 = 50.0;
const QUIET_CONNECTIONS: usize = 8;
const TIMES: f64 = 100.0;
const NOISY_CONNECTIONS: usize = 64;
const GOAL: f64 = 2.0;

/// The figure.
///
/// # Errors
/// The gateway does not start, or refuses the quiet caller.
pub(super) fn figures(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let pod = Pod::start(DELAY)?;
    let (quiet, noisy) = (
        Caller::limited("quiet0000000", LIMITS),
        Caller::limited("noisy0000000", LIMITS),
    );
    let body = json_of(BODY_BYTES);
    let (quietly, noisily) = (quiet.request("iris", &body), noisy.request("iris", &body));
    let site = Site::of(pod.address, &[&quiet, &noisy]);
    let gateway = Gateway::start(&setting.binaries, &site, &quietly)?;
    let address = gateway.address;
    // The quiet one sends few: a percentile needs some.
    let duration = setting.run * 2;
    let quiet = |duration| Arrivals {
        per_second: QUIET_PER_SECOND,
        connections: QUIET_CONNECTIONS,
        duration,
    };
    let noise = Arrivals {
        per_second: QUIET_PER_SECOND * TIMES,
        connections: NOISY_CONNECTIONS,
        duration,
    };
    open_loop::run_answered(address, &quietly, quiet(WARM_UP))?;
    let (mut alone, mut beside) = (vec![], vec![]);
    let mut refused = vec![];
    for _ in 0..ROUNDS {
        let samples = open_loop::run_answered(address, &quietly, quiet(duration))?;
        alone.push(latency_ms(&samples, 99.0));
        let (samples, noise) = std::thread::scope(|scope| {
            let noise = scope.spawn(|| open_loop::run(address, &noisily, noise));
            let samples = open_loop::run_answered(address, &quietly, quiet(duration));
            (samples, noise.join().expect("the loop does not panic"))
        });
        beside.push(latency_ms(&samples?, 99.0));
        refused.push(share_refused(&noise?));
    }
    let (alone, beside) = (median(alone), median(beside));
    let row = Row::at_most("gateway/neighbour/p99", beside / alone, "ratio", GOAL);
    Ok(vec![row.against(format!(
        "{beside:.2} ms; {alone:.2} ms alone; {QUIET_PER_SECOND} 1/s beside {:.0} 1/s, of which {:.0} % are refused",
        QUIET_PER_SECOND * TIMES,
        median(refused) * 100.0
    ))])
}

/// How much of what the noisy one sent was 429.
fn share_refused(samples: &[Sample]) -> f64 {
    let refused = samples.iter().filter(|sample| sample.status == 429).count();
    count(refused) / count(samples.len().max(1))
}
