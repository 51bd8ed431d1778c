//! `cargo xtask bench`: the project's figures, each beside what it is compared with.
//!
//! Builds what is measured exactly as the images are, brings what a figure needs (a cluster, models,
//! a Python with onnxruntime, other servers), and hands over to the program `aimass-bench`.

mod group;
mod peers;

use std::process::Command;

use anyhow::Result;

use self::group::Group;
use crate::cluster::{self, Lane};
use crate::models::{self, Part};
use crate::places::Places;
use crate::{helm, image, step};

/// What is built for it: what is measured, and what measures.
const PACKAGES: [&str; 3] = ["aimass-operator", "aimass-server", "aimass-bench"];

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure; default: what needs no download
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// Print JSON lines instead of a table
    #[arg(long)]
    json: bool,
    /// Print a Markdown table, as in docs/benchmarks.md
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// How long each run of a load takes, in seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How many requests `memory` sends
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Only models whose cases are named like this (`engines`)
    #[arg(long, default_value = "")]
    model: String,
    /// How many ModelDeployments at once (`operator`)
    #[arg(long, default_value_t = 100)]
    objects: usize,
    /// How often a model is woken (`scale`)
    #[arg(long, default_value_t = 20)]
    wakes: usize,
}

/// Runs the command.
///
/// # Errors
/// If something cannot be built, started or measured.
pub(crate) fn run(args: &Args, places: &Places) -> Result<()> {
    let groups = group::expand(&args.groups);
    let needs = |need: fn(Group) -> bool| groups.iter().copied().any(need);
    // What may be missing is looked for before anything takes its time.
    let models = if needs(Group::needs_models) {
        models::ensure(places, Part::Cases).map(Some)?
    } else {
        models::if_there(places, Part::Fetch)
    };
    let python = needs(Group::needs_onnxruntime)
        .then(|| models::python(places))
        .transpose()?;
    let peers = peers::arguments(places, &groups);
    let binaries = image::binaries(places, &PACKAGES)?;
    let mut bench = Command::new(binaries.join("aimass-bench"));
    let repository = places.repository();
    bench
        .args(groups.iter().map(|group| group.name()))
        .arg("--binaries")
        .arg(&binaries)
        .arg("--examples")
        .arg(repository.join("examples"))
        .arg("--tools")
        .arg(repository.join("tools"))
        .arg(format!("--seconds={}", args.seconds))
        .arg(format!("--requests={}", args.requests))
        .arg(format!("--model={}", args.model))
        .arg(format!("--objects={}", args.objects))
        .arg(format!("--wakes={}", args.wakes))
        .args(args.json.then_some("--json"))
        .args(args.markdown.then_some("--markdown"));
    if let Some(models) = models {
        bench.arg("--models").arg(models);
    }
    bench.args(peers);
    if let Some(python) = python {
        bench.arg("--python").arg(python);
    }
    if needs(Group::needs_helm) {
        bench.arg("--helm").arg(helm::binary(places)?);
    }
    if needs(Group::needs_cluster) {
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
