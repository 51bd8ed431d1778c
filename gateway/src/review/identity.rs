//! Who shows a token, as the API server says, and what it wants.
//!
//! Pure. Made by `wire`, kept by `review`, carried by `phase`'s `Caller`.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::authentication::v1::UserInfo;
use sha2::{Digest as _, Sha256};

/// Bytes of a user's name: a ServiceAccount's has at most 339.
const MAX_USER: usize = 512;
/// Bytes of all that is known of one user: 10,000 of them are remembered.
const MAX_IDENTITY: usize = 8 << 10;
/// Where a token that is bound to a pod says to which. Source: Kubernetes' documentation of ServiceAccount tokens.
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// How names of ServiceAccounts begin; nobody else's may.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// A user of Kubernetes.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    user: Arc<str>,
    pub(super) uid: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
    /// Of all of the above.
    digest: [u8; 32],
}

/// A model that somebody wants to call, by the names of the object: those that Roles have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `metadata.namespace`
    pub namespace: Arc<str>,
    /// `metadata.name`
    pub name: Arc<str>,
}

impl Identity {
    /// `None`: without a name, or with more than is kept of anybody.
    #[must_use]
    pub fn new(info: UserInfo) -> Option<Self> {
        let UserInfo {
            extra,
            groups,
            uid,
            username,
        } = info;
        let (user, groups) = (username?, groups.unwrap_or_default());
        let extra = extra.unwrap_or_default();
        // Unambiguous, whatever is in the texts.
        let whole = serde_json::to_vec(&(&user, &uid, &groups, &extra)).ok()?;
        let sized = (1..=MAX_USER).contains(&user.len()) && whole.len() <= MAX_IDENTITY;
        sized.then(|| Self {
            user: user.into(),
            uid,
            groups,
            extra,
            digest: Sha256::digest(&whole).into(),
        })
    }

    /// Its name, such as `system:serviceaccount:shop:till`.
    #[must_use]
    pub const fn user(&self) -> &Arc<str> {
        &self.user
    }

    /// Whether it is a ServiceAccount, and not a person.
    #[must_use]
    pub fn is_service_account(&self) -> bool {
        self.user.starts_with(SERVICE_ACCOUNT)
    }

    /// The uid of the pod that its token is bound to, if it is bound to one.
    #[must_use]
    pub fn pod(&self) -> Option<&str> {
        match self.extra.get(POD_UID).map(Vec::as_slice) {
            Some([uid]) => Some(uid),
            _ => None,
        }
    }

    /// Of all that decides whether it may call `wanted`.
    pub(super) fn digest_with(&self, wanted: &Wanted) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.digest);
        hasher.update(wanted.namespace.as_bytes());
        // In no name: where the one ends and the other begins is certain.
        hasher.update([0]);
        hasher.update(wanted.name.as_bytes());
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(user: &str, groups: &[&str]) -> UserInfo {
        UserInfo {
            username: Some(user.to_owned()),
            uid: Some("u".to_owned()),
            groups: Some(groups.iter().map(ToString::to_string).collect()),
            extra: None,
        }
    }

    fn wanted(namespace: &str, name: &str) -> Wanted {
        Wanted {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    #[test]
    fn a_service_account_is_known_by_its_name() {
        let identity = |user| Identity::new(info(user, &[])).unwrap();
        let till = identity("system:serviceaccount:shop:till");
        assert!(till.is_service_account());
        assert_eq!(&**till.user(), "system:serviceaccount:shop:till");
        assert!(!identity("ana@example.com").is_service_account());
    }

    #[test]
    fn a_token_may_be_bound_to_a_pod() {
        let bound = |uids: &[&str]| {
            let uids = uids.iter().map(ToString::to_string).collect();
            let extra = BTreeMap::from([(POD_UID.to_owned(), uids)]);
            let extra = Some(extra);
            let info = UserInfo {
                extra,
                ..info("a", &[])
            };
            Identity::new(info).unwrap().pod().map(str::to_owned)
        };
        assert_eq!(bound(&["u-1"]).as_deref(), Some("u-1"));
        assert_eq!(bound(&["u-1", "u-2"]), None);
        assert_eq!(Identity::new(info("a", &[])).unwrap().pod(), None);
    }

    #[test]
    fn nobody_is_nameless_or_boundless() {
        assert!(Identity::new(UserInfo::default()).is_none());
        assert!(Identity::new(info("", &[])).is_none());
        assert!(Identity::new(info(&"a".repeat(MAX_USER), &[])).is_some());
        assert!(Identity::new(info(&"a".repeat(MAX_USER + 1), &[])).is_none());
        let group = "g".repeat(MAX_IDENTITY);
        assert!(Identity::new(info("a", &[&group])).is_none());
    }

    #[test]
    fn whatever_differs_is_another_question() {
        let asked = |user, groups: &[&str], namespace, name| {
            let identity = Identity::new(info(user, groups)).unwrap();
            identity.digest_with(&wanted(namespace, name))
        };
        let one = asked("a", &["g", "h"], "shop", "iris");
        assert_eq!(one, asked("a", &["g", "h"], "shop", "iris"));
        for other in [
            asked("b", &["g", "h"], "shop", "iris"),
            asked("a", &["gh"], "shop", "iris"),
            asked("a", &["g"], "shop", "iris"),
            asked("a", &["g", "h"], "shopi", "ris"),
            asked("a", &["g", "h"], "bank", "iris"),
            asked("a", &["g", "h"], "shop", "rose"),
        ] {
            assert_ne!(one, other);
        }
    }
}
