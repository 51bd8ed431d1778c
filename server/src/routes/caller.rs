//! What a caller says in headers.
//!
//! Pure but for the random part of a new request id. Used by `record` and `infer`.

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use aimass_protocol::grpc::parse_timeout;
use aimass_protocol::{Error, Nonfinite};
use axum::http::HeaderMap;

/// The longest deadline that a caller may name.
const MAX_TIMEOUT_MS: u64 = 3_600_000;

/// The caller's request id, if it is one, else a new UUID of version 7.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let id = headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match id {
        Some(id) if (1..=64).contains(&id.len()) && id.bytes().all(plain) => id.to_owned(),
        _ => new_id(aimass_chassis::clock::now().as_millisecond()),
    }
}

/// RFC 9562 §5.7 from Unix time in milliseconds.
fn new_id(milliseconds: i64) -> String {
    let time = milliseconds.cast_unsigned() & 0xffff_ffff_ffff;
    // The standard library's hasher is keyed at random, and each one differently.
    let random = || std::hash::RandomState::new().build_hasher().finish();
    let (a, b) = (random() & 0x0fff, random() & 0x3fff_ffff_ffff_ffff);
    let high = (u128::from(time) << 16) | 0x7000 | u128::from(a);
    let low = (1 << 63) | b;
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

/// The deadline that `x-request-timeout-ms` asks for.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let name = "x-request-timeout-ms";
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    match text.parse::<u64>() {
        Ok(ms) if (1..=MAX_TIMEOUT_MS).contains(&ms) => Ok(Some(Duration::from_millis(ms))),
        _ => Err(Error::invalid_header(name, &text)),
    }
}

/// The deadline that `grpc-timeout` asks for: at most eight digits and a unit.
pub(super) fn grpc_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let name = "grpc-timeout";
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let timeout = parse_timeout(&text);
    timeout
        .map(Some)
        .ok_or_else(|| Error::invalid_header(name, &text))
}

/// Whether the caller's rows may be run together, with each other and with those of others.
pub(super) fn batching(headers: &HeaderMap) -> Result<bool, Error> {
    let name = "aimass-batching";
    let Some(value) = headers.get(name) else {
        return Ok(true);
    };
    match value.as_bytes() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        other => Err(Error::invalid_header(name, &String::from_utf8_lossy(other))),
    }
}

/// The form of non-finite numbers that the caller asks for, else `default`.
pub(super) fn nonfinite(headers: &HeaderMap, default: Nonfinite) -> Result<Nonfinite, Error> {
    let name = "aimass-json-nonfinite";
    let Some(value) = headers.get(name) else {
        return Ok(default);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    Nonfinite::from_header(&text).ok_or_else(|| Error::invalid_header(name, &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_is_a_uuid_of_version_7() {
        let id = new_id(0x0123_4567_89ab);
        assert_eq!(id.len(), 36);
        assert!(id.starts_with("01234567-89ab-7"), "{id}");
        assert!(
            matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'),
            "{id}"
        );
        assert_ne!(id, new_id(0x0123_4567_89ab));
    }

    #[test]
    fn ids_of_callers_are_kept_if_they_are_plain() {
        let id = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", value.parse().unwrap());
            request_id(&headers)
        };
        assert_eq!(id("a.B_9-"), "a.B_9-");
        assert_ne!(id("a b"), "a b");
        assert_ne!(id(""), "");
    }

    #[test]
    fn a_grpc_timeout_has_digits_and_a_unit() {
        let timeout = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", value.parse().unwrap());
            grpc_timeout(&headers).map_err(|error| error.text)
        };
        assert_eq!(timeout("3S"), Ok(Some(Duration::from_secs(3))));
        for bad in ["", "1", "1s", "1é"] {
            let text = format!("Invalid grpc-timeout: \"{bad}\"");
            assert_eq!(timeout(bad), Err(text));
        }
    }

    #[test]
    fn batching_is_on_or_off() {
        let batching = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("aimass-batching", value.parse().unwrap());
            batching(&headers).map_err(|error| error.text)
        };
        assert_eq!((batching("on"), batching("off")), (Ok(true), Ok(false)));
        let text = "Invalid aimass-batching: \"no\"";
        assert_eq!(batching("no"), Err(text.to_owned()));
    }

    #[test]
    fn timeouts_are_1_ms_to_1_h() {
        let timeout = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-timeout-ms", value.parse().unwrap());
            timeout(&headers).map_err(|error| error.text)
        };
        assert_eq!(timeout("200"), Ok(Some(Duration::from_millis(200))));
        for bad in ["0", "abc", "-1", "3600001", ""] {
            let text = format!("Invalid x-request-timeout-ms: \"{bad}\"");
            assert_eq!(timeout(bad), Err(text));
        }
    }
}
