//! `cargo xtask cluster`: the pinned Kubernetes on this machine, in a network namespace of its own.
//!
//! `up` brings it from any state to running, `down` from any state to nothing. The processes do not
//! depend on the tool: it records them and exits.

mod cgroup;
mod control;
pub(crate) mod door;
mod down;
mod files;
mod health;
mod kubeconfig;
mod mounts;
mod network;
mod node;
mod part;
mod process;
mod running;
mod sandbox;
mod setup;

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::{Args as ClapArgs, Subcommand};

pub(crate) use files::Files;
pub(crate) use node::socket;
pub(crate) use part::Lane;
use part::Part;
pub(crate) use running::Cluster;
use running::Condition;

use crate::image;
use crate::packages::{self, Purpose};
use crate::places::Places;
use crate::{kubernetes, step};

/// The image of the container that holds a pod's namespaces.
pub(crate) const PAUSE_IMAGE: &str = "aimass.test/pause:1";

/// Options of `cargo xtask cluster`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start it, unless it runs
    Up {
        /// How much of it
        #[arg(long, value_enum, default_value_t = Lane::Full)]
        lane: Lane,
    },
    /// Stop it and remove everything but its logs
    Down,
    /// Show its processes and how they are
    Status,
    /// Print what points a shell to it: eval "$(cargo xtask cluster env)"
    Env,
}

/// Runs the command.
///
/// # Errors
/// If it fails.
pub(crate) fn run(args: &Args, places: &Places) -> Result<()> {
    match args.action {
        Action::Up { lane } => up(places, lane).map(|_| ()),
        Action::Down => stop(places),
        Action::Status => status(places),
        Action::Env => env(places),
    }
}

/// Sees to it that a cluster runs, with at least the processes of `lane`.
///
/// # Errors
/// If it cannot be started. One that was started from nothing is removed again, but for its logs.
pub(crate) fn up(places: &Places, lane: Lane) -> Result<Cluster> {
    require_root("start")?;
    let purposes: &[Purpose] = match lane {
        Lane::Control => &[Purpose::ControlPlane],
        Lane::Full => &[Purpose::ControlPlane, Purpose::Node],
    };
    packages::ensure(places, purposes)?;
    let bin = kubernetes::ensure(places)?;
    let _lock = lock(places)?;
    let cluster = Cluster {
        files: Files::new(places.state()),
        bin,
    };
    let files = &cluster.files;
    let condition = cluster.condition(lane);
    let is_extended = matches!(condition, Condition::Incomplete(_));
    let missing = match condition {
        Condition::Healthy => {
            step::say("The cluster runs already.");
            return Ok(cluster);
        }
        Condition::Incomplete(parts) => parts,
        Condition::Broken(why) => {
            step::say(&format!(
                "A cluster is there, but {why}: removing it first."
            ));
            down::run(files)?;
            parts(lane)
        }
        Condition::Nothing => parts(lane),
    };
    // Before anything starts: what can fail without a cluster does.
    let pause = match lane {
        Lane::Control => Vec::new(),
        Lane::Full => vec![image::pause(places)?],
    };
    if let Err(error) = cluster.start(places, &missing, &pause) {
        if is_extended {
            return Err(error.context("the cluster is not complete; what ran before runs on"));
        }
        let _ = down::run(files);
        return Err(error.context("the cluster does not start"));
    }
    Ok(cluster)
}

fn parts(lane: Lane) -> Vec<Part> {
    Part::ALL
        .into_iter()
        .filter(|part| part.is_in(lane))
        .collect()
}

/// Stops the cluster, if there is one, and removes everything but its logs.
///
/// # Errors
/// If something cannot be removed.
pub(crate) fn stop(places: &Places) -> Result<()> {
    require_root("stop")?;
    let _lock = lock(places)?;
    let files = Files::new(places.state());
    if !down::anything(&files) {
        step::say("No cluster is there.");
        return Ok(());
    }
    down::run(&files)
}

fn status(places: &Places) -> Result<()> {
    let cluster = Cluster::running(places)?;
    let mut well = true;
    for part in Part::ALL {
        let name = part.name();
        let Some(record) = process::record(&cluster.files, name) else {
            step::say(&format!("{name:24} not started"));
            continue;
        };
        let health = match health::check(&cluster.bin, &cluster.files, part) {
            _ if !record.is_alive() => Err(format!(
                "has ended, log: {}",
                cluster.files.log(name).display()
            )),
            health => health,
        };
        well &= health.is_ok();
        let said = health.err().unwrap_or_else(|| "healthy".to_owned());
        step::say(&format!("{name:24} {:>8}  {said}", record.pid));
    }
    if !well {
        bail!("not everything is healthy: `cargo xtask cluster up` starts it anew");
    }
    Ok(())
}

fn env(places: &Places) -> Result<()> {
    let cluster = Cluster::running(places)?;
    step::say(&format!(
        "export KUBECONFIG={}",
        quote(&cluster.files.kubeconfig())
    ));
    step::say(&format!("export PATH={}:\"$PATH\"", quote(&cluster.bin)));
    Ok(())
}

/// For a shell.
fn quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn require_root(verb: &str) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!("only root can {verb} the cluster (namespaces, mounts, control groups): use sudo -E")
}

/// One command at a time per machine; released when the process ends.
fn lock(places: &Places) -> Result<File> {
    let folder = places.cache();
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    let path = folder.join("cluster.lock");
    let file = File::create(&path)
        .with_context(|| format!("failed to create the lock {}", path.display()))?;
    if file.try_lock().is_err() {
        step::say("Waiting for another `cargo xtask` that starts or stops the cluster.");
        file.lock()
            .with_context(|| format!("failed to lock {}", path.display()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_lane_has_no_node() {
        assert_eq!(
            parts(Lane::Control),
            [Part::Etcd, Part::ApiServer, Part::ControllerManager]
        );
        assert_eq!(parts(Lane::Full), Part::ALL);
    }

    #[test]
    fn a_shell_reads_any_path() {
        assert_eq!(quote(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
