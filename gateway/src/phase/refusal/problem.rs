//! Refusals as problem details (RFC 9457), for callers that ask for them by `accept: application/problem+json`.
//!
//! Pure. Called by `record`. The types of limits are those of draft-ietf-httpapi-ratelimit-headers; the text is the same as in
//! the protocols' own form of an error, which everybody else gets.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::Refusal;

/// The media type.
pub(in crate::phase) const CONTENT_TYPE: &str = "application/problem+json";

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
/// Says nothing beyond the status.
const BLANK: &str = "about:blank";

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    /// The value of header `aimass-error`, for programs.
    kind: &'static str,
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'a str; 1]>,
}

/// Whether the caller asks for problem details: by name, with any weight but none.
pub(in crate::phase) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let texts = accepted.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(is_named)
}

fn is_named(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let refused = |part: &str| {
        let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
        weight.is_some_and(|weight| weight.chars().all(|c| matches!(c, '0' | '.')))
    };
    name.eq_ignore_ascii_case(CONTENT_TYPE) && !parts.any(refused)
}

/// The body that says why.
pub(in crate::phase) fn body(refusal: &Refusal) -> Vec<u8> {
    let Refusal {
        error,
        status,
        policy,
        ..
    } = refusal;
    let problem = Problem {
        r#type: match *status {
            StatusCode::TOO_MANY_REQUESTS => QUOTA_EXCEEDED,
            StatusCode::SERVICE_UNAVAILABLE => REDUCED_CAPACITY,
            _ => BLANK,
        },
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: &error.text,
        kind: error.kind.name(),
        violated_policies: policy.as_deref().map(|policy| [policy]),
    };
    // Texts and numbers always have a form in JSON.
    serde_json::to_vec(&problem).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aimass_protocol::Error;
    use serde_json::{Value, json};

    use super::*;
    use crate::limit;

    #[track_caller]
    fn check(accept: &[&str], expect: bool) {
        let mut headers = HeaderMap::new();
        for text in accept {
            headers.append(ACCEPT, text.parse().unwrap());
        }
        assert_eq!(is_wanted(&headers), expect, "{accept:?}");
    }

    #[test]
    fn problems_are_for_those_who_name_them() {
        check(&[], false);
        check(&["*/*"], false);
        check(&["application/json"], false);
        check(&["application/problem+json"], true);
        check(&["application/json, Application/Problem+JSON; q=0.5"], true);
        check(&["application/json", "application/problem+json"], true);
        check(&["application/problem+json;q=0"], false);
        check(&["application/problem+xml"], false);
    }

    fn shown(refusal: &Refusal) -> Value {
        serde_json::from_slice(&body(refusal)).unwrap()
    }

    #[test]
    fn a_limit_names_what_it_violates() {
        let refusal = limit::Refusal {
            policy: "per-minute".into(),
            retry_after: Duration::from_secs(3),
            quotas: Vec::new(),
        };
        let text = refusal.error().text;
        let expect = json!({
            "type": QUOTA_EXCEEDED, "title": "Too Many Requests", "status": 429, "detail": text,
            "kind": "rate_limited", "violated-policies": ["per-minute"],
        });
        assert_eq!(shown(&refusal.into()), expect);
    }

    #[test]
    fn other_refusals_say_what_their_status_is() {
        let starting = shown(&Refusal::starting());
        assert_eq!(starting["type"], REDUCED_CAPACITY);
        assert_eq!(starting["title"], "Service Unavailable");
        let unknown = shown(&Error::unauthenticated().into());
        assert_eq!(
            (&unknown["type"], &unknown["status"]),
            (&json!(BLANK), &json!(401))
        );
        assert!(unknown.get("violated-policies").is_none());
    }
}
