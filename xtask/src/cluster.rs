//! `cargo xtask cluster`: the pinned Kubernetes on this machine, in a network namespace of its own.
//!
//! `up` brings it from any state to running, `down` from any state to nothing. The processes do not
//! depend on the tool: it records them and exits.

mod cgroup;
mod control;
mod down;
mod files;
mod health;
mod kubeconfig;
mod mounts;
mod network;
mod node;
mod part;
mod process;
mod sandbox;
mod setup;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args as ClapArgs, Subcommand};

pub(crate) use files::Files;
pub(crate) use node::socket;
pub(crate) use part::Lane;
use part::Part;

use crate::image::{self, Built};
use crate::packages::{self, Purpose};
use crate::places::Places;
use crate::step::{self, Step};
use crate::{clock, kubernetes};

/// The image of the container that holds a pod's namespaces.
pub(crate) const PAUSE_IMAGE: &str = "aimass.test/pause:1";

/// How long a process may take until it does its work. It takes 5 s on an idle machine.
const START: Duration = Duration::from_secs(120);

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

/// A running cluster.
pub(crate) struct Cluster {
    /// Where its files are.
    pub(crate) files: Files,
    /// Where kubectl and the other programs are.
    pub(crate) bin: PathBuf,
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
/// If it cannot be started; what was started is stopped again, its logs are left.
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
    let missing = match cluster.condition(lane) {
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
        let _ = down::run(files);
        return Err(error.context("the cluster does not start"));
    }
    Ok(cluster)
}

/// What is there of a cluster.
#[derive(Debug)]
enum Condition {
    /// Nothing at all.
    Nothing,
    /// What runs is healthy; these were never started.
    Incomplete(Vec<Part>),
    /// All that is wanted runs.
    Healthy,
    /// Not worth repairing, and why.
    Broken(String),
}

impl Cluster {
    /// Whether one was started that has a node.
    pub(crate) fn is_there(places: &Places) -> bool {
        let files = Files::new(places.state());
        let record = process::record(&files, Part::Containerd.name());
        record.is_some_and(|record| record.is_alive())
    }

    /// The cluster that was started before.
    ///
    /// # Errors
    /// If none is there.
    pub(crate) fn running(places: &Places) -> Result<Self> {
        let files = Files::new(places.state());
        if !files.records().is_dir() {
            bail!("no cluster runs: start one with `cargo xtask cluster up`");
        }
        Ok(Self {
            files,
            bin: kubernetes::ensure(places)?,
        })
    }

    fn condition(&self, lane: Lane) -> Condition {
        if !self.files.records().is_dir() || !network::exists() {
            let is_there = down::anything(&self.files);
            let why = "it was started only half-way, or stopped only half-way";
            return if is_there {
                Condition::Broken(why.to_owned())
            } else {
                Condition::Nothing
            };
        }
        let mut missing = Vec::new();
        for part in Part::ALL {
            let name = part.name();
            match process::record(&self.files, name) {
                None if part.is_in(lane) => missing.push(part),
                None => {}
                Some(record) if !record.is_alive() => {
                    return Condition::Broken(format!("{name} has ended"));
                }
                Some(_) => {
                    // A short wait: the machine may be busy.
                    let limit = Duration::from_secs(10);
                    let mut why = String::new();
                    let healthy = clock::wait_for(limit, || {
                        health::check(&self.bin, &self.files, part)
                            .map_err(|e| why = e)
                            .ok()
                    });
                    if healthy.is_none() {
                        return Condition::Broken(format!("{name} is not healthy ({why})"));
                    }
                }
            }
        }
        if missing.is_empty() {
            Condition::Healthy
        } else {
            Condition::Incomplete(missing)
        }
    }

    fn start(&self, places: &Places, parts: &[Part], pause: &[Built]) -> Result<()> {
        if !self.files.records().is_dir() {
            let step = Step::begin("make network, keys and configuration", None);
            setup::run(&self.files)?;
            step.done("");
        }
        let join = setup::join(&self.files)?;
        for &part in parts {
            self.start_one(part, &join)?;
            if part == Part::Containerd {
                // Before the kubelet can ask for it: there is no registry that has it.
                image::import(places, pause)?;
            }
        }
        Ok(())
    }

    fn start_one(&self, part: Part, join: &Path) -> Result<()> {
        let name = part.name();
        let log = self.files.log(name);
        let mut step = Step::begin(format!("start {name}"), Some(&log));
        process::start(&self.files, join, name, &self.command(part))?;
        let record = process::record(&self.files, name).context("the record was just written")?;
        let mut why = String::new();
        let healthy = clock::wait_for(START, || {
            step.tick();
            let healthy = health::check(&self.bin, &self.files, part)
                .map_err(|e| why = e)
                .is_ok();
            (healthy || !record.is_alive()).then_some(healthy)
        });
        let said = || format!("\n{}\nlog: {}", step::tail(&log), log.display());
        match healthy {
            Some(true) => step.done(""),
            Some(false) => bail!("{name} has ended by itself{}", said()),
            None => bail!("{name} is not healthy after {START:?}: {why}{}", said()),
        }
        Ok(())
    }

    fn command(&self, part: Part) -> Command {
        let Self { files, bin } = self;
        match part {
            Part::Etcd => control::etcd(bin, files),
            Part::ApiServer => control::api_server(bin, files),
            Part::ControllerManager => control::controller_manager(bin, files),
            Part::Scheduler => control::scheduler(bin, files),
            Part::Containerd => node::containerd(files),
            Part::Kubelet => node::kubelet(bin, files),
            Part::Proxy => node::proxy(bin, files),
        }
    }
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
