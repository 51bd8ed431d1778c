//! Ranges of addresses, as users write them: who may call.
//!
//! Pure. Kept as written; read by `aimass_plan` (which refuses what is none) and by the gateway.
//! What is one is what CEL's `isCIDR` takes, so that the API server, the operator and the gateway
//! agree. Source: apiserver `pkg/cel/library/cidr.go`, on Go's `netip.ParsePrefix`.

// Addresses as plain values: core has no sockets.
use core::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cidr(pub String);

impl Cidr {
    /// An address of the range, and how many leading bits all of its addresses share: at most 32
    /// or 128. `None` if the text is no range, or one of IPv4 written as IPv6.
    #[must_use]
    pub fn get(&self) -> Option<(IpAddr, u8)> {
        let (address, prefix) = self.0.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let most = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => return None,
            IpAddr::V6(_) => 128,
        };
        let plain = prefix.chars().all(|c| c.is_ascii_digit())
            && (prefix == "0" || !prefix.starts_with('0'));
        let bits: u8 = prefix.parse().ok().filter(|_| plain)?;
        (bits <= most).then_some((address, bits))
    }
}

impl JsonSchema for Cidr {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cidr".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // 49: the longest address of IPv6 (45, with its end in dots), a slash, 128
        json_schema!({"type": "string", "maxLength": 49})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(&str, u8)>) {
        let expect = expect.map(|(address, bits)| (address.parse().unwrap(), bits));
        assert_eq!(Cidr(text.to_owned()).get(), expect, "{text}");
    }

    #[test]
    fn a_range_is_an_address_and_a_number_of_bits() {
        check("10.0.0.0/8", Some(("10.0.0.0", 8)));
        check("10.1.2.3/8", Some(("10.1.2.3", 8)));
        check("0.0.0.0/0", Some(("0.0.0.0", 0)));
        check("192.0.2.7/32", Some(("192.0.2.7", 32)));
        check("2001:db8::/32", Some(("2001:db8::", 32)));
        check("::/0", Some(("::", 0)));
        check("::1/128", Some(("::1", 128)));
    }

    #[test]
    fn what_cel_takes_for_no_range_is_none() {
        for bad in [
            "",
            "/",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0/8",
            "10.0.0.01/8",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "::/129",
            "::ffff:10.0.0.0/104",
            "fe80::1%eth0/64",
            "example.com/8",
        ] {
            check(bad, None);
        }
    }
}
