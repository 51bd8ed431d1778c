//! Debian packages: which are needed for what, and their installation when a file is missing.
//!
//! The plan is pure; only `ensure` looks at the disk and calls apt.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::places::Places;
use crate::step;

/// What of a package must be there, and for which purpose.
struct Need {
    package: &'static str,
    purpose: Purpose,
    file: Wanted,
}

/// How a package is recognised as installed: by what is used of it.
enum Wanted {
    /// A command on the search path.
    Program(&'static str),
    /// One of these files: the places differ between distributions.
    OneOf(&'static [&'static str]),
}

/// For what packages are asked for. A later one includes no earlier one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A namespace and the control plane in it.
    ControlPlane,
    /// A node that runs containers.
    Node,
    /// Building images.
    Images,
    /// Environments for Python packages.
    Python,
    /// Starting other model servers beside ours.
    Peers,
    /// Taking models out of packages.
    Models,
}

/// Where the plug-ins for pods' interfaces may be, Debian's place first.
pub(crate) const PLUGIN_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Where Mozilla's certificate authorities are, without those that a machine's owner added.
pub(crate) const AUTHORITIES: &str = "/usr/share/ca-certificates/mozilla";

/// What Debian leaves out of its Python: without it no environment has pip.
const ENSUREPIP: [&str; 3] = [
    "/usr/lib/python3.11/ensurepip/__init__.py",
    "/usr/lib/python3.12/ensurepip/__init__.py",
    "/usr/lib/python3.13/ensurepip/__init__.py",
];

/// What Triton's Python backend is linked to.
const LIBPYTHON: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0",
    "/usr/lib/aarch64-linux-gnu/libpython3.11.so.1.0",
];

const NEEDS: [Need; 16] = [
    program("iproute2", Purpose::ControlPlane, "ip"),
    program("util-linux", Purpose::ControlPlane, "setsid"),
    program("util-linux", Purpose::ControlPlane, "nsenter"),
    // For downloads of Go modules, before anything is built.
    file(
        "ca-certificates",
        Purpose::ControlPlane,
        &["/etc/ssl/certs/ca-certificates.crt"],
    ),
    program("containerd", Purpose::Node, "containerd"),
    program("containerd", Purpose::Node, "ctr"),
    program("runc", Purpose::Node, "runc"),
    file(
        "containernetworking-plugins",
        Purpose::Node,
        &["/usr/lib/cni/ptp", "/opt/cni/bin/ptp"],
    ),
    program("nftables", Purpose::Node, "nft"),
    program("mount", Purpose::Node, "mount"),
    file("ca-certificates", Purpose::Images, &[AUTHORITIES]),
    program("python3", Purpose::Python, "python3"),
    file("python3-venv", Purpose::Python, &ENSUREPIP),
    file("libpython3.11", Purpose::Peers, &LIBPYTHON),
    program("npm", Purpose::Models, "npm"),
    program("unzip", Purpose::Models, "unzip"),
];

const fn program(package: &'static str, purpose: Purpose, name: &'static str) -> Need {
    Need {
        package,
        purpose,
        file: Wanted::Program(name),
    }
}

const fn file(package: &'static str, purpose: Purpose, paths: &'static [&'static str]) -> Need {
    Need {
        package,
        purpose,
        file: Wanted::OneOf(paths),
    }
}

/// Sees to it that what `purposes` need is installed.
///
/// # Errors
/// If something is missing and cannot be installed here: says what to install by hand.
pub(crate) fn ensure(places: &Places, purposes: &[Purpose]) -> Result<()> {
    let missing = missing(purposes, &|wanted| is_there(places, wanted));
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if places.program("apt-get").is_none() {
        bail!("missing: {names} (Debian's names): install them with this system's package manager");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("missing Debian packages: install them with: sudo apt-get install {names}");
    }
    step::say(&format!("Installing the Debian packages {names}."));
    let log = places.cache().join("packages.log");
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let cure = "is the package mirror reachable? the packages can also be installed by hand";
    let context = |error: anyhow::Error| error.context(cure);
    step::run("apt-get update", apt().arg("update"), &log).map_err(context)?;
    let mut install = apt();
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&missing);
    step::run(&format!("apt-get install {names}"), &mut install, &log).map_err(context)
}

/// The packages to install, each once, in the order of the table.
fn missing(purposes: &[Purpose], is_there: &dyn Fn(&Wanted) -> bool) -> Vec<&'static str> {
    let mut missing = Vec::new();
    for Need {
        package,
        purpose,
        file,
    } in &NEEDS
    {
        if purposes.contains(purpose) && !missing.contains(package) && !is_there(file) {
            missing.push(*package);
        }
    }
    missing
}

fn is_there(places: &Places, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Program(name) => places.program(name).is_some(),
        Wanted::OneOf(paths) => paths.iter().any(|path| Path::new(path).exists()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(purposes: &[Purpose], installed: &[&str], expect: &[&str]) {
        let is_there = |wanted: &Wanted| match wanted {
            Wanted::Program(name) => installed.contains(name),
            Wanted::OneOf(paths) => paths.iter().any(|path| installed.contains(path)),
        };
        assert_eq!(missing(purposes, &is_there), expect);
    }

    #[test]
    fn a_package_is_named_once() {
        let expect = ["iproute2", "util-linux", "ca-certificates"];
        check(&[Purpose::ControlPlane], &[], &expect);
    }

    #[test]
    fn one_missing_file_is_enough() {
        let installed = ["containerd", "runc", "/opt/cni/bin/ptp", "nft", "mount"];
        check(&[Purpose::Node], &installed, &["containerd"]);
    }

    #[test]
    fn what_is_there_is_left_alone() {
        check(&[Purpose::Images], &[AUTHORITIES], &[]);
        check(&[], &[], &[]);
    }
}
