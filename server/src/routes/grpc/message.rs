//! Reads the one message of a unary call: bounded, counted, inflated on the way.
//!
//! Called by `wire` under the request's deadline. tonic's own reader makes room for whatever a prefix of five bytes
//! promises, inflates a whole message at once and decodes on the async thread: docs/adr/0005.

use aimass_protocol::grpc::{PREFIX_BYTES, Prefix};
use aimass_protocol::{Error, Kind};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName};
use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;

use super::super::body::{Encoding, Intake, Received, broken, encoding, incomplete};
use crate::state::State;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// What can be told from the head alone: the encoding.
pub(in super::super) fn check_head(headers: &HeaderMap) -> Result<(), Error> {
    encoding(headers, &GRPC_ENCODING).map(drop)
}

/// Reads the message, of at most `limit` inflated bytes.
///
/// Errors: damaged, too slow, too large, too many bodies at once; none, or more than one message.
pub(in super::super) async fn read(
    state: &State,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Received, Error> {
    let encoding = encoding(headers, &GRPC_ENCODING)?;
    let mut frames = body.into_data_stream();
    let mut start = Start::default();
    let mut message: Option<(Intake<'_>, usize)> = None;
    while let Some(frame) = frames.next().await {
        let mut frame = frame.map_err(|error| broken(&error))?;
        if message.is_none() {
            let Some(prefix) = start.take(&mut frame)? else {
                continue;
            };
            let (encoding, length) = judge(prefix, encoding, limit)?;
            message = Some((Intake::new(state, encoding, limit, length), length));
        }
        if let Some((intake, left)) = &mut message {
            *left = left.checked_sub(frame.len()).ok_or_else(more_than_one)?;
            intake.feed(frame).await?;
        }
    }
    match message {
        Some((intake, 0)) => intake.finish(),
        None if start.filled == 0 => Err(Error::new(Kind::BadRequest, "Missing message")),
        Some(_) | None => Err(incomplete()),
    }
}

/// How the message behind `prefix` is encoded and how long it is.
fn judge(prefix: Prefix, encoding: Encoding, limit: usize) -> Result<(Encoding, usize), Error> {
    let length = usize::try_from(prefix.length).unwrap_or(usize::MAX);
    if length > limit {
        return Err(Error::body_too_large(limit));
    }
    match (prefix.compressed, encoding) {
        (false, _) => Ok((Encoding::Identity, length)),
        (true, Encoding::Identity) => Err(Error::new(
            Kind::BadRequest,
            "Compressed-Flag is 1, but grpc-encoding names no encoding",
        )),
        (true, encoding) => Ok((encoding, length)),
    }
}

fn more_than_one() -> Error {
    Error::new(Kind::BadRequest, "Expected one message, got more")
}

/// The prefix, as it comes in.
#[derive(Default)]
struct Start {
    bytes: [u8; PREFIX_BYTES],
    filled: usize,
}

impl Start {
    /// Takes what belongs to the prefix off `frame`.
    fn take(&mut self, frame: &mut Bytes) -> Result<Option<Prefix>, Error> {
        let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
        let count = room.len().min(frame.len());
        frame.copy_to_slice(room.get_mut(..count).unwrap_or_default());
        self.filled += count;
        if self.filled < PREFIX_BYTES {
            return Ok(None);
        }
        Prefix::read(self.bytes).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_may_come_byte_by_byte() {
        let mut start = Start::default();
        for byte in [0_u8, 0, 0, 0] {
            let mut frame = Bytes::copy_from_slice(&[byte]);
            assert_eq!(start.take(&mut frame), Ok(None));
        }
        let mut frame = Bytes::from_static(b"\x02ab");
        let prefix = start.take(&mut frame).unwrap().unwrap();
        assert_eq!((prefix.compressed, prefix.length), (false, 2));
        assert_eq!(frame, "ab");
    }
}
