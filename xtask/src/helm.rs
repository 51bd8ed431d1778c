//! Helm, built from its pinned module. Called by `chart`, `codegen`, `demo`, `test` and `bench`.

use std::path::PathBuf;

use anyhow::Result;

use crate::go::{self, Module, Program};
use crate::places::Places;

/// The path of helm; builds it the first time.
///
/// # Errors
/// As [`go::ensure`].
pub(crate) fn binary(places: &Places) -> Result<PathBuf> {
    let module = Module {
        name: "helm",
        warning: "Helm is not built yet. That happens once and takes about 2 minutes on two cores.",
        programs: vec![Program {
            name: "helm",
            package: "helm.sh/helm/v4/cmd/helm",
            linker_flags: "-s -w".to_owned(),
        }],
    };
    Ok(go::ensure(places, &module)?.join("helm"))
}
