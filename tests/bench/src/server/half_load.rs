//! Latency where half of what the server can do is asked of it: what callers feel on a good day.

use std::time::Duration;

use super::CONNECTIONS;
use super::running::{Bare, Programs, Running, digits_v2};
use crate::open_loop::{Arrivals, latency_ms, run_answered};
use crate::{Row, closed_loop, median};

const RUNS: usize = 3;
/// More connections than in the closed loop: requests that are due together need not wait.
const OPEN_CONNECTIONS: usize = 16;

/// The figures, each run for `duration`.
///
/// # Errors
/// The server does not start, or an answer is not 200.
pub fn figures(programs: &Programs, duration: Duration) -> anyhow::Result<Vec<Row>> {
    let request = digits_v2();
    let model = programs.example("digits");
    let server = Running::start(programs, &model, &[])?;
    let bare = Bare::start(programs, &model)?;
    let (mut p50, mut p99, mut bare_p99, mut rates) = (vec![], vec![], vec![], vec![]);
    for _ in 0..RUNS {
        let peak = closed_loop::run(server.data, &request, CONNECTIONS, duration)?;
        let arrivals = Arrivals {
            per_second: peak.requests_per_second / 2.0,
            connections: OPEN_CONNECTIONS,
            duration,
        };
        // The same load on a loop that does nothing else tells what of it is the machine's.
        let floor = run_answered(bare.data, &request, arrivals)?;
        bare_p99.push(latency_ms(&floor, 99.0));
        let samples = run_answered(server.data, &request, arrivals)?;
        rates.push(arrivals.per_second);
        p50.push(latency_ms(&samples, 50.0));
        p99.push(latency_ms(&samples, 99.0));
    }
    let against = format!("open loop at {:.0} 1/s", median(rates));
    Ok(vec![
        Row::plain("server/digits/p50-at-half-load", median(p50), "ms").against(against.clone()),
        Row::at_most("server/digits/p99-at-half-load", median(p99), "ms", 1.0).against(format!(
            "{against}; bare axum + tract loop at the same rate: {:.2} ms",
            median(bare_p99)
        )),
    ])
}
