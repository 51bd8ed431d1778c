//! `cargo xtask test`: one lane, or everything in order.
//!
//! A lane is a set of tests with the same needs. `pure` needs nothing; `api` and `node` get a
//! cluster for as long as they run; `hostile` gets the server's binary and h2spec, `clients` the
//! binary and published clients. Each test's own line is passed on; counts are summed up at the end.

mod cluster;
mod counts;
mod runner;

use std::time::Duration;

use anyhow::{Result, bail};

pub(crate) use self::cluster::Shared;
pub(crate) use self::counts::Counts;
pub(crate) use self::runner::{Outcome, Show, log, run as run_command};
use crate::cargo::cargo;
use crate::places::Places;
use crate::{ci, step};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this lane; without it: formats, lints, documents, generated files and all lanes
    #[arg(value_enum)]
    lane: Option<Lane>,
    /// Only tests whose names contain this
    filter: Option<String>,
    /// Replay one plan of faults, as a failing test printed it
    #[arg(long, requires = "lane")]
    plan: Option<String>,
    /// Of everything random
    #[arg(long, requires = "lane")]
    seed: Option<u64>,
    /// Keep the namespaces of tests that passed, and the cluster
    #[arg(long, requires = "lane")]
    keep: bool,
}

/// A set of tests with the same needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lane {
    /// Decisions, codecs, schemas, goldens: needs nothing
    Pure,
    /// The operator against a real API server: needs root
    Api,
    /// Real pods from real images: needs root
    Node,
    /// The server as a process, and callers that mean no good: needs Go for h2spec
    Hostile,
    /// The server as a process, and published clients: needs Python 3.11 and its registry
    Clients,
}

impl Lane {
    /// In the order in which they run.
    pub(crate) const ALL: [Self; 5] = [
        Self::Pure,
        Self::Api,
        Self::Node,
        Self::Hostile,
        Self::Clients,
    ];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Api => "api",
            Self::Node => "node",
            Self::Hostile => "hostile",
            Self::Clients => "clients",
        }
    }

    /// After this it hangs and is ended; a warm run takes a quarter of it.
    const fn limit(self) -> Duration {
        match self {
            // The first one compiles all of it.
            Self::Pure => Duration::from_secs(40 * 60),
            Self::Api | Self::Node | Self::Hostile | Self::Clients => Duration::from_secs(30 * 60),
        }
    }
}

/// What narrows a lane down.
#[derive(Default)]
pub(crate) struct Selection<'a> {
    filter: Option<&'a str>,
    plan: Option<&'a str>,
    seed: Option<u64>,
    keep: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, places: &Places) -> Result<()> {
    let Args {
        lane,
        filter,
        plan,
        seed,
        keep,
    } = args;
    let Some(lane) = *lane else {
        return ci::everything(places);
    };
    let selection = Selection {
        filter: filter.as_deref(),
        plan: plan.as_deref(),
        seed: *seed,
        keep: *keep,
    };
    let shared = Shared::new(places);
    let outcome = run_lane(lane, &selection, places);
    if !keep {
        shared.finish(places)?;
    }
    let outcome = outcome?;
    step::say(&outcome.counts.line(outcome.is_good, outcome.elapsed));
    if outcome.is_good {
        return Ok(());
    }
    bail!(
        "lane {} failed, log: {}",
        lane.name(),
        outcome.log.display()
    )
}

/// Brings up what the lane needs and runs it.
///
/// # Errors
/// If what it needs cannot be had; tests that fail are an outcome.
pub(crate) fn run_lane(lane: Lane, selection: &Selection<'_>, places: &Places) -> Result<Outcome> {
    if lane != Lane::Pure {
        // The lanes start the binaries that lie beside them.
        let mut build = cargo(places, &["build", "--bins", "--test", lane.name()]);
        let log = log(places, &format!("{}-build", lane.name()));
        step::run(
            &format!("build lane {}", lane.name()),
            build.arg("--quiet"),
            &log,
        )?;
    }
    let mut tests = match lane {
        Lane::Pure => cargo(places, &["test", "--no-fail-fast"]),
        _ => cargo(places, &["test", "--test", lane.name()]),
    };
    tests.arg("--").args(selection.filter);
    // These wait for the API server nearly all of the time.
    tests.args((lane == Lane::Api).then_some("--test-threads=4"));
    tests.envs(selection.plan.map(|plan| ("AIMASS_TEST_PLAN", plan)));
    tests.envs(
        selection
            .seed
            .map(|seed| ("AIMASS_TEST_SEED", seed.to_string())),
    );
    tests.envs(selection.keep.then_some(("AIMASS_TEST_KEEP", "1")));
    tests.envs(Shared::environment(lane, places)?);
    let outcome = runner::run(lane.name(), &mut tests, places, (Show::Tests, lane.limit()))?;
    let Counts { passed, failed, .. } = outcome.counts;
    let seconds = outcome.elapsed.as_secs_f64();
    step::say(&format!(
        "lane {}: {passed} passed, {failed} failed ({seconds:.1} s)",
        lane.name()
    ));
    Ok(outcome)
}
