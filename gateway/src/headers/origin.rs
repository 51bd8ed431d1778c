//! Where a request came from: the caller's address and scheme, where proxies in front may be trusted to tell.
//!
//! Pure. Called by `forward` for every request.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use super::{FORWARDED_FOR, FORWARDED_PROTO};
use crate::table::Network;

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The caller's address, as far as it can be known.
    pub address: IpAddr,
    /// How the caller spoke.
    pub scheme: Scheme,
}

/// How a caller spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS, to the gateway or to a trusted proxy.
    Https,
}

impl Scheme {
    /// For `x-forwarded-proto`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Where a request came from that a connection from `peer` brought, itself with `scheme`.
///
/// A `trusted` proxy adds the address that it was called from on the right of `x-forwarded-for`; whatever stands further to the
/// left than the first address that is not trusted, somebody made up. So the caller is the right-most hop that is not
/// trusted; a hop that is no address is nobody's word, and the proxy that passed it on counts as the caller.
#[must_use]
pub fn origin(peer: IpAddr, scheme: Scheme, headers: &HeaderMap, trusted: &[Network]) -> Origin {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return Origin {
            address: peer,
            scheme,
        };
    }
    let mut address = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        let Some(hop) = parse(hop) else {
            break;
        };
        address = hop;
        if !is_trusted(hop) {
            break;
        }
    }
    Origin {
        address,
        scheme: told(headers).unwrap_or(scheme),
    }
}

/// What the last proxy says of the scheme: the last word of the last line.
fn told(headers: &HeaderMap) -> Option<Scheme> {
    let line = headers.get_all(FORWARDED_PROTO).iter().next_back()?;
    let word = line.to_str().ok()?.rsplit(',').next()?.trim();
    match word.to_ascii_lowercase().as_str() {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        _ => None,
    }
}

/// An address, with or without port; one of IPv6 may stand in brackets.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let address = bare.parse::<IpAddr>().ok().or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trusted() -> Vec<Network> {
        let network = |address: &str, prefix| Network {
            address: address.parse().unwrap(),
            prefix,
        };
        vec![network("10.0.0.0", 8), network("fd00::", 8)]
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[track_caller]
    fn caller(peer: &str, lines: &[&str], expect: &str) {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| ("x-forwarded-for", *line))
            .collect();
        let peer = peer.parse().unwrap();
        let origin = origin(peer, Scheme::Http, &headers(&lines), &trusted());
        assert_eq!(origin.address.to_string(), expect, "{lines:?}");
    }

    #[test]
    fn who_is_not_trusted_is_not_believed() {
        caller("192.0.2.1", &["203.0.113.9"], "192.0.2.1");
        caller("192.0.2.1", &[], "192.0.2.1");
        caller("::ffff:192.0.2.1", &["203.0.113.9"], "192.0.2.1");
    }

    #[test]
    fn behind_trusted_proxies_the_right_most_untrusted_hop_calls() {
        caller("10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        caller("10.0.0.1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9");
        caller(
            "10.0.0.1",
            &["1.1.1.1, 203.0.113.9 ,10.9.9.9"],
            "203.0.113.9",
        );
        caller(
            "10.0.0.1",
            &["1.1.1.1", "203.0.113.9", "10.9.9.9"],
            "203.0.113.9",
        );
        caller("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        caller("fd00::1", &["2001:db8::7"], "2001:db8::7");
    }

    #[test]
    fn where_all_are_trusted_it_is_the_first() {
        caller("10.0.0.1", &[], "10.0.0.1");
        caller("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    }

    #[test]
    fn what_is_no_address_ends_the_chain() {
        caller("10.0.0.1", &["unknown"], "10.0.0.1");
        caller("10.0.0.1", &["203.0.113.9, "], "10.0.0.1");
        caller("10.0.0.1", &["203.0.113.9, _hidden, 10.0.0.2"], "10.0.0.2");
        caller("10.0.0.1", &["203.0.113.9, ü"], "10.0.0.1");
        caller("10.0.0.1", &["203.0.113.9, 010.0.0.2"], "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_taken_off() {
        caller("10.0.0.1", &["203.0.113.9:443"], "203.0.113.9");
        caller("10.0.0.1", &["[2001:db8::7]:443"], "2001:db8::7");
        caller("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7");
        caller("10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9");
    }

    #[track_caller]
    fn scheme(peer: &str, own: Scheme, told: &[&str], expect: Scheme) {
        let lines: Vec<_> = told
            .iter()
            .map(|line| ("x-forwarded-proto", *line))
            .collect();
        let origin = origin(peer.parse().unwrap(), own, &headers(&lines), &trusted());
        assert_eq!(origin.scheme, expect, "{told:?}");
    }

    #[test]
    fn the_scheme_is_our_own_or_a_trusted_proxys() {
        scheme("192.0.2.1", Scheme::Http, &["https"], Scheme::Http);
        scheme("192.0.2.1", Scheme::Https, &["http"], Scheme::Https);
        scheme("10.0.0.1", Scheme::Http, &[], Scheme::Http);
        scheme("10.0.0.1", Scheme::Http, &["HTTPS"], Scheme::Https);
        scheme("10.0.0.1", Scheme::Http, &["http, https"], Scheme::Https);
        scheme("10.0.0.1", Scheme::Http, &["http", "https"], Scheme::Https);
        scheme("10.0.0.1", Scheme::Https, &["gopher"], Scheme::Https);
    }
}
