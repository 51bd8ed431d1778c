//! What each trained model takes: a server of its own per model file, from start to ready, its memory
//! once it is, and the limit that its pod should be given.

use std::path::Path;
use std::time::Instant;

use crate::Row;
use crate::engines::case::{self, Case};
use crate::server::running::{Programs, Running};

/// The part of a pod's limit that the server plans with (it refuses what would need more).
const USABLE: f64 = 0.8;

/// The figures of all cases of one row whose names contain `filter`, each model file once.
///
/// # Errors
/// There are no cases. A model that the server refuses is a row.
pub fn figures(programs: &Programs, cases: &Path, filter: &str) -> anyhow::Result<Vec<Row>> {
    let mut cases = case::list(cases, filter)?;
    cases.retain(|case| case.batch == 1);
    let mut seen = Vec::new();
    let mut rows = Vec::new();
    for case in cases {
        let file = case.model.canonicalize()?;
        if !seen.contains(&file) {
            rows.extend(one(programs, &case));
            seen.push(file);
        }
    }
    Ok(rows)
}

fn one(programs: &Programs, case: &Case) -> Vec<Row> {
    let name = |what: &str| format!("models/{}/{what}", case.key);
    let start = Instant::now();
    let server = match Running::start(programs, &case.model, &[]) {
        Ok(server) => server,
        Err(error) => {
            let reason: String = format!("{error:#}").chars().take(200).collect();
            let row = Row::plain(&name("refused"), 0.0, "runs");
            return vec![row.against(reason.replace('\n', " "))];
        }
    };
    let ready = start.elapsed().as_secs_f64() * 1000.0;
    let Ok((resident, peak)) = server
        .process
        .resident_mib()
        .and_then(|resident| Ok((resident, server.process.peak_mib()?)))
    else {
        return Vec::new();
    };
    vec![
        Row::plain(&name("start-to-ready"), ready, "ms"),
        Row::plain(&name("resident"), resident, "MiB")
            .against(format!("{peak:.0} MiB at the most, while it was loaded")),
        Row::plain(&name("limit"), peak / USABLE, "MiB"),
    ]
}
