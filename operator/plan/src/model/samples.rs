//! What tests of several modules begin with.

use super::observed::Platform;

/// An installation that allows nothing beyond the least.
pub(super) fn platform() -> Platform {
    Platform {
        server_image: "s:1".to_owned(),
        onnxruntime_image: None,
        allow_http: false,
        allow_hosts: Vec::new(),
        traces: None,
        gateway_url: None,
        gateway_namespace: None,
        operator_namespace: None,
    }
}
