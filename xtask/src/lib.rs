//! The project's own tool: one file per command.
//!
//! Runs on the desk and in continuous integration alike; there is no shell logic beside it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to its user there"
)]

mod clock;
mod cluster;
mod demo;
mod image;
mod places;
mod step;

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
    /// Start, stop and show the pinned Kubernetes on this machine
    Cluster(cluster::Args),
    /// The whole thread: a cluster, images, aimass, two models, requests and their answers
    Demo(demo::Args),
    /// Build the container images, without Docker
    Image(image::Args),
}

/// Parses the command line, runs the command, prints what failed.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { command, places } = Cli::parse();
    let result = match command {
        Command::Cluster(args) => cluster::run(&args, &places),
        Command::Demo(args) => demo::run(&args, &places),
        Command::Image(args) => image::run(&args, &places),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
