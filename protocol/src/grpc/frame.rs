//! Messages as they stand in a body: five bytes in front of each tell whether it is compressed and how long it is.
//!
//! Pure. Called by the server's gRPC routes. Source: gRPC over HTTP/2, "Length-Prefixed-Message".

use prost::Message;
use prost::bytes::Bytes;

use crate::error::{Error, Kind, cut};

/// Bytes in front of a message.
pub const PREFIX_BYTES: usize = 5;

/// What stands in front of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// By the encoding that `grpc-encoding` names.
    pub compressed: bool,
    /// Bytes of the message as it was sent.
    pub length: u32,
}

impl Prefix {
    /// Reads the bytes in front of a message. Errors: a flag that is neither 0 nor 1.
    pub fn read(bytes: [u8; PREFIX_BYTES]) -> Result<Self, Error> {
        let [flag, length @ ..] = bytes;
        let compressed = match flag {
            0 => false,
            1 => true,
            _ => {
                let text = format!("Compressed-Flag must be 0 or 1, is {flag}");
                return Err(Error::new(Kind::BadRequest, text));
            }
        };
        let length = u32::from_be_bytes(length);
        Ok(Self { compressed, length })
    }
}

/// The message in `bytes`; its byte fields are slices of them.
pub fn decode<M: Message + Default>(bytes: Bytes) -> Result<M, Error> {
    M::decode(bytes).map_err(|error| {
        let text = error.to_string();
        let prefix = "failed to decode Protobuf message: ";
        malformed(text.strip_prefix(prefix).unwrap_or(&text))
    })
}

/// What is said of bytes that are no message.
pub(super) fn malformed(reason: &str) -> Error {
    Error::new(
        Kind::BadRequest,
        format!("Malformed message: {}", cut(reason)),
    )
}

/// The body of an answer: `message` with its prefix. `None` if it is longer than a prefix can tell.
pub fn frame(message: &impl Message) -> Option<Vec<u8>> {
    let length = message.encoded_len();
    let prefix = u32::try_from(length).ok()?;
    let mut body = Vec::with_capacity(length.checked_add(PREFIX_BYTES)?);
    body.push(0);
    body.extend_from_slice(&prefix.to_be_bytes());
    // A vector always has room.
    message.encode(&mut body).ok()?;
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::ModelReadyRequest;

    #[test]
    fn a_prefix_has_a_flag_and_a_length() {
        let prefix = |flag| Prefix::read([flag, 0, 1, 0, 2]).map_err(|error| error.text);
        let length = 65_538;
        assert_eq!(
            prefix(0),
            Ok(Prefix {
                compressed: false,
                length
            })
        );
        assert!(prefix(1).unwrap().compressed);
        assert_eq!(
            prefix(2),
            Err("Compressed-Flag must be 0 or 1, is 2".to_owned())
        );
    }

    #[test]
    fn a_framed_message_is_read_back() {
        let message = ModelReadyRequest {
            name: "m".to_owned(),
            version: String::new(),
        };
        let body = frame(&message).unwrap();
        let (prefix, bytes) = body.split_first_chunk().unwrap();
        assert_eq!(Prefix::read(*prefix).unwrap().length, 3);
        assert_eq!(decode(Bytes::copy_from_slice(bytes)), Ok(message));
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        let text = |bytes: &'static [u8]| {
            let error = decode::<ModelReadyRequest>(Bytes::from_static(bytes)).unwrap_err();
            assert_eq!(error.kind, Kind::BadRequest);
            error.text
        };
        assert_eq!(
            text(b"\x0a\x01\xff"),
            "Malformed message: ModelReadyRequest.name: invalid string value: data is not UTF-8 encoded"
        );
        assert!(text(b"\x0a\x05a").starts_with("Malformed message: "));
    }
}
