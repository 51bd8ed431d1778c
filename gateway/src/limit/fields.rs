//! What limited callers read in headers: `ratelimit-policy`, `ratelimit`, `retry-after`, `retry-after-ms`.
//!
//! Pure. Source: draft-ietf-httpapi-ratelimit-headers, structured fields (RFC 9651). Names come out of UsagePlans.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Whoever would wait for longer is told not to.
const PATIENCE: Duration = Duration::from_secs(60);

/// One limit of a caller, and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Its name.
    pub policy: Arc<str>,
    /// Requests per window, or in flight.
    pub quota: u64,
    /// `None`: requests in flight.
    pub window: Option<Duration>,
    /// Requests that would pass now.
    pub remaining: u64,
    /// Until all of the burst would pass; zero for requests in flight.
    pub reset: Duration,
}

/// All limits, and of the tightest what is left. None without limits.
pub(super) fn quotas(quotas: &[Quota]) -> Vec<(HeaderName, HeaderValue)> {
    let tightest = quotas
        .iter()
        .min_by_key(|quota| (quota.remaining, std::cmp::Reverse(quota.reset)));
    let Some(tightest) = tightest else {
        return Vec::new();
    };
    let policies: Vec<String> = quotas.iter().map(policy).collect();
    let mut limit = format!("{};r={}", string(&tightest.policy), tightest.remaining);
    if tightest.window.is_some() {
        // Writing into a String cannot fail.
        let _ = write!(limit, ";t={}", whole_seconds(tightest.reset));
    }
    let headers = [(POLICY, policies.join(", ")), (LIMIT, limit)];
    let valid = |(name, value): (HeaderName, String)| {
        // It has nothing but printable ASCII in it.
        Some((name, HeaderValue::try_from(value).ok()?))
    };
    headers.into_iter().filter_map(valid).collect()
}

/// When to come again: in whole seconds as HTTP has it, rounded up, at least 1; and exactly.
pub(super) fn retry_after(after: Duration) -> Vec<(HeaderName, HeaderValue)> {
    let milliseconds = u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    let mut headers = vec![
        (RETRY_AFTER, whole_seconds(after).max(1).into()),
        (RETRY_AFTER_MS, milliseconds.max(1).into()),
    ];
    if after > PATIENCE {
        headers.push((SHOULD_RETRY, HeaderValue::from_static("false")));
    }
    headers
}

fn policy(quota: &Quota) -> String {
    let name = string(&quota.policy);
    match quota.window {
        Some(window) => format!("{name};q={};w={}", quota.quota, whole_seconds(window)),
        None => format!("{name};q={};qu=\"concurrent-requests\"", quota.quota),
    }
}

/// A string of RFC 9651: printable ASCII; what is not is left out.
fn string(text: &str) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            string.push('\\');
        }
        if matches!(letter, ' '..='~') {
            string.push(letter);
        }
    }
    string.push('"');
    string
}

fn whole_seconds(duration: Duration) -> u64 {
    let part = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(headers: &[(HeaderName, HeaderValue)]) -> Vec<String> {
        let line = |(name, value): &(HeaderName, HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        headers.iter().map(line).collect()
    }

    fn rate(policy: &str, remaining: u64, reset_ms: u64) -> Quota {
        Quota {
            policy: policy.into(),
            quota: 60,
            window: Some(Duration::from_secs(60)),
            remaining,
            reset: Duration::from_millis(reset_ms),
        }
    }

    fn in_flight(remaining: u64) -> Quota {
        Quota {
            policy: "inflight".into(),
            quota: 8,
            window: None,
            remaining,
            reset: Duration::ZERO,
        }
    }

    #[test]
    fn all_limits_are_named_and_the_tightest_is_shown() {
        let headers = quotas(&[rate("per-minute", 12, 2100), in_flight(13)]);
        let expect = [
            "ratelimit-policy: \"per-minute\";q=60;w=60, \"inflight\";q=8;qu=\"concurrent-requests\"",
            "ratelimit: \"per-minute\";r=12;t=3",
        ];
        assert_eq!(shown(&headers), expect);
        let headers = quotas(&[rate("per-minute", 12, 0), in_flight(2)]);
        assert_eq!(shown(&headers)[1], "ratelimit: \"inflight\";r=2");
        let headers = quotas(&[rate("a", 0, 1000), rate("b", 0, 5000)]);
        assert_eq!(shown(&headers)[1], "ratelimit: \"b\";r=0;t=5");
    }

    #[test]
    fn without_limits_there_is_nothing_to_say() {
        assert!(quotas(&[]).is_empty());
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(string("a\"b\\c ü\n"), "\"a\\\"b\\\\c \"");
    }

    #[test]
    fn seconds_are_rounded_up_and_long_waits_are_hopeless() {
        let retry = |ms| shown(&retry_after(Duration::from_millis(ms)));
        assert_eq!(retry(0), ["retry-after: 1", "retry-after-ms: 1"]);
        assert_eq!(retry(1), ["retry-after: 1", "retry-after-ms: 1"]);
        assert_eq!(retry(1001), ["retry-after: 2", "retry-after-ms: 1001"]);
        assert_eq!(retry(60_000), ["retry-after: 60", "retry-after-ms: 60000"]);
        let long = [
            "retry-after: 61",
            "retry-after-ms: 60001",
            "x-should-retry: false",
        ];
        assert_eq!(retry(60_001), long);
    }
}
