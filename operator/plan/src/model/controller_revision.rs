//! The memory of a revision: what was hashed, and the pod template as rendered then.
//!
//! Pure, infallible. Called by `objects`; read back by `history`. Kubernetes refuses any change of
//! its data.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::Value;

use super::history::{Data, Known};
use super::labels;
use super::valid::Valid;

/// The memory of `revision`; `None` where nothing is left to remember.
pub(crate) fn controller_revision(valid: &Valid, revision: &Known) -> Option<ControllerRevision> {
    let data = Data {
        identity: revision.identity.clone()?,
        model: revision.model.clone(),
        digest: revision.digest.clone(),
        template: revision.template.clone()?,
    };
    Some(ControllerRevision {
        metadata: labels::of_revision(valid, revision),
        data: Some(RawExtension(
            serde_json::to_value(data).unwrap_or(Value::Null),
        )),
        revision: revision.number,
    })
}
