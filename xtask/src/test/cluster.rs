//! The cluster of the lanes: one for the whole run, with what each lane needs of it.
//!
//! A cluster that ran before is used and left running; one that was started here is taken down.

use std::path::PathBuf;

use anyhow::Result;

use super::Lane;
use crate::cluster::{self, Cluster};
use crate::places::Places;
use crate::python::{self, Environment, Version};
use crate::{h2spec, helm, image};

/// What was there when the run began.
pub(crate) struct Shared {
    was_there: bool,
}

impl Shared {
    /// Before the first lane.
    pub(crate) fn new(places: &Places) -> Self {
        Self {
            was_there: Cluster::running(places).is_ok(),
        }
    }

    /// Brings up what the lane needs; what tells its tests where that is.
    pub(super) fn environment(lane: Lane, places: &Places) -> Result<Vec<(&'static str, PathBuf)>> {
        let cluster = match lane {
            Lane::Pure => return Ok(Vec::new()),
            Lane::Hostile => return Ok(vec![("AIMASS_TEST_H2SPEC", h2spec::binary(places)?)]),
            Lane::Clients => return Ok(vec![("AIMASS_TEST_PYTHON", clients(places)?)]),
            Lane::Api => cluster::up(places, cluster::Lane::Control)?,
            Lane::Node => {
                let cluster = cluster::up(places, cluster::Lane::Full)?;
                image::import(places, &image::build(places)?)?;
                cluster
            }
        };
        let mut environment = vec![
            ("AIMASS_TEST_KUBECONFIG", cluster.files.kubeconfig()),
            ("AIMASS_TEST_AUDIT", cluster.files.audit()),
        ];
        if lane == Lane::Node {
            environment.push(("AIMASS_TEST_HELM", helm::binary(places)?));
        }
        Ok(environment)
    }

    /// After the last lane.
    pub(crate) fn finish(self, places: &Places) -> Result<()> {
        if self.was_there || Cluster::running(places).is_err() {
            return Ok(());
        }
        cluster::stop(places)
    }
}

/// An interpreter with the published clients.
fn clients(places: &Places) -> Result<PathBuf> {
    python::ensure(
        places,
        &Environment {
            name: "clients",
            requirements: &["clients/requirements.txt"],
            version: Version::AtLeast311,
        },
    )
}
