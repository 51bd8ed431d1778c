//! Which addresses a URL that a user wrote may lead to. Pure: called for every address that a host
//! resolves to, and for every redirect, before a connection is made to exactly that address.
//!
//! IPv4 addresses inside IPv6 ones (mapped, compatible, translated, 6to4, Teredo, NAT64, ISATAP) are
//! judged like plain ones. Source: IANA's IPv4 and IPv6 Special-Purpose Address Registries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// What the platform allows beyond public addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The host was named by `--allow-host`: private and loopback addresses are fine.
    pub host_is_listed: bool,
    /// Addresses never connected to, in whatever form: the API server's own.
    pub forbidden: Vec<IpAddr>,
}

impl Policy {
    /// The policy for `host`, which may be private if, and only if, the platform lists it.
    ///
    /// Names are compared without regard to case and to one trailing dot; an IPv6 host may stand in
    /// brackets.
    #[must_use]
    pub fn for_host(host: &str, listed: &[String], forbidden: Vec<IpAddr>) -> Self {
        let host_is_listed = listed
            .iter()
            .any(|name| bare(name).eq_ignore_ascii_case(bare(host)));
        Self {
            host_is_listed,
            forbidden,
        }
    }
}

fn bare(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// Why an address is refused. The text does not name it: who wrote the URL must not learn how names
/// resolve inside.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Never allowed, whoever lists it.
    #[error(
        "unspecified, link-local, metadata, multicast, reserved and the cluster's own addresses are \
         never connected to"
    )]
    Never,
    /// Allowed only if the platform lists the host.
    #[error(
        "private and loopback addresses are connected to only if the host is listed by --allow-host"
    )]
    Private,
}

/// Judges one resolved address, and every IPv4 address that it may lead to.
///
/// # Errors
/// The address may not be connected to.
pub fn judge(policy: &Policy, address: IpAddr) -> Result<(), Refusal> {
    let inner = match address {
        IpAddr::V4(_) => Vec::new(),
        IpAddr::V6(address) => embedded(address),
    };
    let forms = || std::iter::once(address).chain(inner.iter().copied().map(IpAddr::V4));
    let is_forbidden = |form: IpAddr| {
        policy
            .forbidden
            .iter()
            .any(|other| other.to_canonical() == form)
    };
    if forms().any(|form| reach(form) == Reach::Never || is_forbidden(form)) {
        Err(Refusal::Never)
    } else if !policy.host_is_listed && forms().any(|form| reach(form) == Reach::Private) {
        Err(Refusal::Private)
    } else {
        Ok(())
    }
}

/// From where an address can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// From everywhere.
    Public,
    /// From inside.
    Private,
    /// From nowhere, or by nobody who writes URLs.
    Never,
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // This network; link-local; multicast; reserved with broadcast. Then the fixed addresses of
        // Alibaba's, Oracle's and Azure's metadata.
        [0 | 224..=255, ..]
        | [169, 254, ..]
        | [100, 100, 100, 200]
        | [192, 0, 0, 192]
        | [168, 63, 129, 16] => Reach::Never,
        // RFC 1918; loopback; shared (RFC 6598); protocol assignments; benchmarks; documentation.
        [10 | 127, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [192, 0, 0 | 2, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    match address.segments() {
        // Unspecified; link-local; multicast. Then Amazon's and Google's metadata and credentials.
        [0, 0, 0, 0, 0, 0, 0, 0]
        | [0xfe80..=0xfebf | 0xff00..=0xffff, ..]
        | [0xfd00, 0x0ec2, ..]
        | [0xfd20, 0x00ce, ..] => Reach::Never,
        // Loopback; unique local; site-local; discard; documentation; NAT64 of a network's own.
        [0, 0, 0, 0, 0, 0, 0, 1]
        | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..]
        | [0x0100, 0, 0, 0, ..]
        | [0x2001, 0x0db8, ..]
        | [0x3fff, 0..=0x0fff, ..]
        | [0x0064, 0xff9b, 0x0001, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

/// The IPv4 addresses that an IPv6 address may stand for.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [_, _, _, _, _, _, high, low] = address.segments();
    let last = join(high, low);
    match address.segments() {
        // `::` and `::1` are no IPv4-compatible addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        // IPv4-compatible (RFC 4291 §2.5.5.1), mapped, translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x0064, 0xff9b, 0, 0, 0, 0, ..] => vec![last],
        // NAT64 of a network's own (RFC 8215): the prefix may be 48 or 96 bits long.
        [0x0064, 0xff9b, 0x0001, first, second, third, ..] => {
            let [_, b] = second.to_be_bytes();
            let [c, _] = third.to_be_bytes();
            vec![last, join(first, u16::from_be_bytes([b, c]))]
        }
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => vec![join(high, low)],
        // Teredo (RFC 4380): the server, and the client with its bits flipped.
        [0x2001, 0, high, low, ..] => vec![join(high, low), Ipv4Addr::from_bits(!last.to_bits())],
        // ISATAP (RFC 5214).
        [_, _, _, _, 0 | 0x0200, 0x5efe, ..] => vec![last],
        _ => Vec::new(),
    }
}

fn join(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(addresses: &[&str], unlisted: Result<(), Refusal>, listed: Result<(), Refusal>) {
        let forbidden = vec![[10, 203, 0, 1].into(), "::ffff:10.203.0.2".parse().unwrap()];
        for text in addresses {
            let address = text.parse().unwrap();
            let mut policy = Policy {
                host_is_listed: false,
                forbidden: forbidden.clone(),
            };
            assert_eq!(judge(&policy, address), unlisted, "{text}, host not listed");
            policy.host_is_listed = true;
            assert_eq!(judge(&policy, address), listed, "{text}, host listed");
        }
    }

    fn public(addresses: &[&str]) {
        check(addresses, Ok(()), Ok(()));
    }

    #[track_caller]
    fn private(addresses: &[&str]) {
        check(addresses, Err(Refusal::Private), Ok(()));
    }

    #[track_caller]
    fn never(addresses: &[&str]) {
        check(addresses, Err(Refusal::Never), Err(Refusal::Never));
    }

    #[test]
    fn public_addresses_are_fine() {
        public(&[
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "93.184.216.34",
        ]);
        public(&[
            "172.15.255.255",
            "172.32.0.0",
            "100.63.255.255",
            "100.128.0.0",
        ]);
        public(&[
            "192.167.255.255",
            "192.169.0.0",
            "169.253.255.255",
            "169.255.0.0",
        ]);
        public(&[
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "126.0.0.1",
            "128.0.0.1",
        ]);
        public(&[
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:4860:4860::8888",
        ]);
    }

    #[test]
    fn private_addresses_need_a_listed_host() {
        private(&["10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255"]);
        private(&["192.168.0.1", "100.64.0.1", "100.127.255.255", "198.18.0.1"]);
        private(&["192.0.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.9"]);
        private(&["127.0.0.1", "127.255.255.254", "::1"]);
        private(&[
            "fc00::1",
            "fd12::1",
            "fdff::1",
            "fec0::1",
            "100::1",
            "2001:db8::1",
            "3fff::1",
        ]);
    }

    #[test]
    fn metadata_and_special_addresses_are_never_fine() {
        never(&["0.0.0.0", "0.1.2.3", "::"]);
        never(&[
            "169.254.169.254",
            "169.254.0.1",
            "169.254.170.2",
            "fe80::1",
            "febf::1",
        ]);
        never(&["100.100.100.200", "192.0.0.192", "168.63.129.16"]);
        never(&["fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"]);
        never(&["224.0.0.1", "239.255.255.255", "ff02::1", "ff00::"]);
        never(&["240.0.0.1", "255.255.255.255"]);
    }

    #[test]
    fn an_address_inside_an_address_is_seen() {
        // 169.254.169.254 is a9fe:a9fe; flipped, as Teredo hides its clients, 5601:5601.
        never(&[
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
        ]);
        never(&[
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:a9fe:a9:fe00::",
        ]);
        never(&[
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            "2001:0:808:808:0:0:5601:5601",
        ]);
        never(&["2a00::5efe:a9fe:a9fe", "2a00::200:5efe:a9fe:a9fe"]);
        never(&[
            "::ffff:0.0.0.0",
            "::ffff:255.255.255.255",
            "64:ff9b::240.0.0.1",
        ]);
        private(&[
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "::10.0.0.1",
        ]);
        private(&[
            "::ffff:10.1.2.3",
            "64:ff9b::192.168.1.1",
            "2001:0:808:808:0:0:f5ff:fffe",
        ]);
        // 8.8.8.8 flipped is f7f7:f7f7.
        public(&["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]);
        public(&["2001:0:808:808:0:0:f7f7:f7f7"]);
    }

    proptest::proptest! {
        #[test]
        fn hiding_an_address_never_helps(bits: u32, listed: bool) {
            let plain = Ipv4Addr::from_bits(bits);
            let policy = Policy { host_is_listed: listed, forbidden: Vec::new() };
            let Err(refusal) = judge(&policy, plain.into()) else { return Ok(()) };
            let bits = u128::from(bits);
            let teredo = 0x2001 << 112 | 0x0808_0808 << 64 | (bits ^ 0xffff_ffff);
            for hidden in [0xffff << 32 | bits, 0x0064_ff9b << 96 | bits, 0x2002 << 112 | bits << 80, teredo] {
                let hidden = IpAddr::V6(Ipv6Addr::from_bits(hidden));
                proptest::prop_assert_eq!(judge(&policy, hidden), Err(refusal), "{}", hidden);
            }
        }
    }

    #[test]
    fn the_clusters_own_addresses_are_refused_in_every_form() {
        never(&[
            "10.203.0.1",
            "::ffff:10.203.0.1",
            "64:ff9b::10.203.0.1",
            "2002:acb:1::",
        ]);
        never(&["10.203.0.2", "::ffff:10.203.0.2"]);
        private(&["10.203.0.3"]);
    }

    #[test]
    fn only_the_very_host_is_listed() {
        let listed = ["minio.models".to_owned(), "[fd00::1]".to_owned()];
        let is_listed = |host| Policy::for_host(host, &listed, Vec::new()).host_is_listed;
        assert!(is_listed("minio.models") && is_listed("MINIO.models.") && is_listed("fd00::1"));
        assert!(!is_listed("x.minio.models") && !is_listed("models") && !is_listed(""));
    }
}
