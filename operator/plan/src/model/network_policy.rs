//! The NetworkPolicy of a model's pods: who may reach which of their ports.
//!
//! Pure, infallible. Called by `objects`, only where the platform has a gateway: without one, callers
//! come from anywhere. Callers have been judged by the gateway, so that nobody else may reach the
//! port of predictions. Probes come from the node itself, which no policy keeps out.

use std::collections::BTreeMap;

use aimass_crds::labels as keys;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels;
use super::names::{ADMIN_PORT, HTTP_PORT};
use super::objects::Policy;
use super::valid::Valid;

/// The label that Kubernetes itself keeps on each Namespace.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

/// The policy over the pods of all revisions.
pub(crate) fn network_policy(valid: &Valid, policy: &Policy<'_>) -> NetworkPolicy {
    let Policy { gateway, operator } = *policy;
    let gateways = NetworkPolicyPeer {
        namespace_selector: Some(select(NAMESPACE, gateway)),
        pod_selector: Some(select(keys::NAME, keys::GATEWAY_NAME_VALUE)),
        ip_block: None,
    };
    let observers = [(keys::METRICS, keys::METRICS_ALLOWED)]
        .into_iter()
        .chain(operator.map(|operator| (NAMESPACE, operator)))
        .map(|(key, value)| NetworkPolicyPeer {
            namespace_selector: Some(select(key, value)),
            ..NetworkPolicyPeer::default()
        });
    NetworkPolicy {
        metadata: labels::of_model(valid),
        spec: Some(NetworkPolicySpec {
            ingress: Some(vec![
                ingress(vec![gateways], HTTP_PORT),
                ingress(observers.collect(), ADMIN_PORT),
            ]),
            pod_selector: Some(labels::selector(labels::select_model(valid))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            egress: None,
        }),
    }
}

fn ingress(from: Vec<NetworkPolicyPeer>, port: i32) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: Some(from),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(port)),
            protocol: Some("TCP".to_owned()),
            end_port: None,
        }]),
    }
}

fn select(key: &str, value: &str) -> LabelSelector {
    labels::selector(BTreeMap::from([(key.to_owned(), value.to_owned())]))
}
