//! Phase authenticate: who calls.
//!
//! Pure: the table has every key, so no call waits for anybody, and a key that is revoked fails with the next table. Called by
//! `phase` after `route`; [`super::permit`] decides what the caller may do. Who shows a token of Kubernetes is asked by
//! `phase::tokens`.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aimass_protocol::Error;
use jiff::Timestamp;

use crate::key::Token;
use crate::limit::{Holder, block};
use crate::review::{Identity, Wanted};
use crate::table::{Key, Table};

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Somebody without a credential.
    Anonymous,
    /// Whoever has this key.
    Key {
        /// The id inside of the token; no secret.
        id: Arc<str>,
        /// As it stood in the table.
        key: Arc<Key>,
    },
    /// A user of Kubernetes, mostly a ServiceAccount.
    Token {
        /// As the API server said.
        identity: Arc<Identity>,
        /// The only model that it may call with this request, once the API server has said so.
        allowed: Option<Arc<Wanted>>,
    },
}

impl Caller {
    /// For the header `aimass-caller` and the log: the key's id, or the user's name.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Key { id, .. } => Some(id),
            Self::Token { identity, .. } => Some(identity.user()),
        }
    }

    /// Whose requests count as one caller's, in limits and in turns: those of a key, of a user whichever of its tokens it shows,
    /// else of `address`.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Holder {
        match self {
            Self::Anonymous => Holder::Address(block(address)),
            Self::Key { key, .. } => Holder::Key(Arc::clone(&key.uid)),
            Self::Token { identity, .. } => Holder::User(Arc::clone(identity.user())),
        }
    }

    /// For the log: `anonymous`, `key`, `serviceaccount` or `user`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Key { .. } => "key",
            Self::Token { identity, .. } if identity.is_service_account() => "serviceaccount",
            Self::Token { .. } => "user",
        }
    }

    /// Remembers that a key was used, for the operator. Nearly always that is known already, and nothing is written to what
    /// threads share.
    pub fn note_use(&self) {
        if let Self::Key { key, .. } = self
            && !key.used.load(Ordering::Relaxed)
        {
            key.used.store(true, Ordering::Relaxed);
        }
    }
}

/// Who shows `credential`, from `address`, at `now` by the wall clock.
///
/// # Errors
/// `unauthenticated`, in one text: no key has the id, the secret is wrong, the key is disabled or has ended, or it may not be
/// used from there. Who gets it has not proved to be anybody, and learns nothing of any key. Each is an attempt that
/// [`crate::limit::Strangers::failure`] counts.
pub fn identify(
    table: &Table,
    credential: Option<&str>,
    address: IpAddr,
    now: Timestamp,
) -> Result<Caller, Error> {
    let Some(credential) = credential else {
        return Ok(Caller::Anonymous);
    };
    let token = Token::parse(credential).ok_or_else(Error::unauthenticated)?;
    let found = table.keys.get_key_value(token.id());
    // Before anything else is looked at, and whether there is a key or not.
    let right = token.is_right(found.map(|(_, key)| &key.sha256));
    match found {
        Some((id, key)) if right && is_valid(key, address, now) => Ok(Caller::Key {
            id: Arc::clone(id),
            key: Arc::clone(key),
        }),
        _ => Err(Error::unauthenticated()),
    }
}

fn is_valid(key: &Key, address: IpAddr, now: Timestamp) -> bool {
    !key.disabled
        && key.not_after.is_none_or(|end| now < end)
        && (key.allowed.is_empty() || key.allowed.iter().any(|range| range.contains(address)))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::UserInfo;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::table::Network;

    const ID: &str = "abcDEF123456";

    fn token() -> String {
        format!("aim_{ID}_{}", "s".repeat(43))
    }

    fn key() -> Key {
        Key {
            uid: "uid".into(),
            namespace: "shop".into(),
            name: "till".into(),
            sha256: Sha256::digest(token().as_bytes()).into(),
            models: vec!["*".into()],
            plan: None,
            not_after: None,
            disabled: false,
            allowed: Vec::new(),
            used: std::sync::atomic::AtomicBool::new(false),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// Whether `credential` is known at second 1000, from 10.1.2.3.
    fn is_known(key: Key, credential: &str) -> bool {
        let mut table = Table::default();
        table.keys.insert(ID.into(), Arc::new(key));
        let address = "10.1.2.3".parse().unwrap();
        match identify(&table, Some(credential), address, at(1000)) {
            Ok(caller) => {
                assert_eq!((caller.kind(), caller.id()), ("key", Some(ID)));
                true
            }
            Err(error) => {
                assert_eq!(error, Error::unauthenticated());
                false
            }
        }
    }

    fn range(address: &str, prefix: u8) -> Network {
        Network {
            address: address.parse().unwrap(),
            prefix,
        }
    }

    #[test]
    fn who_has_a_token_is_its_key() {
        assert!(is_known(key(), &token()));
    }

    #[test]
    fn who_has_none_is_nobody() {
        let caller = identify(&Table::default(), None, [127, 0, 0, 1].into(), at(0)).unwrap();
        assert_eq!((caller.kind(), caller.id()), ("anonymous", None));
    }

    #[test]
    fn who_has_a_token_of_kubernetes_is_a_service_account_or_a_person() {
        let named = |name: &str| {
            let username = Some(name.to_owned());
            let info = UserInfo {
                username,
                ..UserInfo::default()
            };
            let identity = Arc::new(Identity::new(info).unwrap());
            let allowed = None;
            Caller::Token { identity, allowed }
        };
        let till = "system:serviceaccount:shop:till";
        let caller = named(till);
        assert_eq!((caller.kind(), caller.id()), ("serviceaccount", Some(till)));
        let caller = named("ana@example.com");
        assert_eq!(
            (caller.kind(), caller.id()),
            ("user", Some("ana@example.com"))
        );
    }

    #[test]
    fn wrong_secrets_unknown_ids_and_other_forms_are_one_answer() {
        assert!(!is_known(key(), &format!("aim_{ID}_{}", "t".repeat(43))));
        assert!(!is_known(key(), &token().replace("abc", "xyz")));
        assert!(!is_known(key(), "eyJhbGciOiJub25lIn0.e30."));
        assert!(!is_known(key(), ""));
    }

    #[test]
    fn a_disabled_key_is_unknown() {
        let disabled = true;
        assert!(!is_known(Key { disabled, ..key() }, &token()));
    }

    #[test]
    fn a_key_ends_at_its_time() {
        let until = |second| Key {
            not_after: Some(at(second)),
            ..key()
        };
        assert!(is_known(until(1001), &token()));
        assert!(!is_known(until(1000), &token()));
        assert!(!is_known(until(0), &token()));
    }

    #[test]
    fn a_key_is_good_at_its_addresses_only() {
        let allowed = |allowed| Key { allowed, ..key() };
        let (near, far) = (range("10.0.0.0", 8), range("192.168.0.0", 16));
        assert!(is_known(allowed(vec![far, near]), &token()));
        assert!(!is_known(allowed(vec![far]), &token()));
        assert!(!is_known(allowed(vec![range("::", 0)]), &token()));
        assert!(is_known(allowed(vec![range("0.0.0.0", 0)]), &token()));
    }
}
