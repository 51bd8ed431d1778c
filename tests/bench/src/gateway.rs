//! The gateway: what it adds to an answer, how much one core of it bears, how it refuses, and what callers cost who only wait.
//!
//! Its real code in a process of its own on core 0 (`bin/bench-gateway.rs`), with a table made by hand of a [`site`]; the load
//! shares the other core with the [`pod`] that answers. The gateway of a cluster differs in that its table comes from the API
//! server, and that one address may send it 1,000 requests a second only: here all callers have the same address.

mod added;
mod envoy;
mod idle;
mod lookups;
mod neighbour;
pub mod pod;
mod refusals;
mod running;
pub mod serve;
pub mod site;
mod tables;
mod throughput;

use std::path::PathBuf;
use std::time::Duration;

use crate::Row;

/// Rounds of alternation; a figure is their median.
const ROUNDS: usize = 3;
/// Before anything counts: connections to the pod are made, buffers have their size.
const WARM_UP: Duration = Duration::from_secs(1);

/// What the figures need.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Folder of `bench-gateway`.
    pub binaries: PathBuf,
    /// The Python whose package has Envoy, or why there is none.
    pub envoy: Result<PathBuf, String>,
    /// How long each run takes.
    pub run: Duration,
}

/// One of them, or those that are measured in one run.
type Figures = fn(&Setting) -> anyhow::Result<Vec<Row>>;

/// All figures.
///
/// # Errors
/// The gateway does not start, or answers what it should not.
pub fn figures(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let figures: [Figures; 7] = [
        added::figures,
        throughput::figures,
        refusals::figures,
        idle::figures,
        neighbour::figures,
        lookups::figures,
        tables::figures,
    ];
    let mut rows = Vec::new();
    for figure in figures {
        rows.extend(figure(setting)?);
    }
    Ok(rows)
}

/// A prediction's body of exactly so many bytes, at least 24: one row of numbers.
fn json_of(bytes: usize) -> String {
    let (head, number, tail) = (r#"{"instances":[[1.25"#, ",0.5", "]]}");
    let room = bytes.saturating_sub(head.len() + tail.len());
    let (numbers, rest) = (room / number.len(), room % number.len());
    // What is left over is white space, which JSON allows there.
    format!("{head}{}{}{tail}", number.repeat(numbers), " ".repeat(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_size_that_was_asked_for_and_is_json() {
        for bytes in [24, 64, 1024] {
            let body = json_of(bytes);
            assert_eq!(body.len(), bytes);
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert!(value["instances"][0].is_array());
        }
    }
}
