//! What the tests of `key/*` share, and those of `create`, which is I/O to a great part.

use aimass_crds::APIKeySpec;
use serde_json::Value;

use super::*;

/// Noon of a day.
pub(super) const NOW: &str = "2026-11-27T12:00:00Z";

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The key shop/ana with credentials of these ids and ends.
pub(super) fn key(credentials: &[(&str, Option<&str>)]) -> APIKey {
    let credentials = credentials.iter().map(|(id, end)| Credential {
        id: (*id).to_owned(),
        sha256: "0".repeat(64),
        not_after: end.map(|end| Time(time(end))),
    });
    let spec = APIKeySpec {
        models: vec!["iris".to_owned()],
        credentials: credentials.collect(),
        ..APIKeySpec::default()
    };
    let mut key = APIKey::new("ana", spec);
    key.metadata.namespace = Some("shop".to_owned());
    key
}

/// The same as the API server would return it.
pub(super) fn object_with(version: &str, credentials: &[(&str, Option<&str>)]) -> Value {
    let mut key = key(credentials);
    key.metadata.resource_version = Some(version.to_owned());
    serde_json::to_value(key).unwrap()
}

#[test]
fn credentials_are_shown_without_their_hash() {
    let key = key(&[("A00000000000", Some(NOW)), ("B00000000000", None)]);
    let expect = format!("A00000000000 (until {NOW}), B00000000000");
    assert_eq!(ids(&key.spec.credentials), expect);
}

#[test]
fn a_credential_ends_at_its_very_end() {
    let [ended, alive] = [NOW, "2026-11-27T12:00:01Z"].map(|end| {
        let key = key(&[("A00000000000", Some(end))]);
        has_ended(&key.spec.credentials[0], time(NOW))
    });
    assert!(ended && !alive);
    assert!(!has_ended(
        &key(&[("A00000000000", None)]).spec.credentials[0],
        time(NOW)
    ));
}
