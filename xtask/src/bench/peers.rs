//! Other model servers out of their packages, each in an environment of its own.
//!
//! One that cannot be had here is no reason to measure none: it is handed over with its reason, and
//! stands in the table so.

use anyhow::Result;

use crate::packages::{self, Purpose};
use crate::places::Places;
use crate::python::{self, Environment, Version};

/// Their names, and their pinned packages below `tools/`.
const PEERS: [(&str, &str); 3] = [
    ("triton", "peers/triton.txt"),
    ("kserve", "peers/kserve.txt"),
    ("mlserver", "peers/mlserver.txt"),
];

/// What `aimass-bench` is told about them.
pub(super) fn arguments(places: &Places) -> Vec<String> {
    PEERS
        .into_iter()
        .map(
            |(name, requirements)| match environment(places, name, requirements) {
                Ok(python) => format!("--peer={name}={python}"),
                Err(error) => format!("--absent-peer={name}={error:#}"),
            },
        )
        .collect()
}

fn environment(places: &Places, name: &str, requirements: &str) -> Result<String> {
    if name == "triton" {
        packages::ensure(places, &[Purpose::Peers])?;
    }
    let python = python::ensure(
        places,
        &Environment {
            name,
            requirements: &[requirements],
            version: Version::Exactly311,
        },
    )?;
    Ok(python.display().to_string())
}
