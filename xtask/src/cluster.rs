//! `cargo xtask cluster`.

use anyhow::{Result, bail};

use crate::places::Places;

/// Options of `cargo xtask cluster`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: &Args, _places: &Places) -> Result<()> {
    bail!("not there yet")
}
