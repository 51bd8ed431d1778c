//! The network namespace in which the whole cluster lives, and the cable that joins it to the host.
//!
//! Addresses are fixed: there is one cluster per machine. Routes for pods and services go through
//! the cable, so tests and `curl` on the host reach both directly.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::step;

/// The namespace's name, as `ip netns` has it.
pub(super) const NAMESPACE: &str = "aimass1";
/// The host's end of the cable.
pub(super) const HOST_LINK: &str = "aim-host";
/// The address of everything in the namespace: API server, kubelet, the node.
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(10, 201, 0, 2);
/// The host's address on the cable.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 201, 0, 1);
/// Pods.
pub(super) const PODS: &str = "10.202.0.0/24";
/// Services.
pub(super) const SERVICES: &str = "10.203.0.0/16";
/// The API server as a service.
pub(super) const API_SERVICE: &str = "10.203.0.1";

/// Both ends of the cable, pods and services: (network, length of its prefix).
const OURS: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(10, 201, 0, 0), 30),
    (Ipv4Addr::new(10, 202, 0, 0), 24),
    (Ipv4Addr::new(10, 203, 0, 0), 16),
];

/// The path by which `nsenter` joins the namespace.
///
/// Not `ip netns exec`: that mounts a fresh /sys and hides the cgroups from the kubelet.
pub(super) fn namespace_file() -> String {
    format!("/run/netns/{NAMESPACE}")
}

/// Whether the namespace is there.
pub(super) fn exists() -> bool {
    Path::new(&namespace_file()).exists()
}

/// Makes namespace, cable, addresses and routes.
///
/// # Errors
/// If other routes of this machine use the same addresses, or `ip` refuses.
pub(super) fn up() -> Result<()> {
    let routes = step::output(Command::new("ip").args(["-4", "route", "show", "table", "main"]))?;
    if let Some(route) = conflict(&routes) {
        bail!(
            "this machine already has a route to the cluster's addresses (10.201.0.0/30, {PODS}, \
             {SERVICES}): {route:?}: is a VPN active? stop what uses it, then try again"
        );
    }
    let (host, node) = (format!("{HOST}/30"), format!("{NODE}/30"));
    let (via, gateway) = (NODE.to_string(), HOST.to_string());
    ip(&["netns", "add", NAMESPACE])?;
    ip(&[
        "link", "add", HOST_LINK, "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE,
    ])?;
    ip(&["addr", "add", &host, "dev", HOST_LINK])?;
    ip(&["link", "set", HOST_LINK, "up"])?;
    ip(&["-n", NAMESPACE, "addr", "add", &node, "dev", "eth0"])?;
    ip(&["-n", NAMESPACE, "link", "set", "eth0", "up"])?;
    ip(&["-n", NAMESPACE, "link", "set", "lo", "up"])?;
    ip(&["-n", NAMESPACE, "route", "add", "default", "via", &gateway])?;
    ip(&["route", "add", PODS, "via", &via])?;
    ip(&["route", "add", SERVICES, "via", &via])?;
    let mut forward = Command::new("nsenter");
    forward.arg(format!("--net={}", namespace_file()));
    step::output(forward.args(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]))?;
    Ok(())
}

/// Removes what [`up`] made, as far as it is there.
pub(super) fn down() {
    // The cable goes with its namespace, but a process that is dying may still hold that.
    if Path::new("/sys/class/net").join(HOST_LINK).exists() {
        let _ = ip(&["link", "del", HOST_LINK]);
    }
    if exists() {
        let _ = ip(&["netns", "del", NAMESPACE]);
    }
}

/// What of the network is still there, for people.
pub(super) fn remains() -> Vec<String> {
    let mut remains = Vec::new();
    if exists() {
        remains.push(format!("network namespace {NAMESPACE}"));
    }
    if Path::new("/sys/class/net").join(HOST_LINK).exists() {
        remains.push(format!("interface {HOST_LINK}"));
    }
    remains
}

fn ip(arguments: &[&str]) -> Result<()> {
    step::output(Command::new("ip").args(arguments)).map(|_| ())
}

/// The first route that shares addresses with ours. The default route does not count.
fn conflict(routes: &str) -> Option<&str> {
    routes.lines().find(|line| {
        let destination = line.split_whitespace().next().unwrap_or_default();
        let (address, length) = destination.split_once('/').unwrap_or((destination, "32"));
        let (Ok(address), Ok(length)) = (address.parse::<Ipv4Addr>(), length.parse::<u8>()) else {
            return false;
        };
        // A wider route (10.0.0.0/8 of a company) stays right for the rest of its addresses.
        OURS.iter().any(|(network, ours)| {
            length >= *ours && prefix(address, *ours) == prefix(*network, *ours)
        })
    })
}

fn prefix(address: Ipv4Addr, length: u8) -> u32 {
    let host_bits = 32_u32.saturating_sub(u32::from(length));
    u32::from(address)
        .checked_shr(host_bits)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(routes: &str, expect: Option<&str>) {
        assert_eq!(conflict(routes), expect);
    }

    #[test]
    fn routes_inside_our_networks_conflict() {
        let vpn = "10.203.7.0/24 dev tun0 scope link";
        check(
            &format!("default via 10.0.2.2 dev eth0\n{vpn}\n"),
            Some(vpn),
        );
        check("10.202.0.9 dev tun0", Some("10.202.0.9 dev tun0"));
        check("10.201.0.0/30 dev x", Some("10.201.0.0/30 dev x"));
    }

    #[test]
    fn other_and_wider_routes_do_not() {
        check(
            "default via 10.0.2.2 dev eth0\n10.0.0.0/8 via 10.0.2.2\n10.202.1.0/24 dev x\n",
            None,
        );
        check("unreachable 10.203.0.0/16\n", None);
    }
}
