//! `cargo xtask bench`: the project's figures, each beside what it is compared with.
//!
//! Builds what is measured exactly as the images are, brings up the cluster where a figure needs
//! one, and hands over to the program `aimass-bench`.

use std::process::Command;

use anyhow::Result;

use crate::cluster::{self, Lane};
use crate::places::Places;
use crate::{image, step};

/// What is built for it: what is measured, and what measures.
const PACKAGES: [&str; 3] = ["aimass-operator", "aimass-server", "aimass-bench"];

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Figures whose names begin so: `server/start-up`, `server/requests`, `operator`; default all
    names: Vec<String>,
    /// Print JSON lines instead of a table
    #[arg(long)]
    json: bool,
    /// How many ModelDeployments at once
    #[arg(long, default_value_t = 100)]
    objects: usize,
}

impl Args {
    /// Whether a figure is wanted that needs a cluster.
    fn needs_cluster(&self) -> bool {
        self.names.is_empty()
            || self
                .names
                .iter()
                .any(|name| "operator".starts_with(name.as_str()))
    }
}

/// Runs the command.
///
/// # Errors
/// If something cannot be built, started or measured.
pub(crate) fn run(args: &Args, places: &Places) -> Result<()> {
    let binaries = image::binaries(places, &PACKAGES)?;
    let mut bench = Command::new(binaries.join("aimass-bench"));
    bench.arg("--binaries").arg(&binaries);
    bench
        .arg("--examples")
        .arg(places.repository().join("examples"));
    bench.args(&args.names).args(args.json.then_some("--json"));
    bench.arg(format!("--objects={}", args.objects));
    if args.needs_cluster() {
        let cluster = cluster::up(places, Lane::Full)?;
        image::import(places, &image::build(places)?)?;
        bench.arg("--kubeconfig").arg(cluster.files.kubeconfig());
        bench.arg("--audit").arg(cluster.files.audit());
    }
    if !args.json {
        step::say("Measuring; nothing else should run on this machine now.");
    }
    let status = bench.status()?;
    if !status.success() {
        anyhow::bail!("aimass-bench ended with {status}");
    }
    Ok(())
}
