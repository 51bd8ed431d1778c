//! Which addresses a URL that a user wrote may lead to. Pure; called for every resolved address and
//! every redirect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// What the platform allows beyond public addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The host was named by `--allow-host`: private and loopback addresses are fine.
    pub host_is_listed: bool,
    /// Addresses never connected to: the API server's own.
    pub forbidden: Vec<IpAddr>,
}

/// Why an address is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Never allowed, whoever lists it.
    #[error(
        "unspecified, link-local, metadata, multicast and reserved addresses are never fetched from"
    )]
    Never,
    /// Allowed only if the platform lists the host.
    #[error(
        "private and loopback addresses are fetched from only if the host is listed by --allow-host"
    )]
    Private,
}

/// Judges one resolved address.
///
/// An IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64) is judged as itself.
///
/// # Errors
/// The address may not be connected to.
pub fn judge(policy: &Policy, address: IpAddr) -> Result<(), Refusal> {
    let address = match address {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => embedded(address).map_or(IpAddr::V6(address), IpAddr::V4),
    };
    let (never, private) = match address {
        IpAddr::V4(address) => (is_never_v4(address), is_private_v4(address)),
        IpAddr::V6(address) => (is_never_v6(address), is_private_v6(address)),
    };
    if never || policy.forbidden.contains(&address) {
        Err(Refusal::Never)
    } else if private && !policy.host_is_listed {
        Err(Refusal::Private)
    } else {
        Ok(())
    }
}

/// The IPv4 address that an IPv6 address leads to.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match (a, b) {
        (0, 0) if (c, d, e) == (0, 0, 0) && f == 0xffff => Some(v4(g, h)),
        // Deprecated IPv4-compatible; `::` and `::1` are themselves.
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0) && (g, h) > (0, 1) => Some(v4(g, h)),
        (0x2002, _) => Some(v4(b, c)),
        (0x2001, 0) => Some(v4(!g, !h)),
        (0x64, 0xff9b) => Some(v4(g, h)),
        _ => None,
    }
}

fn is_never_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // 0.0.0.0/8 is "this network"; 240/4 is reserved and holds broadcast; 100.100.100.200 is a
    // cloud's metadata service inside the shared range.
    first == 0
        || first >= 240
        || address.is_link_local()
        || address.is_multicast()
        || address == Ipv4Addr::new(100, 100, 100, 200)
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private() || address.is_loopback() || (first == 100 && (64..128).contains(&second))
}

fn is_never_v6(address: Ipv6Addr) -> bool {
    let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address == metadata
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unique_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, unlisted: Result<(), Refusal>, listed: Result<(), Refusal>) {
        let ip = address.parse().expect("the table holds addresses");
        let mut policy = Policy {
            host_is_listed: false,
            forbidden: vec![[10, 203, 0, 1].into()],
        };
        assert_eq!(judge(&policy, ip), unlisted, "{address}, host not listed");
        policy.host_is_listed = true;
        assert_eq!(judge(&policy, ip), listed, "{address}, host listed");
    }

    #[test]
    fn public_addresses_are_fine() {
        for address in [
            "93.184.216.34",
            "2606:2800:220:1::1",
            "::ffff:93.184.216.34",
        ] {
            check(address, Ok(()), Ok(()));
        }
    }

    #[test]
    fn private_addresses_need_a_listed_host() {
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "::1",
            "fd12::1",
            "::ffff:127.0.0.1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "2001:0:1::f5ff:fffe",
            "::10.0.0.1",
        ];
        for address in private {
            check(address, Err(Refusal::Private), Ok(()));
        }
    }

    #[test]
    fn metadata_and_special_addresses_are_never_fine() {
        let never = [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "100.100.100.200",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "2002:a9fe:a9fe::",
            "64:ff9b::a9fe:a9fe",
            "10.203.0.1",
            "::ffff:10.203.0.1",
        ];
        for address in never {
            check(address, Err(Refusal::Never), Err(Refusal::Never));
        }
    }
}
