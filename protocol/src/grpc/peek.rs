//! Which model a message is about, by its first bytes.
//!
//! Pure. Called by the gateway, which must know before it has the whole message, and decodes none. `ModelInferRequest`,
//! `ModelMetadataRequest` and `ModelReadyRequest` begin alike: field 1 is the model's name, field 2 its version. Every
//! encoder writes fields in the order of their numbers; protocol buffers allow another one, which is refused here.

use std::str;

use crate::error::{Error, Kind};

/// Bytes of a message that are looked at: a name within them, or the message is refused.
pub const PEEK_BYTES: usize = 4096;

/// The tags of fields 1 and 2, both strings.
const NAME: u8 = 0x0A;
const VERSION: u8 = 0x12;
/// The most bytes of a length that fits into [`PEEK_BYTES`]; longer forms of small numbers are allowed as far.
const MAX_VARINT: usize = 5;

/// What the beginning of a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek<'a> {
    /// Not enough yet: read on.
    More,
    /// What is asked about.
    Model {
        /// Its name.
        name: &'a str,
        /// Its version; empty = none.
        version: &'a str,
    },
}

/// Looks at `start`, which is the whole message if `whole`; what lies beyond [`PEEK_BYTES`] is not looked at.
///
/// Errors: `bad_request`, the message does not begin with a model's name, or not within [`PEEK_BYTES`].
pub fn peek(start: &[u8], whole: bool) -> Result<Peek<'_>, Error> {
    // What lies beyond is never looked at: there is no more to wait for, but that is not the message's end.
    let (start, last, ended) = match start.split_at_checked(PEEK_BYTES) {
        Some((start, beyond)) => (start, true, whole && beyond.is_empty()),
        None => (start, whole, whole),
    };
    let (name, rest) = match field(NAME, start) {
        Field::Text(name, rest) => (name, rest),
        Field::Cut if !last => return Ok(Peek::More),
        Field::Cut | Field::Other | Field::Malformed => return Err(nameless()),
    };
    let version = match field(VERSION, rest) {
        Field::Text(version, _) => version,
        Field::Cut if !last => return Ok(Peek::More),
        Field::Cut if ended && rest.is_empty() => "",
        Field::Other => "",
        Field::Cut | Field::Malformed => return Err(nameless()),
    };
    Ok(Peek::Model { name, version })
}

fn nameless() -> Error {
    let text = format!(
        "The message must begin with the model's name (field 1) and version (field 2, if any), within {PEEK_BYTES} bytes"
    );
    Error::new(Kind::BadRequest, text)
}

/// What a message begins with.
enum Field<'a> {
    /// The field, and what follows it.
    Text(&'a str, &'a [u8]),
    /// Perhaps the field: its end is not there.
    Cut,
    /// Another field.
    Other,
    /// The field, but no string.
    Malformed,
}

fn field(tag: u8, bytes: &[u8]) -> Field<'_> {
    let Some((first, bytes)) = bytes.split_first() else {
        return Field::Cut;
    };
    if *first != tag {
        return Field::Other;
    }
    let mut length = 0_usize;
    for (index, byte) in bytes.iter().enumerate() {
        if index == MAX_VARINT {
            return Field::Malformed;
        }
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 != 0 {
            continue;
        }
        let text = bytes.get(index + 1..).unwrap_or_default();
        let Some((text, rest)) = text.split_at_checked(length) else {
            return Field::Cut;
        };
        return match str::from_utf8(text) {
            Ok(text) => Field::Text(text, rest),
            Err(_) => Field::Malformed,
        };
    }
    Field::Cut
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::grpc::{ModelInferRequest, ModelReadyRequest};

    fn request(name: &str, version: &str) -> ModelInferRequest {
        ModelInferRequest {
            model_name: name.to_owned(),
            model_version: version.to_owned(),
            id: "42".to_owned(),
            raw_input_contents: vec![vec![7; 10_000].into()],
            ..ModelInferRequest::default()
        }
    }

    #[track_caller]
    fn names(message: &[u8], name: &str, version: &str) {
        let expect = Ok(Peek::Model { name, version });
        assert_eq!(peek(message, true), expect);
    }

    #[track_caller]
    fn refuses(message: &[u8]) {
        let error = peek(message, true).unwrap_err();
        assert_eq!(error.kind, Kind::BadRequest, "{message:?}");
        assert!(error.text.contains("within 4096 bytes"), "{error}");
    }

    #[test]
    fn messages_as_encoders_write_them_are_understood() {
        names(&request("iris", "7").encode_to_vec(), "iris", "7");
        names(&request("ïris", "").encode_to_vec(), "ïris", "");
        let ready = ModelReadyRequest {
            name: "m".to_owned(),
            version: String::new(),
        };
        names(&ready.encode_to_vec(), "m", "");
        let ready = ModelReadyRequest {
            version: "12".to_owned(),
            ..ready
        };
        names(&ready.encode_to_vec(), "m", "12");
    }

    #[test]
    fn every_beginning_is_either_enough_or_not_yet() {
        let name = "n".repeat(200);
        let message = request(&name, "123").encode_to_vec();
        // Tag, two bytes of length, the name; tag, length, the version.
        let enough = 3 + 200 + 2 + 3;
        for length in 0..=enough + 10 {
            let expect = if length < enough {
                Peek::More
            } else {
                let (name, version) = (name.as_str(), "123");
                Peek::Model { name, version }
            };
            assert_eq!(peek(&message[..length], false), Ok(expect), "{length}");
        }
    }

    #[test]
    fn without_a_version_one_more_byte_is_needed_to_know() {
        let message = request("m", "").encode_to_vec();
        assert_eq!(peek(&message[..3], false), Ok(Peek::More));
        names(&message[..4], "m", "");
        names(&message[..3], "m", "");
    }

    #[test]
    fn what_begins_otherwise_is_refused() {
        refuses(b"");
        // No name; the version first; a number; not UTF-8; cut; a length that never ends.
        refuses(&request("", "").encode_to_vec());
        refuses(&request("", "7").encode_to_vec());
        refuses(b"\x08\x01");
        refuses(b"\x0a\x01\xff");
        refuses(b"\x0a\x05a");
        refuses(b"\x0a\x01a\x12\x05a");
        refuses(b"\x0a\xff\xff\xff\xff\xff\xff\x01a");
    }

    #[test]
    fn a_name_lies_within_the_bound() {
        let longest = "n".repeat(PEEK_BYTES - 3 - 3);
        names(&request(&longest, "7").encode_to_vec(), &longest, "7");
        let message = request(&"n".repeat(PEEK_BYTES), "").encode_to_vec();
        refuses(&message);
        assert!(peek(&message, false).is_err(), "more would not help");
        let exactly = request(&"n".repeat(PEEK_BYTES - 3), "7").encode_to_vec();
        refuses(&exactly);
        names(&exactly[..PEEK_BYTES], &"n".repeat(PEEK_BYTES - 3), "");
    }

    #[test]
    fn any_bytes_are_judged_and_never_twice_differently() {
        proptest::proptest!(|(bytes: Vec<u8>, name in "[a-z]{0,9}", cut in 0_usize..40)| {
            let _judged = peek(&bytes, false);
            let message = request(&name, "1").encode_to_vec();
            let start = &message[..cut.min(message.len())];
            if let Ok(found @ Peek::Model { .. }) = peek(start, false) {
                proptest::prop_assert_eq!(peek(&message, true), Ok(found));
            }
        });
    }
}
