//! What a long life leaves behind: resident memory before and after very many requests.

use super::CONNECTIONS;
use super::running::{Programs, Running, digits_v1, digits_v2};
use crate::Row;
use crate::closed_loop::{self, Until};

/// So many come first: buffers and thread stacks have their size then.
const WARM: u64 = 20_000;

/// The figure, after `requests` requests, half of them for each protocol.
///
/// # Errors
/// The server does not start, or an answer is not 200.
pub fn figures(programs: &Programs, requests: u64) -> anyhow::Result<Vec<Row>> {
    let server = Running::start(programs, &programs.example("digits"), &[])?;
    let ask = |count: u64| {
        for request in [digits_v1(), digits_v2()] {
            let until = Until::Requests(count / 2);
            closed_loop::run_until(server.data, &request, CONNECTIONS, until)?;
        }
        server.process.resident_mib()
    };
    let before = ask(WARM.min(requests))?;
    let after = ask(requests)?;
    let row = Row::at_most("memory/digits/growth", after - before, "MiB", 8.0);
    Ok(vec![row.against(format!(
        "{before:.1} MiB resident before {requests} requests"
    ))])
}
