//! The Deployment of a revision: its template never changes, only its size does.
//!
//! Pure, infallible. Called by `objects`. `replicas` is always there: a field left out of an apply
//! would be removed, and the operator is its one writer.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::history::Known;
use super::labels;
use super::valid::Valid;

/// The Deployment of `revision` with `replicas` pods made from `template`.
pub(crate) fn deployment(
    valid: &Valid,
    revision: &Known,
    template: &PodTemplateSpec,
    replicas: i32,
) -> Deployment {
    let deadline = valid.rollout.progress_deadline.as_secs();
    Deployment {
        metadata: labels::of_revision(valid, revision),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            selector: labels::selector(labels::select_revision(valid, &revision.name)),
            template: template.clone(),
            progress_deadline_seconds: i32::try_from(deadline).ok(),
            // the history is in ControllerRevisions
            revision_history_limit: Some(0),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}
