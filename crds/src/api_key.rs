//! `APIKey`: a caller's key, and whether it opens anything.
//!
//! Pure. Written by users; [`key_state`] and [`KeyState::of`] are the one judgement that the operator
//! reports and the gateway obeys. The token itself is made by whoever makes the manifest and is never
//! in the cluster: only its hash is, so that the manifest may lie in Git.
#![expect(
    unreachable_pub,
    reason = "KubeSchema derives from a copy of each type, inside a function"
)]

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::network::Cidr;

/// A caller's key.
#[expect(
    clippy::duplicated_attributes,
    reason = "each is of another column; the lint does not see the groups"
)]
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "aimass.dev",
    version = "v1alpha1",
    kind = "APIKey",
    plural = "apikeys",
    shortname = "aimk",
    category = "aimass",
    namespaced,
    status = "APIKeyStatus",
    derive = "PartialEq",
    doc = "A caller's key: which models of its namespace it may call, how much, and until when. Example: spec: {models: [iris], plan: free, credentials: [{id: 7GmYq2TbX0aZ, sha256: HASH}]}, where HASH is the SHA-256 of the token aim_7GmYq2TbX0aZ_SECRET.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the key opens anything"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it does or does not"
    ),
    printcolumn(
        name = "Owner",
        type_ = "string",
        json_path = ".spec.owner",
        description = "Whose key it is"
    ),
    printcolumn(
        name = "Plan",
        type_ = "string",
        json_path = ".spec.plan",
        description = "How much it may do"
    ),
    // No date: kubectl prints those as an age, and one to come as <invalid>.
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".status.expiresAt",
        description = "From when on none of its credentials is accepted"
    ),
    printcolumn(
        name = "Last used",
        type_ = "date",
        json_path = ".status.lastUsedAt",
        description = "How long ago a gateway last accepted it, in whole hours"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Models",
        type_ = "string",
        json_path = ".spec.models",
        priority = 1,
        description = "Which models it may call"
    )
)]
pub struct APIKeySpec {
    /// Whose key it is, for people. At most 253 characters. Default: nobody named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub owner: Option<String>,

    /// What it is for, for people. At most 256 characters. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub description: Option<String>,

    /// The ModelDeployments of this namespace that the key may call, by metadata.name; or '*' alone,
    /// for all of them. Required; 1 to 16.
    #[schemars(
        length(min = 1, max = 16),
        inner(
            length(max = 52),
            regex(pattern = r"^(\*|[a-z]([-a-z0-9]{0,50}[a-z0-9])?)$")
        )
    )]
    #[x_kube(validation = Rule::new("!self.exists(m, m == '*') || self.size() == 1")
        .message("'*' must stand alone"))]
    pub models: Vec<String>,

    /// The UsagePlan that says how much the key may do. At most 63 characters. Default: the plan
    /// that the gateway has for everybody, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub plan: Option<String>,

    /// What proves that a caller has the key: each of them does. Required; 1 or 2, two so that a new
    /// token can be handed out before the old one ends.
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub credentials: Vec<Credential>,

    /// From when on the key is refused, as in 2027-06-30T00:00:00Z. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,

    /// Whether the key is switched off. true: it is refused; nothing is forgotten, and false brings
    /// it back. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,

    /// The addresses that callers with the key may have, as ranges such as 10.0.0.0/8 or
    /// 2001:db8::/32. At most 16. Default: all addresses.
    #[serde(
        default,
        rename = "allowedCIDRs",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(c, isCIDR(c))")
        .message("each must be a CIDR such as 10.0.0.0/8 or 2001:db8::/32"))]
    pub allowed_cidrs: Option<Vec<Cidr>>,
}

/// The hash of one token.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// What the token is found by: the middle part of aim_ID_SECRET. Required; 12 letters and
    /// digits. No two keys of the cluster may have the same; the older one keeps it.
    #[schemars(length(min = 12, max = 12), regex(pattern = r"^[A-Za-z0-9]{12}$"))]
    pub id: String,

    /// The SHA-256 of the whole token, in 64 hexadecimal digits in lower case. Required.
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: String,

    /// From when on this token is refused, as in 2027-06-30T00:00:00Z. Default: when the key is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
}

/// What is, and why. Nothing of it but `lastTransitionTime` and `lastUsedAt` is read back.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct APIKeyStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub observed_generation: Option<i64>,

    /// The UsagePlan whose limits hold. Absent: the key names none, or one that does not exist, so
    /// that the gateway's plan for everybody holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub effective_plan: Option<String>,

    /// From when on none of the key's credentials is accepted. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,

    /// The hour in which a gateway last accepted the key. Absent: not since that is known.
    // R
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,

    /// Ready, Accepted, and while true Reconciling and Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Whether a key, or one credential of it, opens anything by itself.
///
/// Whether its ids are its own, and whether its plan exists, is not said by the key alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It does.
    Active,
    /// `spec.disabled` is true.
    Disabled,
    /// Its time is over.
    Expired,
}

impl KeyState {
    /// Judges what ends at `end` (exclusively; absent: never). Disabled comes first: it is what
    /// somebody decided.
    #[must_use]
    pub fn of(disabled: bool, end: Option<Timestamp>, now: Timestamp) -> Self {
        match end {
            _ if disabled => Self::Disabled,
            Some(end) if end <= now => Self::Expired,
            Some(_) | None => Self::Active,
        }
    }
}

/// Judges a key: it is active as long as one of its credentials is accepted.
#[must_use]
pub fn key_state(key: &APIKey, now: Timestamp) -> KeyState {
    let disabled = key.spec.disabled.unwrap_or(false);
    KeyState::of(disabled, key_end(key), now)
}

/// From when on none of the key's credentials is accepted; `None`: never.
///
/// The latest end of its credentials; a key without credentials (the schema refuses it) has ended
/// already.
#[must_use]
pub fn key_end(key: &APIKey) -> Option<Timestamp> {
    let mut latest = Timestamp::MIN;
    for credential in &key.spec.credentials {
        latest = latest.max(credential_end(key, credential)?);
    }
    Some(latest)
}

/// From when on `credential` of `key` is refused: its own end or the key's, whichever is sooner;
/// `None`: never.
#[must_use]
pub fn credential_end(key: &APIKey, credential: &Credential) -> Option<Timestamp> {
    let ends = [&key.spec.expires_at, &credential.not_after];
    ends.into_iter().flatten().map(|end| end.0).min()
}

/// Which of two keys came first: the lesser one keeps a credential id that both claim.
///
/// The time of creation, to seconds, then the uid, which nobody can choose.
#[must_use]
pub fn seniority(key: &APIKey) -> (Option<Timestamp>, Option<&str>) {
    let created = key.metadata.creation_timestamp.as_ref();
    (
        created.map(|created| created.0),
        key.metadata.uid.as_deref(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-06-01T00:00:00Z";
    const BEFORE: &str = "2026-05-31T23:59:59Z";
    const AFTER: &str = "2026-06-01T00:00:01Z";
    const LATER: &str = "2026-07-01T00:00:00Z";

    fn time(text: &str) -> Time {
        Time(text.parse().unwrap())
    }

    /// A key whose credentials end at `ends`.
    fn key(expires_at: Option<&str>, ends: &[Option<&str>]) -> APIKey {
        let credentials = ends.iter().map(|end| Credential {
            id: "7GmYq2TbX0aZ".to_owned(),
            sha256: "0".repeat(64),
            not_after: end.map(time),
        });
        let spec = APIKeySpec {
            models: vec!["iris".to_owned()],
            credentials: credentials.collect(),
            expires_at: expires_at.map(time),
            ..APIKeySpec::default()
        };
        APIKey::new("ana", spec)
    }

    #[track_caller]
    fn check(key: &APIKey, expect: KeyState, end: Option<&str>) {
        assert_eq!(key_state(key, time(NOW).0), expect);
        assert_eq!(key_end(key), end.map(|end| time(end).0));
    }

    #[test]
    fn a_key_without_an_end_is_active() {
        check(&key(None, &[None]), KeyState::Active, None);
    }

    #[test]
    fn a_key_is_refused_from_its_end_on() {
        check(&key(Some(AFTER), &[None]), KeyState::Active, Some(AFTER));
        check(&key(Some(NOW), &[None]), KeyState::Expired, Some(NOW));
        check(&key(Some(BEFORE), &[None]), KeyState::Expired, Some(BEFORE));
    }

    #[test]
    fn a_key_lives_as_long_as_its_last_credential() {
        let both = [Some(BEFORE), Some(AFTER)];
        check(&key(None, &both), KeyState::Active, Some(AFTER));
        let both = [Some(BEFORE), Some(NOW)];
        check(&key(None, &both), KeyState::Expired, Some(NOW));
        check(&key(None, &[Some(BEFORE), None]), KeyState::Active, None);
    }

    #[test]
    fn the_sooner_of_both_ends_counts() {
        check(
            &key(Some(AFTER), &[Some(LATER)]),
            KeyState::Active,
            Some(AFTER),
        );
        check(
            &key(Some(BEFORE), &[Some(LATER)]),
            KeyState::Expired,
            Some(BEFORE),
        );
    }

    #[test]
    fn a_disabled_key_is_disabled_whatever_its_end() {
        let mut key = key(Some(BEFORE), &[None]);
        key.spec.disabled = Some(true);
        check(&key, KeyState::Disabled, Some(BEFORE));
        key.spec.disabled = Some(false);
        check(&key, KeyState::Expired, Some(BEFORE));
    }

    #[test]
    fn a_key_without_credentials_opens_nothing() {
        assert_eq!(key_state(&key(None, &[]), time(NOW).0), KeyState::Expired);
    }

    #[test]
    fn the_older_key_is_the_lesser_one_then_the_one_of_the_lesser_uid() {
        let made = |created: &str, uid: &str| {
            let mut key = key(None, &[None]);
            key.metadata.creation_timestamp = Some(time(created));
            key.metadata.uid = Some(uid.to_owned());
            key
        };
        assert!(seniority(&made(BEFORE, "b")) < seniority(&made(NOW, "a")));
        assert!(seniority(&made(NOW, "a")) < seniority(&made(NOW, "b")));
    }
}
