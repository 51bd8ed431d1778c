//! Requests per second for the digits model on one core, against a bare axum + tract loop.

use std::time::Duration;

use super::CONNECTIONS;
use super::running::{Bare, Programs, Running, digits_v1, digits_v2};
use crate::{Row, closed_loop, median};

const RUNS: usize = 3;

/// The figures, each run for `duration`.
///
/// # Errors
/// A server does not start, or an answer is not 200.
pub fn figures(programs: &Programs, duration: Duration) -> anyhow::Result<Vec<Row>> {
    let (v1, v2) = (digits_v1(), digits_v2());
    let model = programs.example("digits");
    let server = Running::start(programs, &model, &[])?;
    let bare = Bare::start(programs, &model)?;
    let (mut ours_v1, mut ours_v2, mut theirs, mut p99) = (vec![], vec![], vec![], vec![]);
    for _ in 0..RUNS {
        // One after another in the same minute, so that a noisy neighbour hits all alike.
        theirs.push(closed_loop::run(bare.data, &v2, CONNECTIONS, duration)?.requests_per_second);
        let load = closed_loop::run(server.data, &v2, CONNECTIONS, duration)?;
        ours_v2.push(load.requests_per_second);
        p99.push(load.p99_ms);
        let load = closed_loop::run(server.data, &v1, CONNECTIONS, duration)?;
        ours_v1.push(load.requests_per_second);
    }
    let (bare_rate, v2_rate, v1_rate) = (median(theirs), median(ours_v2), median(ours_v1));
    let to_bare = v2_rate / bare_rate;
    Ok(vec![
        Row::plain("server/digits/oip-requests", v2_rate, "1/s"),
        Row::plain("server/digits/tfs-requests", v1_rate, "1/s"),
        Row::at_least("server/digits/oip-against-bare", to_bare, "ratio", 0.7)
            .against(format!("bare axum + tract loop, {bare_rate:.0} 1/s")),
        Row::at_least(
            "server/digits/tfs-against-oip",
            v1_rate / v2_rate,
            "ratio",
            0.9,
        )
        .against(format!("OIP JSON, {v2_rate:.0} 1/s")),
        Row::plain("server/digits/p99-at-full-load", median(p99), "ms"),
        Row::plain(
            "server/digits/resident",
            server.process.resident_mib()?,
            "MiB",
        ),
    ])
}
