//! Python for models, reference figures and clients: an interpreter, and virtual environments with
//! pinned packages, kept outside of the tree.
//!
//! A folder of the cache is named after the hash of what is in it. Packages come from the registry
//! that this machine's pip is set up for; each is pinned by version and hash. Called by `models.rs`,
//! `bench.rs` and the lane `clients`; nothing that is shipped needs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::go;
use crate::packages::{self, Purpose};
use crate::places::Places;
use crate::step;

/// Which interpreters are good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Exactly 3.11: the hashes are of its wheels.
    Exactly311,
    /// 3.11 or newer.
    AtLeast311,
}

impl Version {
    /// Commands to try, the best first.
    const fn commands(self) -> &'static [&'static str] {
        match self {
            Self::Exactly311 => &["python3.11", "python3"],
            Self::AtLeast311 => &["python3.11", "python3.12", "python3.13", "python3"],
        }
    }

    const fn allows(self, minor: u32) -> bool {
        match self {
            Self::Exactly311 => minor == 11,
            Self::AtLeast311 => minor >= 11,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Exactly311 => "Python 3.11",
            Self::AtLeast311 => "Python 3.11 or newer",
        }
    }
}

/// One virtual environment.
pub(crate) struct Environment<'a> {
    /// Its part of the cache.
    pub(crate) name: &'a str,
    /// Files in pip's format below `tools/`, with hashes.
    pub(crate) requirements: &'a [&'a str],
    /// The interpreter.
    pub(crate) version: Version,
}

/// The interpreter of the environment; makes it where it is not there yet.
///
/// # Errors
/// There is no such Python, or the packages cannot be had.
pub(crate) fn ensure(places: &Places, environment: &Environment<'_>) -> Result<PathBuf> {
    let Environment {
        name,
        requirements,
        version,
    } = environment;
    let files: Vec<PathBuf> = requirements
        .iter()
        .map(|file| places.repository().join("tools").join(file))
        .collect();
    let interpreter = interpreter(places, *version)?;
    let cache = places.cache().join("python").join(name);
    let folder = cache.join(go::key_of(&files, &interpreter.to_string_lossy())?);
    let (python, whole) = (folder.join("bin/python"), folder.join(".whole"));
    if whole.is_file() {
        return Ok(python);
    }
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("failed to make the folder {}", cache.display()))?;
    let _lock = go::lock(&cache)?;
    // Another checkout may have made it while this one waited for the lock.
    if whole.is_file() {
        return Ok(python);
    }
    let log = cache.join("venv.log");
    let mut venv = Command::new(&interpreter);
    venv.args(["-m", "venv", "--clear"]).arg(&folder);
    step::run(
        &format!("make a Python environment for {name}"),
        &mut venv,
        &log,
    )?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
    ]);
    pip.args(["--require-hashes", "--only-binary=:all:"]);
    for file in &files {
        pip.arg("--requirement").arg(file);
    }
    let title = format!("install the Python packages of {name}");
    step::run(&title, &mut pip, &cache.join("pip.log")).with_context(|| {
        format!("the Python packages of {name} come from the registry that pip is set up for")
    })?;
    std::fs::write(&whole, "").with_context(|| format!("failed to write {}", whole.display()))?;
    Ok(python)
}

/// An interpreter that can make environments; Debian's package is installed where none can.
fn interpreter(places: &Places, version: Version) -> Result<PathBuf> {
    if let Some(found) = find(places, version) {
        return Ok(found);
    }
    packages::ensure(places, &[Purpose::Python])?;
    find(places, version).with_context(|| {
        format!(
            "{} with its module venv is missing: install it (Debian: python3 and python3-venv)",
            version.words()
        )
    })
}

fn find(places: &Places, version: Version) -> Option<PathBuf> {
    let mut candidates = version
        .commands()
        .iter()
        .flat_map(|name| places.programs().into_iter().map(move |f| f.join(name)))
        .filter(|path| path.is_file());
    candidates.find(|python| minor(python).is_some_and(|minor| version.allows(minor)))
}

/// The minor version of an interpreter that can make environments.
fn minor(python: &Path) -> Option<u32> {
    let ask = "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1])";
    let said = step::output(Command::new(python).args(["-c", ask])).ok()?;
    match said.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["3", minor] => minor.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_allows_what_its_wheels_are_for() {
        assert!(Version::Exactly311.allows(11) && !Version::Exactly311.allows(12));
        assert!(Version::AtLeast311.allows(13) && !Version::AtLeast311.allows(10));
        for version in [Version::Exactly311, Version::AtLeast311] {
            assert!(version.commands().contains(&"python3"));
            assert!(version.words().starts_with("Python 3.11"));
        }
    }
}
