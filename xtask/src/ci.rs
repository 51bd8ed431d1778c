//! `cargo xtask ci`: everything that must hold, in order; the same as `cargo xtask test` alone.
//!
//! Nothing is left out when something fails: the end lists every failure with its log.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::cargo::{cargo, plain_cargo};
use crate::places::Places;
use crate::test::{self, Counts, Lane, Selection, Shared, Show};
use crate::{chart, clock, codegen, step};

/// Each of these ends within it, also when it compiles everything.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Options of `cargo xtask ci`: there are none, so that everybody runs the same.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: &Args, places: &Places) -> Result<()> {
    everything(places)
}

/// Runs everything: format, lints, documentation, tidiness, generated files, the chart, the lanes.
pub(crate) fn everything(places: &Places) -> Result<()> {
    let began = clock::now();
    let mut all = Counts::default();
    let mut failed = Vec::new();
    for (name, mut command) in checks(places) {
        let outcome = test::run_command(name, &mut command, places, (Show::Progress, LIMIT))?;
        note(name, outcome.is_good, outcome.elapsed, &mut all);
        if !outcome.is_good {
            failed.push(format!("{name}, log: {}", outcome.log.display()));
        }
    }
    let before = clock::now();
    let chart = chart::lint(places).and_then(|()| codegen::check_install(places));
    note("chart", chart.is_ok(), before.elapsed(), &mut all);
    failed.extend(chart.err().map(|error| format!("chart: {error:#}")));
    let shared = Shared::new(places);
    for lane in Lane::ALL {
        match test::run_lane(lane, &Selection::default(), places) {
            Ok(outcome) => {
                all += outcome.counts;
                if !outcome.is_good {
                    failed.push(format!(
                        "lane {}, log: {}",
                        lane.name(),
                        outcome.log.display()
                    ));
                }
            }
            Err(error) => {
                all.failed += 1;
                failed.push(format!("lane {}: {error:#}", lane.name()));
            }
        }
    }
    failed.extend(
        shared
            .finish(places)
            .err()
            .map(|error| format!("cluster down: {error:#}")),
    );
    if !failed.is_empty() {
        step::say(&format!("\nfailed:\n  {}", failed.join("\n  ")));
    }
    step::say(&all.line(failed.is_empty(), began.elapsed()));
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} of the checks and lanes failed, see above", failed.len())
}

/// Counts a check as one test and says how it ended, as libtest does.
fn note(name: &str, is_good: bool, elapsed: Duration, all: &mut Counts) {
    let word = if is_good { "ok" } else { "FAILED" };
    step::say(&format!(
        "test {name} ... {word} <{:.1}s>",
        elapsed.as_secs_f64()
    ));
    let count = if is_good {
        &mut all.passed
    } else {
        &mut all.failed
    };
    *count = count.saturating_add(1);
}

/// What is checked before anything runs.
fn checks(places: &Places) -> Vec<(&'static str, Command)> {
    let lint = ["--", "-D", "warnings"];
    let lanes = [
        "clippy",
        "--test=api",
        "--test=node",
        "--test=hostile",
        "--test=clients",
    ];
    let format = plain_cargo(places, &["fmt", "--all", "--check"]);
    let mut clippy = cargo(places, &["clippy", "--all-targets"]);
    clippy.args(lint);
    // The lanes are no part of all targets: plain `cargo test` must leave them out.
    let mut clippy_lanes = cargo(places, &lanes);
    clippy_lanes.args(lint);
    let mut docs = cargo(places, &["doc", "--no-deps", "--document-private-items"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    let tidy = cargo(places, &["test", "--test=tidy"]);
    let fresh = cargo(places, &["test", "--test=fresh"]);
    // All members together have more features than these have alone.
    let alone = plain_cargo(
        places,
        &[
            "check",
            "--locked",
            "--lib",
            "-p=aimass-crds",
            "-p=aimass-protocol",
            "-p=aimass-plan",
        ],
    );
    vec![
        ("format", format),
        ("clippy", clippy),
        ("clippy-lanes", clippy_lanes),
        ("docs", docs),
        ("tidy", tidy),
        ("fresh", fresh),
        ("pure-crates-alone", alone),
    ]
}
