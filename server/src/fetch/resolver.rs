//! Names to addresses, every one of them judged: what is connected to is what was judged.
//!
//! Called by the HTTP client for each connection to a named host; literal addresses are judged by `http`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use aimass_chassis::address::{Policy, Refusal, judge};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The platform's rules about hosts.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Hosts that may have private addresses, in lower case.
    listed: Arc<[String]>,
    /// Never connected to.
    forbidden: Arc<[IpAddr]>,
}

impl Rules {
    pub(super) fn new(listed: &[String], forbidden: &[IpAddr]) -> Self {
        Self {
            listed: listed.iter().map(|host| plain(host)).collect(),
            forbidden: forbidden.into(),
        }
    }

    /// Judges one address of `host`.
    pub(super) fn judge(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        let policy = Policy {
            host_is_listed: self.listed.contains(&plain(host)),
            forbidden: self.forbidden.to_vec(),
        };
        judge(&policy, address).map_err(|refusal| Refused {
            host: host.to_owned(),
            refusal,
        })
    }
}

/// Host names are the same in any case, with or without the root's dot; IPv6 literals with or without brackets.
fn plain(host: &str) -> String {
    let host = host
        .trim_end_matches('.')
        .trim_start_matches('[')
        .trim_end_matches(']');
    host.to_ascii_lowercase()
}

/// A host leads where it must not.
#[derive(Debug, thiserror::Error)]
#[error("host {host}: {refusal}")]
pub(super) struct Refused {
    host: String,
    refusal: Refusal,
}

impl Resolve for Rules {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            // One bad address among good ones is a rebinding attempt: none is used.
            for address in &addresses {
                rules.judge(host, address.ip())?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
