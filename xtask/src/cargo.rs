//! Cargo, started from within: as if by hand, so that both find each other's builds fresh.
//!
//! Called by whatever compiles.

use std::process::Command;

use crate::places::Places;

/// What cargo tells a program that it runs about that program's package. Build scripts watch these
/// names (ring's does), so to a cargo below they are a change after which ring and all above it is
/// compiled anew.
const OF_THE_CALLER: [&str; 8] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// Takes away what the cargo above has said to this process alone.
pub(crate) fn as_by_hand(command: &mut Command) -> &mut Command {
    for name in OF_THE_CALLER {
        command.env_remove(name);
    }
    command
}

/// Cargo on all members at once: each selection of members has its own features, and would compile
/// the large dependencies anew.
pub(crate) fn cargo(places: &Places, arguments: &[&str]) -> Command {
    let mut cargo = plain_cargo(places, arguments);
    cargo.args(["--workspace", "--locked"]);
    cargo
}

/// Cargo in the repository, with the target folder of this run.
pub(crate) fn plain_cargo(places: &Places, arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    as_by_hand(&mut cargo)
        .current_dir(places.repository())
        .env("CARGO_TARGET_DIR", places.target());
    cargo.args(arguments);
    cargo
}
