//! How many small requests a second one core of the gateway forwards, and how many Envoy does on the same core.
//!
//! Where the other core, of load and pod, is the limit, both are as fast as it is. So they are compared by what each would do in
//! all of its core's time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::envoy::{self, Envoy};
use super::pod::Pod;
use super::running::Gateway;
use super::site::{Caller, Limits, Site};
use super::{ROUNDS, Setting, WARM_UP, json_of};
use crate::process::Process;
use crate::{Row, closed_loop, median};

const CONNECTIONS: usize = 64;
const BODY_BYTES: usize = 64;
/// Counted with every request, and never met.
const LIMITS: Limits = Limits {
    per_second: 1_000_000,
    in_flight: 1_000,
};
const GOAL: f64 = 10_000.0;
const GOAL_AGAINST_ENVOY: f64 = 0.7;
const AGAINST_ENVOY: &str = "gateway/small-json/against-envoy";

/// The figures.
///
/// # Errors
/// The gateway does not start, or an answer is not 2xx.
pub(super) fn figures(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let pod = Pod::start(Duration::ZERO)?;
    let caller = Caller::limited("small0000000", LIMITS);
    let request = caller.request("iris", &json_of(BODY_BYTES));
    let site = Site::of(pod.address, &[&caller]);
    let gateway = Gateway::start(&setting.binaries, &site, &request)?;
    let envoy = setting.envoy.clone().and_then(|python| {
        let started = Envoy::start(&python, pod.address, &request);
        started.map_err(|error| format!("{error:#}"))
    });
    let (mut ours, mut theirs) = (vec![], vec![]);
    let load = |process: &Process, address, duration| run(process, address, &request, duration);
    load(&gateway.process, gateway.address, WARM_UP)?;
    if let Ok(envoy) = &envoy {
        load(&envoy.process, envoy.address, WARM_UP)?;
    }
    for _ in 0..ROUNDS {
        if let Ok(envoy) = &envoy {
            theirs.push(load(&envoy.process, envoy.address, setting.run)?);
        }
        ours.push(load(&gateway.process, gateway.address, setting.run)?);
    }
    let (rate, share) = medians(&ours);
    let row = Row::at_least("gateway/small-json/requests", rate, "1/s", GOAL).against(format!(
        "busy for {share:.2} of the time on its core: {:.0} 1/s for a whole one; {CONNECTIONS} connections",
        whole_core(rate, share)
    ));
    let other = match envoy {
        Ok(_envoy) => {
            let (their_rate, their_share) = medians(&theirs);
            let theirs = whole_core(their_rate, their_share);
            let ratio = whole_core(rate, share) / theirs;
            let against = format!(
                "{}, its router alone: {their_rate:.0} 1/s, busy for {their_share:.2} of the time: {theirs:.0} 1/s for a whole core",
                envoy::NAME
            );
            Row::at_least(AGAINST_ENVOY, ratio, "ratio", GOAL_AGAINST_ENVOY).against(against)
        }
        Err(reason) => absent(&reason),
    };
    Ok(vec![row, other])
}

/// One run: requests a second, and how much of its core the process used.
fn run(
    process: &Process,
    address: SocketAddr,
    request: &[u8],
    duration: Duration,
) -> anyhow::Result<(f64, f64)> {
    let (start, before) = (Instant::now(), process.cpu_time()?);
    let load = closed_loop::run(address, request, CONNECTIONS, duration)?;
    let used = process.cpu_time()?.saturating_sub(before);
    let share = used.as_secs_f64() / start.elapsed().as_secs_f64();
    Ok((load.requests_per_second, share))
}

fn medians(runs: &[(f64, f64)]) -> (f64, f64) {
    let (rates, shares) = runs.iter().copied().unzip();
    (median(rates), median(shares))
}

/// Requests a second, if a process that was busy for `share` of the time were so all of the time.
fn whole_core(rate: f64, share: f64) -> f64 {
    // Time is counted in steps: a very short run may show none.
    rate / share.max(0.01)
}

fn absent(reason: &str) -> Row {
    let reason: String = reason.chars().take(300).collect();
    let row = Row::at_least(AGAINST_ENVOY, 0.0, "ratio", GOAL_AGAINST_ENVOY);
    row.against(format!(
        "{}: not measured: {}",
        envoy::NAME,
        reason.replace('\n', " ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_envoy_the_row_says_why() {
        let row = absent("no wheel\nfor this machine");
        assert_eq!(row.met, Some(false));
        let expect = "Envoy 1.40.0: not measured: no wheel for this machine";
        assert_eq!(row.against, expect);
    }
}
