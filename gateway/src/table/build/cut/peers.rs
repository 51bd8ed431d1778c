//! The EndpointSlices of the gateways themselves: who counts limits with this one.
//!
//! Pure. Called by `watch`.

use std::net::SocketAddr;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::{Cut, address, state};
use crate::limit::Member;
use crate::table::EndpointState;

/// The name of the port at which gateways talk to each other.
const ADMIN_PORT: &str = "admin";

/// Reads an EndpointSlice of the gateways.
///
/// # Errors
/// It has no addresses or no admin port.
pub fn peers(object: &EndpointSlice, notes: &mut Vec<String>) -> Cut<Vec<Member>> {
    let listed = object.endpoints.as_deref().unwrap_or_default();
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let ports = object.ports.iter().flatten();
    let mut named = ports.filter(|port| port.name.as_deref() == Some(ADMIN_PORT));
    let port = named.next().and_then(|port| u16::try_from(port.port?).ok());
    let port = port
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("has no port named {ADMIN_PORT}"))?;
    let mut members = Vec::with_capacity(listed.len());
    for endpoint in listed {
        let pod = endpoint
            .target_ref
            .as_ref()
            .and_then(|pod| pod.uid.as_deref());
        match (address(endpoint), pod) {
            (Ok(address), Some(uid)) => members.push(Member {
                uid: uid.into(),
                address: SocketAddr::new(address, port),
                owns: state(endpoint) == EndpointState::Ready && !is_ending(endpoint),
            }),
            (Ok(_), None) => notes.push("an endpoint names no pod".to_owned()),
            (Err(note), _) => notes.push(note),
        }
    }
    Ok(members)
}

fn is_ending(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.and_then(|conditions| conditions.terminating) == Some(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_those_own_that_are_ready_and_stay() {
        let endpoint = |last: u8, ready: bool, terminating: bool| {
            json!({
                "addresses": [format!("10.1.0.{last}")],
                "conditions": {"ready": ready, "serving": ready, "terminating": terminating},
                "targetRef": {"kind": "Pod", "uid": format!("pod-{last}")},
            })
        };
        let object = json!({
            "metadata": {"name": "peers-1", "namespace": "aimass-system"},
            "addressType": "IPv4",
            "ports": [{"name": "admin", "port": 8502}],
            "endpoints": [
                endpoint(1, true, false),
                endpoint(2, false, false),
                endpoint(3, true, true),
                {"addresses": ["10.1.0.4"]},
            ],
        });
        let object: EndpointSlice = serde_json::from_value(object).unwrap();
        let mut notes = Vec::new();
        let members = peers(&object, &mut notes).unwrap();
        let shown: Vec<_> = members
            .iter()
            .map(|member| (&*member.uid, member.address.to_string(), member.owns))
            .collect();
        let expect = [
            ("pod-1", "10.1.0.1:8502".to_owned(), true),
            ("pod-2", "10.1.0.2:8502".to_owned(), false),
            ("pod-3", "10.1.0.3:8502".to_owned(), false),
        ];
        assert_eq!(shown, expect);
        assert_eq!(notes, ["an endpoint names no pod"]);
    }
}
