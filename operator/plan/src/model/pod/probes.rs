//! The probes of container `server`, all on the admin port.
//!
//! Pure, infallible. Called by `containers`.

use std::time::Duration;

use k8s_openapi::api::core::v1::{HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Every second, until the start deadline: then the kubelet starts the container anew.
pub(super) fn startup(deadline: Duration) -> Probe {
    let seconds = i32::try_from(deadline.as_secs()).unwrap_or(i32::MAX);
    probe("/readyz", (1, 1, seconds.max(1)))
}

/// Every two seconds; a pod leaves the endpoints after two refusals.
pub(super) fn readiness() -> Probe {
    probe("/readyz", (2, 2, 2))
}

/// Every ten seconds; the server itself fails after ten seconds without a heartbeat.
pub(super) fn liveness() -> Probe {
    probe("/livez", (10, 5, 3))
}

fn probe(path: &str, (period, timeout, failures): (i32, i32, i32)) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("admin".to_owned()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}
