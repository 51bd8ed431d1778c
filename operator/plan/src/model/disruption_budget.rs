//! The PodDisruptionBudget over all revisions: a drain takes one pod at a time.
//!
//! Pure, infallible. Called by `objects`, only where there are two pods or more: with one it would
//! protect nothing.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels;
use super::valid::Valid;

/// The budget of the object.
pub(crate) fn disruption_budget(valid: &Valid) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: labels::of_model(valid),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            min_available: None,
            selector: Some(labels::selector(labels::select_model(valid))),
            // pods that are not ready may always go, or a broken model would block a drain
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        }),
        status: None,
    }
}
