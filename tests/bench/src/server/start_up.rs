//! Time from starting the process until it is ready.

use std::time::Instant;

use super::running::{Programs, Running};
use crate::{Row, median};

/// So many starts, of which the median counts.
const STARTS: usize = 11;

/// The figures; the sentence encoder only where models were fetched.
///
/// # Errors
/// The server does not start.
pub fn figures(programs: &Programs) -> anyhow::Result<Vec<Row>> {
    let mut models = vec![
        ("linear", programs.example("linear"), 50.0),
        ("digits", programs.example("digits"), 50.0),
    ];
    models.extend(programs.minilm().map(|file| ("minilm", file, 400.0)));
    let mut rows = Vec::new();
    for (model, file, goal_ms) in models {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let start = Instant::now();
            let server = Running::start(programs, &file, &[])?;
            times.push(start.elapsed().as_secs_f64() * 1000.0);
            drop(server);
        }
        let name = format!("server/{model}/start-to-ready");
        rows.push(Row::at_most(&name, median(times), "ms", goal_ms));
    }
    Ok(rows)
}
