//! A cluster that runs or is being started: what is there of it, and its processes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::clock;
use crate::cluster::files::Files;
use crate::cluster::part::{Lane, Part};
use crate::cluster::process::Network;
use crate::cluster::{control, down, health, network, node, process, setup};
use crate::image::{self, Built};
use crate::places::Places;
use crate::step::{self, Step};

/// How long a process may take until it does its work. It takes 5 s on an idle machine.
const START: Duration = Duration::from_secs(120);

/// A running cluster.
pub(crate) struct Cluster {
    /// Where its files are.
    pub(crate) files: Files,
    /// Where kubectl and the other programs are.
    pub(crate) bin: PathBuf,
}

/// What is there of a cluster.
#[derive(Debug)]
pub(super) enum Condition {
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
        let bin = setup::bin(&files)?;
        Ok(Self { files, bin })
    }

    /// What is there of it, for one that needs the processes of `lane`.
    pub(super) fn condition(&self, lane: Lane) -> Condition {
        if let Some(other) = Files::started().filter(|other| other.root() != self.files.root()) {
            return Condition::Broken(format!("its files are in {}", other.root().display()));
        }
        if !self.files.records().is_dir() || !network::exists() {
            let is_there = down::anything(&self.files);
            let why = "it was started only half-way, or stopped only half-way";
            return if is_there {
                Condition::Broken(why.to_owned())
            } else {
                Condition::Nothing
            };
        }
        if setup::bin(&self.files).ok().as_ref() != Some(&self.bin) {
            return Condition::Broken("it is of another version".to_owned());
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

    /// Starts processes, in their order; first whatever they need, if that is not there.
    ///
    /// # Errors
    /// If one does not get healthy; those before it run on.
    pub(super) fn start(&self, places: &Places, parts: &[Part], pause: &[Built]) -> Result<()> {
        if !self.files.records().is_dir() {
            let step = Step::begin("make network, keys and configuration", None);
            setup::run(&self.files, &self.bin)?;
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
        process::start(
            &self.files,
            join,
            name,
            &self.command(part),
            Network::Cluster,
        )?;
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
