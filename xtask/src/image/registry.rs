//! Pushing to a registry, by crane: it knows every way in which registries want credentials.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::go::{self, Module, Program};
use crate::places::Places;
use crate::step;

/// Pushes an OCI archive under `name`.
///
/// # Errors
/// If the registry refuses; the error names the log.
pub(super) fn push(places: &Places, archive: &Path, name: &str) -> Result<()> {
    let module = Module {
        name: "crane",
        warning: "crane, which pushes images, is not built yet. That happens once and takes a \
                  minute.",
        programs: vec![Program {
            name: "crane",
            package: "github.com/google/go-containerregistry/cmd/crane",
            linker_flags: "-s -w".to_owned(),
        }],
    };
    let crane = go::ensure(places, &module)?.join("crane");
    let layout = unpack(archive)?;
    let log = archive.with_extension("push.log");
    let mut command = Command::new(crane);
    command.arg("push").arg(&layout).arg(name);
    step::run(&format!("push {name}"), &mut command, &log)
        .context("are you logged in (`docker login`), and may you write there?")?;
    std::fs::remove_dir_all(&layout)
        .with_context(|| format!("failed to delete {}", layout.display()))
}

/// crane wants the layout as a folder.
fn unpack(archive: &Path) -> Result<PathBuf> {
    let folder = archive.with_extension("layout");
    let context = || format!("failed to unpack {}", archive.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(context)?;
    }
    let file = std::fs::File::open(archive).with_context(context)?;
    tar::Archive::new(file)
        .unpack(&folder)
        .with_context(context)?;
    Ok(folder)
}
