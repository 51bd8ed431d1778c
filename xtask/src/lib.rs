//! The project's own tool: one file per command.
//!
//! Runs on the desk and in continuous integration alike; there is no shell logic beside it.

#![expect(
    clippy::print_stderr,
    reason = "a command-line tool speaks to its user there"
)]

mod bench;
mod cargo;
mod chart;
mod ci;
mod clock;
mod cluster;
mod codegen;
mod demo;
mod fuzz;
mod go;
mod h2spec;
mod helm;
mod http;
mod image;
mod kubernetes;
mod models;
mod packages;
mod pki;
mod places;
mod python;
mod relay;
mod step;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// `cargo xtask`
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
#[command(about = "The project's own tool")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    places: places::Places,
}

/// One variant per command, each in the file of its name.
#[derive(Subcommand)]
enum Command {
    /// Measure the project's figures, each beside what it is compared with
    Bench(bench::Args),
    /// Lint, render and package the Helm chart
    Chart(chart::Args),
    /// Everything that must hold: format, lints, documents, generated files, all lanes of tests
    Ci(ci::Args),
    /// Start, stop and show the pinned Kubernetes on this machine
    Cluster(cluster::Args),
    /// Write every generated file, or find the stale ones
    Codegen(codegen::Args),
    /// The whole thread: a cluster, images, aimass, two models, requests and their answers
    Demo(demo::Args),
    /// Look for inputs for which something does not hold, for a bounded time
    Fuzz(fuzz::Args),
    /// Build the container images, without Docker
    Image(image::Args),
    /// Bring trained models out of packages, record golden cases and answers
    Models(models::Args),
    /// Hand connections on to addresses that only this machine reaches
    #[command(hide = true)]
    Relay(relay::Args),
    /// Run one lane of tests, or everything
    Test(test::Args),
}

/// Parses the command line, runs the command, prints what failed.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { command, places } = Cli::parse();
    let result = match command {
        Command::Bench(args) => bench::run(&args, &places),
        Command::Chart(args) => chart::run(&args, &places),
        Command::Ci(args) => ci::run(&args, &places),
        Command::Codegen(args) => codegen::run(&args, &places),
        Command::Cluster(args) => cluster::run(&args, &places),
        Command::Demo(args) => demo::run(&args, &places),
        Command::Fuzz(args) => fuzz::run(&args, &places),
        Command::Image(args) => image::run(&args, &places),
        Command::Models(args) => models::run(&args, &places),
        Command::Relay(args) => relay::run(&args),
        Command::Test(args) => test::run(&args, &places),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
