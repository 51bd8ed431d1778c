//! Services: the model's address over all revisions, and one headless per revision.
//!
//! Pure, infallible. Called by `objects`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::history::Known;
use super::labels;
use super::names::HTTP_PORT;
use super::valid::Valid;

/// The model's address: ready pods of all revisions share the load.
pub(crate) fn address(valid: &Valid) -> Service {
    service(labels::of_model(valid), labels::select_model(valid), None)
}

/// Of one revision, for its EndpointSlices only.
pub(crate) fn headless(valid: &Valid, revision: &Known) -> Service {
    let selector = labels::select_revision(valid, &revision.name);
    service(
        labels::of_revision(valid, revision),
        selector,
        Some("None".to_owned()),
    )
}

fn service(
    metadata: ObjectMeta,
    selector: BTreeMap<String, String>,
    cluster_ip: Option<String>,
) -> Service {
    Service {
        metadata,
        spec: Some(ServiceSpec {
            cluster_ip,
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: HTTP_PORT,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String("http".to_owned())),
                ..ServicePort::default()
            }]),
            selector: Some(selector),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
