//! The revision's own copy of a ConfigMap source: what its pods mount.
//!
//! Pure, infallible. Called by `objects`. Immutable, so that editing the user's ConfigMap in place
//! makes a new revision and never breaks an old one.

use k8s_openapi::api::core::v1::ConfigMap;

use super::history::Known;
use super::labels;
use super::source::Files;
use super::valid::Valid;

/// The copy of `files` for `revision`.
pub(crate) fn config_map(valid: &Valid, revision: &Known, files: &Files) -> ConfigMap {
    ConfigMap {
        metadata: labels::of_revision(valid, revision),
        binary_data: Some(files.clone()),
        immutable: Some(true),
        data: None,
    }
}
