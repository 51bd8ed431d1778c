//! Addresses that a name resolves to: no form of a forbidden one gets through.
//!
//! Input: 16 bytes of an address, 16 of one that is forbidden, then a host's name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aimass_chassis::address::{Policy, Refusal, judge};

/// Metadata services and link-local: never, however written.
const NEVER: [[u8; 4]; 4] = [
    [169, 254, 169, 254],
    [100, 100, 100, 200],
    [168, 63, 129, 16],
    [0, 0, 0, 0],
];

/// The judgement does not depend on how an address is written, and listing a host only ever opens
/// private addresses.
pub fn body(data: &[u8]) {
    let Some((address, rest)) = data.split_first_chunk::<16>() else {
        return;
    };
    let Some((forbidden, host)) = rest.split_first_chunk::<16>() else {
        return;
    };
    let address = IpAddr::V6(Ipv6Addr::from(*address));
    let forbidden = IpAddr::V6(Ipv6Addr::from(*forbidden));
    let host = String::from_utf8_lossy(host).into_owned();
    let policy = |listed: &[String]| Policy::for_host(&host, listed, vec![forbidden]);
    let (unlisted, listed) = (policy(&[]), policy(std::slice::from_ref(&host)));
    assert!(!unlisted.host_is_listed && listed.host_is_listed);
    for form in forms(address) {
        check(&unlisted, &listed, form);
    }
    assert_eq!(judge(&listed, forbidden), Err(Refusal::Never));
    assert_eq!(
        judge(&listed, forbidden.to_canonical()),
        Err(Refusal::Never)
    );
    for octets in NEVER {
        for form in forms(IpAddr::V4(Ipv4Addr::from(octets))) {
            assert_eq!(judge(&listed, form), Err(Refusal::Never), "{form}");
        }
    }
}

fn check(unlisted: &Policy, listed: &Policy, address: IpAddr) {
    let (closed, open) = (judge(unlisted, address), judge(listed, address));
    match closed {
        Ok(()) => assert_eq!(open, Ok(()), "{address}: listing a host closes nothing"),
        Err(Refusal::Never) => assert_eq!(open, Err(Refusal::Never), "{address}"),
        Err(Refusal::Private) => assert_eq!(open, Ok(()), "{address}"),
    }
    // A plain IPv4 address and the same inside of IPv6.
    if let IpAddr::V4(four) = address.to_canonical() {
        let plain = judge(unlisted, IpAddr::V4(four));
        let mapped = judge(unlisted, IpAddr::V6(four.to_ipv6_mapped()));
        assert_eq!(plain, mapped, "{address}");
    }
}

/// The address itself and its last four bytes in every notation that carries IPv4.
fn forms(address: IpAddr) -> Vec<IpAddr> {
    let four = match address {
        IpAddr::V4(four) => four,
        IpAddr::V6(six) => {
            let [.., a, b, c, d] = six.octets();
            Ipv4Addr::new(a, b, c, d)
        }
    };
    let [a, b, c, d] = four.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
    let six_to_four = Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1);
    vec![
        address,
        IpAddr::V4(four),
        IpAddr::V6(four.to_ipv6_mapped()),
        IpAddr::V6(nat64),
        IpAddr::V6(six_to_four),
    ]
}
