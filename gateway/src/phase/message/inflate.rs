//! The beginning of a compressed message: as much of it as shows which model is meant, and never more.
//!
//! Pure. Called by `message`. The message itself goes on as it came: the pod inflates it, under its own bounds.

use std::io::Read;

use aimass_protocol::Error;
use aimass_protocol::Kind;
use aimass_protocol::grpc::PEEK_BYTES;
use axum::http::{HeaderMap, HeaderName};
use flate2::read::{GzDecoder, ZlibDecoder};

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// How the messages of a call are compressed, where their prefix says that they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Not at all.
    Identity,
    Gzip,
    Deflate,
    /// In a way that no server of ours knows.
    Unknown(String),
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(ENCODING) else {
            return Self::Identity;
        };
        match value.as_bytes() {
            b"identity" => Self::Identity,
            b"gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            other => Self::Unknown(String::from_utf8_lossy(other).into_owned()),
        }
    }

    /// The first bytes of what was compressed into `bytes`, at most as many as are looked at.
    ///
    /// # Errors
    /// `unsupported_encoding`; `bad_request`: there is no encoding, or `bytes`, which are the `whole`, are damaged.
    pub(super) fn inflate(&self, bytes: &[u8], whole: bool) -> Result<Vec<u8>, Error> {
        let (name, inflated) = match self {
            Self::Gzip => ("gzip", first(GzDecoder::new(bytes))),
            Self::Deflate => ("deflate", first(ZlibDecoder::new(bytes))),
            Self::Unknown(name) => return Err(Error::unsupported_encoding(name)),
            Self::Identity => {
                let text = "Compressed-Flag is 1, but grpc-encoding names no encoding";
                return Err(Error::new(Kind::BadRequest, text));
            }
        };
        match inflated {
            (_, Damaged::Yes) if whole => Err(Error::corrupt_body(name)),
            // Cut, most likely: what there is may be enough.
            (inflated, _) => Ok(inflated),
        }
    }
}

/// Whether decoding met an error before it had enough.
enum Damaged {
    Yes,
    No,
}

fn first(mut decoder: impl Read) -> (Vec<u8>, Damaged) {
    let mut inflated = vec![0; PEEK_BYTES];
    let mut filled = 0;
    loop {
        let room = inflated.get_mut(filled..).unwrap_or_default();
        if room.is_empty() {
            return (inflated, Damaged::No);
        }
        let damaged = match decoder.read(room) {
            Ok(0) => Damaged::No,
            Ok(read) => {
                filled += read;
                continue;
            }
            Err(_) => Damaged::Yes,
        };
        inflated.truncate(filled);
        return (inflated, damaged);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_beginning_is_inflated_in_both_encodings() {
        let inflated = Encoding::Gzip.inflate(&gzip(b"abc"), true);
        assert_eq!(inflated.as_deref(), Ok(&b"abc"[..]));
        let inflated = Encoding::Deflate.inflate(&deflate(b"abc"), true);
        assert_eq!(inflated.as_deref(), Ok(&b"abc"[..]));
    }

    #[test]
    fn a_bomb_is_inflated_as_far_as_it_is_looked_at() {
        let bomb = gzip(&vec![0; 16 << 20]);
        let inflated = Encoding::Gzip.inflate(&bomb, true).unwrap();
        assert_eq!(inflated.len(), PEEK_BYTES);
    }

    #[test]
    fn of_a_part_what_can_be_read_is_read() {
        // What does not compress: a part of it shows a part.
        let text: Vec<u8> = (0..2000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
            .collect();
        let whole = gzip(&text);
        let part = Encoding::Gzip.inflate(&whole[..3000], false).unwrap();
        assert!(
            !part.is_empty() && text.starts_with(&part),
            "{}",
            part.len()
        );
        assert!(Encoding::Gzip.inflate(&whole[..5], false).is_ok());
    }

    #[test]
    fn what_is_damaged_or_of_no_encoding_is_refused() {
        let text =
            |encoding: Encoding, bytes: &[u8]| encoding.inflate(bytes, true).unwrap_err().text;
        assert_eq!(text(Encoding::Gzip, b"no gzip at all"), "Corrupt gzip body");
        assert_eq!(
            text(Encoding::Deflate, b"\xff\xff\xff"),
            "Corrupt deflate body"
        );
        let unknown = Encoding::Unknown("br".to_owned());
        assert_eq!(text(unknown, b""), "Unsupported Content-Encoding: br");
        let none = "Compressed-Flag is 1, but grpc-encoding names no encoding";
        assert_eq!(text(Encoding::Identity, b""), none);
    }

    #[test]
    fn the_header_names_the_encoding() {
        let of = |value: &'static str| {
            let value = value.parse().unwrap();
            Encoding::of(&HeaderMap::from_iter([(ENCODING, value)]))
        };
        assert_eq!(Encoding::of(&HeaderMap::new()), Encoding::Identity);
        assert_eq!(of("identity"), Encoding::Identity);
        assert_eq!(of("gzip"), Encoding::Gzip);
        assert_eq!(of("deflate"), Encoding::Deflate);
        assert_eq!(of("br"), Encoding::Unknown("br".to_owned()));
    }
}
