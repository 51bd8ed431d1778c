//! `cargo xtask codegen`: writes every file that follows from another one, or finds the stale ones.
//!
//! Touches exactly the files that its parts name. `xtask/tests/fresh.rs` runs the same with
//! `--check`, so that a stale file is a failing test.

mod contracts;
mod examples;
mod flags;
mod install;
mod reference;
mod rights;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::places::Places;
use crate::step;

/// Options of `cargo xtask codegen`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a file is stale
    #[arg(long)]
    check: bool,
    /// Only these parts; all if there is none
    #[arg(value_enum)]
    parts: Vec<Part>,
}

/// What can be written on its own.
///
/// Written in this order: the last one takes in what the first ones wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
enum Part {
    /// crds/yaml and charts/aimass/crds, from the types of aimass-crds
    Crds,
    /// protocol/openapi, from aimass-protocol
    Openapi,
    /// charts/aimass/rules, from operator/src/rbac.rs
    Rights,
    /// docs/reference: fields, conditions and reasons
    Reference,
    /// docs/reference/flags.md, from the binaries' own --help (builds them)
    Flags,
    /// The models inside examples/*.yaml, from the files beside them
    Examples,
    /// deploy/install.yaml, from the chart (needs helm, which is built once)
    Install,
}

impl Part {
    const ALL: [Self; 7] = [
        Self::Crds,
        Self::Openapi,
        Self::Rights,
        Self::Reference,
        Self::Flags,
        Self::Examples,
        Self::Install,
    ];

    fn files(self, places: &Places) -> Result<Vec<Generated>> {
        match self {
            Self::Crds => contracts::custom_resource_definitions(),
            Self::Openapi => contracts::openapi(),
            Self::Rights => Ok(rights::files()),
            Self::Reference => reference::files(places),
            Self::Flags => flags::files(places),
            Self::Examples => examples::files(places),
            Self::Install => install::files(places),
        }
    }
}

/// A file as it should be.
struct Generated {
    /// From the repository's folder.
    path: String,
    text: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args, places: &Places) -> Result<()> {
    let mut parts = if args.parts.is_empty() {
        Part::ALL.to_vec()
    } else {
        args.parts.clone()
    };
    parts.sort();
    let mut stale = Vec::new();
    for part in parts {
        for file in part.files(places)? {
            let path = places.repository().join(&file.path);
            if fs::read(&path).is_ok_and(|present| present == file.text.as_bytes()) {
                continue;
            }
            if args.check {
                stale.push(file.path);
            } else {
                write(&path, &file.text)?;
                step::say(&format!("written: {}", file.path));
            }
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    bail!(
        "stale: {}\nrun `cargo xtask codegen` and commit",
        stale.join(", ")
    )
}

/// Whether `deploy/install.yaml` is what the chart renders to: the part that needs helm, and that
/// therefore is no test of this crate.
///
/// # Errors
/// If it is stale, or helm cannot be built.
pub(crate) fn check_install(places: &Places) -> Result<()> {
    run(
        &Args {
            check: true,
            parts: vec![Part::Install],
        },
        places,
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a generated file lies in a folder")?;
    fs::create_dir_all(folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}

/// The first lines of a generated YAML file.
fn yaml_header(source: &str) -> String {
    format!("# Written by `cargo xtask codegen` from {source}. Do not edit.\n")
}

/// The first lines of a generated Markdown file.
fn markdown_header(source: &str) -> String {
    format!("<!-- Written by `cargo xtask codegen` from {source}. Do not edit. -->\n\n")
}
