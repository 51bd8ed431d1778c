//! Generated files are what would be generated now: the same functions as `cargo xtask codegen`,
//! in check mode.
//!
//! Writes nothing. `deploy/install.yaml` needs helm: `cargo xtask ci` checks it.

use std::process::Command;

/// Fails with what `cargo xtask codegen --check` says.
#[track_caller]
fn check(parts: &[&str]) {
    let mut codegen = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = codegen.args(["codegen", "--check"]).args(parts).output();
    let output = output.expect("cargo has built it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_custom_resource_definitions_are_fresh() {
    check(&["crds"]);
}

#[test]
fn the_openapi_document_is_fresh() {
    check(&["openapi"]);
}

#[test]
fn the_charts_rules_are_fresh() {
    check(&["rights"]);
}

#[test]
fn the_reference_is_fresh() {
    check(&["reference"]);
}

#[test]
fn the_examples_carry_their_models() {
    check(&["examples"]);
}

/// The slow one: it builds the binaries, unless the tests of the workspace already did.
#[test]
fn the_flags_are_fresh() {
    check(&["flags"]);
}
