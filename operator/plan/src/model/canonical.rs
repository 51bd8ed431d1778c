//! JSON in one form only, and hashes over it.
//!
//! Pure. Called by `revision` (identity) and `drift` (what was applied). Keys are sorted here and
//! not by the map, because a feature of `serde_json` that any crate may turn on keeps insertion
//! order instead, and a hash must not depend on who else is compiled in.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// SHA-256 over the canonical form of `value`.
pub(crate) fn hash(value: &Value) -> [u8; 32] {
    let mut text = String::new();
    write(value, &mut text);
    Sha256::digest(text.as_bytes()).into()
}

/// Bytes as hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
            text
        })
}

/// The first 40 bits of `bytes` as eight characters `[a-z2-7]` (RFC 4648 base32, lower case).
pub(crate) fn base32(bytes: [u8; 32]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bits = bytes
        .iter()
        .take(5)
        .fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    (0..8)
        .rev()
        .map(|place| {
            let index = usize::try_from((bits >> (place * 5)) & 31).unwrap_or_default();
            char::from(ALPHABET.get(index).copied().unwrap_or(b'a'))
        })
        .collect()
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (place, (key, member)) in members.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(member, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_that_of_items_does() {
        assert_eq!(
            hash(&json!({"a": 1, "b": [1, 2]})),
            hash(&json!({"b": [1, 2], "a": 1}))
        );
        assert_ne!(hash(&json!([1, 2])), hash(&json!([2, 1])));
        assert_ne!(hash(&json!({"a": "1"})), hash(&json!({"a": 1})));
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        let mut bytes = [0; 32];
        bytes[..5].copy_from_slice(b"fooba");
        assert_eq!(base32(bytes), "mzxw6ytb");
        assert_eq!(hex(&[0, 255]), "00ff");
    }
}
