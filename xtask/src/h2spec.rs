//! h2spec, built from its pinned module: what judges our HTTP/2. Called by `test` for lane hostile.

use std::path::PathBuf;

use anyhow::Result;

use crate::go::{self, Module, Program};
use crate::places::Places;

/// The path of h2spec; builds it the first time.
///
/// # Errors
/// As [`go::ensure`].
pub(crate) fn binary(places: &Places) -> Result<PathBuf> {
    let module = Module {
        name: "h2spec",
        warning: "h2spec is not built yet. That happens once and takes about 15 seconds.",
        programs: vec![Program {
            name: "h2spec",
            package: "github.com/summerwind/h2spec/cmd/h2spec",
            linker_flags: "-s -w".to_owned(),
        }],
    };
    Ok(go::ensure(places, &module)?.join("h2spec"))
}
