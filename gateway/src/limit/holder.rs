//! Who is limited: a key, a user or an address; and how gateways name it to each other.
//!
//! Pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Who is limited.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Holder {
    /// The uid of an APIKey.
    Key(Arc<str>),
    /// The name of a user of Kubernetes.
    User(Arc<str>),
    /// Callers without a key, by [`block`].
    Address(IpAddr),
}

impl Holder {
    /// The same on all gateways.
    pub(crate) fn hash(&self) -> u64 {
        match self {
            Self::Key(uid) => xxh3_64(uid.as_bytes()),
            // No uid of a key looks like a user's name.
            Self::User(name) => xxh3_64(name.as_bytes()),
            Self::Address(IpAddr::V4(address)) => xxh3_64(&address.octets()),
            Self::Address(IpAddr::V6(address)) => xxh3_64(&address.octets()),
        }
    }
}

/// The addresses that count as one: an IPv4 address is one, of IPv6 whoever has one has a /64.
#[must_use]
pub fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

impl From<Holder> for String {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::Key(uid) => format!("key/{uid}"),
            Holder::User(name) => format!("user/{name}"),
            Holder::Address(address) => format!("address/{address}"),
        }
    }
}

/// A text that names no holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHolder;

impl fmt::Display for NoHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a holder must be key/UID, user/NAME or address/ADDRESS")
    }
}

impl TryFrom<String> for Holder {
    type Error = NoHolder;

    fn try_from(text: String) -> Result<Self, NoHolder> {
        match text.split_once('/') {
            Some(("key", uid)) => Ok(Self::Key(uid.into())),
            // Whatever else is in a name, a slash too.
            Some(("user", name)) => Ok(Self::User(name.into())),
            Some(("address", address)) => {
                let address: Result<IpAddr, _> = address.parse();
                address.map(Self::Address).map_err(|_invalid| NoHolder)
            }
            _ => Err(NoHolder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_texts_on_the_way() {
        let key = Holder::Key("u-1".into());
        let user = Holder::User("oidc/ana@example.com".into());
        let address = Holder::Address("2001:db8::".parse().unwrap());
        for holder in [key, user, address] {
            let text = serde_json::to_string(&holder).unwrap();
            let back: Holder = serde_json::from_str(&text).unwrap();
            assert_eq!(back, holder, "{text}");
        }
        for text in ["\"key\"", "\"address/x\"", "\"plan/x\"", "7"] {
            assert!(serde_json::from_str::<Holder>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_block_is_an_address_or_a_64() {
        let of = |text: &str| block(text.parse().unwrap()).to_string();
        assert_eq!(of("10.1.2.3"), "10.1.2.3");
        assert_eq!(of("::ffff:10.1.2.3"), "10.1.2.3");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::1"), "::");
    }
}
