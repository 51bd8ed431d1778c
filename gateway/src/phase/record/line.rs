//! The texts of a record: its id, its line in the access log, the header `server-timing`.
//!
//! Pure but for chance and the clock in an id. What callers send is in a line only cut and escaped, and never a body, a query
//! string, a header's value or a secret.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aimass_chassis::clock;
use axum::http::HeaderValue;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::Record;
use crate::app::random;

/// One line, in the order of its fields.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    target: &'static str,
    message: &'static str,
    #[serde(rename = "request.id")]
    id: &'a str,
    #[serde(rename = "trace.id", skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'a str>,
    #[serde(rename = "caller.kind", skip_serializing_if = "Option::is_none")]
    caller_kind: Option<&'static str>,
    #[serde(rename = "caller.id", skip_serializing_if = "Option::is_none")]
    caller_id: Option<&'a str>,
    #[serde(rename = "client.address")]
    client: String,
    protocol: &'static str,
    method: &'a str,
    path: &'a str,
    #[serde(rename = "http.status")]
    status: u16,
    #[serde(rename = "error.kind", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(rename = "request.bytes")]
    request_bytes: u64,
    #[serde(rename = "response.bytes")]
    response_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    admit_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<f64>,
    duration_ms: f64,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// Only where the model had to be woken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cold: bool,
}

/// The line of a record that has ended, with its end.
pub(super) fn of(
    record: &Record,
    kind: &'static str,
    took: Duration,
    trace: Option<&str>,
) -> String {
    let line = Line {
        timestamp: format!("{:.3}", clock::now()),
        level: match record.status {
            500.. => "warn",
            _ => "info",
        },
        target: "aimass_gateway::access",
        message: "request",
        id: &record.id,
        trace,
        project: record.model.as_ref().map(|model| &*model.namespace),
        model: record.model.as_ref().map(|model| &*model.served_name),
        revision: record.revision.as_ref().map(|revision| &*revision.name),
        caller_kind: record.caller.as_ref().map(|caller| caller.kind()),
        caller_id: record.caller.as_ref().and_then(|caller| caller.id()),
        client: record.origin.address.to_string(),
        protocol: record.protocol(),
        method: &record.method,
        path: &record.path,
        status: record.status,
        kind: (kind != "ok").then_some(kind),
        request_bytes: record.request_bytes.load(Ordering::Relaxed),
        response_bytes: record.response_bytes,
        admit_ms: record.admit().map(milliseconds),
        wait_ms: record.waited.map(milliseconds),
        upstream_ms: record.upstream().map(milliseconds),
        duration_ms: milliseconds(took),
        attempts: record.attempts,
        endpoint: record.pod.map(|pod| pod.to_string()),
        cold: record.cold,
    };
    // Nothing in it can fail.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

/// To the microsecond: more digits say nothing.
fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

/// `admit;dur=0.041, upstream;dur=5.120`: milliseconds.
pub(super) fn server_timing(phases: &[(&'static str, Option<Duration>)]) -> Option<HeaderValue> {
    let mut text = String::with_capacity(64);
    for (name, took) in phases {
        let Some(took) = took else { continue };
        let separator = if text.is_empty() { "" } else { ", " };
        let (whole, thousandths) = (took.as_millis(), took.subsec_micros() % 1000);
        // Writing into a String cannot fail.
        let _ = write!(text, "{separator}{name};dur={whole}.{thousandths:03}");
    }
    if text.is_empty() {
        return None;
    }
    HeaderValue::try_from(text).ok()
}

/// Whether the request of this id is one of the `share` that are told. The same for every gateway that sees it.
pub(super) fn is_sampled(id: &str, share: f64) -> bool {
    // 2^53: as many as a double tells apart.
    let place = (xxh3_64(id.as_bytes()) >> 11) as f64 / (1_u64 << 53) as f64;
    place < share
}

/// The longest prefix of at most `bytes` bytes that ends between two characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes))
        .unwrap_or_default()
}

/// A UUID of version 7 (RFC 9562 §5.7).
pub(super) fn new_id() -> String {
    id_of(clock::now().as_millisecond(), random(), random())
}

fn id_of(milliseconds: i64, a: u64, b: u64) -> String {
    let time = milliseconds.cast_unsigned() & 0xffff_ffff_ffff;
    let high = (u128::from(time) << 16) | 0x7000 | u128::from(a & 0x0fff);
    let low = (1 << 63) | (b & 0x3fff_ffff_ffff_ffff);
    let number = (high << 64) | u128::from(low);
    let mut id = String::with_capacity(36);
    // Digit by digit, because every request has one: widths make `format!` slow.
    for place in (0..32_u32).rev() {
        if matches!(place, 11 | 15 | 19 | 23) {
            id.push('-');
        }
        let digit = u32::try_from((number >> (4 * place)) & 0xf).unwrap_or(0);
        id.extend(char::from_digit(digit, 16));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_is_a_uuid_of_version_7() {
        let id = id_of(0x0123_4567_89ab, u64::MAX, 0);
        assert_eq!(id, "01234567-89ab-7fff-8000-000000000000");
        assert_ne!(new_id(), new_id());
        assert_eq!(new_id().len(), 36);
    }

    #[test]
    fn times_are_told_to_the_microsecond() {
        let us = Duration::from_micros;
        let timing = |admit, wait, upstream| {
            let phases = [("admit", admit), ("wait", wait), ("upstream", upstream)];
            let value = server_timing(&phases)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let both = timing(Some(us(41)), None, Some(us(5120)));
        assert_eq!(both.as_deref(), Some("admit;dur=0.041, upstream;dur=5.120"));
        let waited = timing(None, Some(us(1_500_000)), None);
        assert_eq!(waited.as_deref(), Some("wait;dur=1500.000"));
        assert_eq!(timing(None, None, None), None);
        assert_eq!(milliseconds(us(1234)), 1.234);
    }

    #[test]
    fn a_share_of_the_ids_is_told_and_always_the_same_ones() {
        let ids: Vec<String> = (0..10_000).map(|number: u32| number.to_string()).collect();
        let count = |share| ids.iter().filter(|id| is_sampled(id, share)).count();
        assert_eq!((count(0.0), count(1.0)), (0, 10_000));
        assert!((900..1100).contains(&count(0.1)), "{}", count(0.1));
        assert!(
            ids.iter()
                .all(|id| !is_sampled(id, 0.1) || is_sampled(id, 0.2))
        );
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("short", 20), "short");
        assert_eq!(cut("aüü", 4), "aü");
    }
}
