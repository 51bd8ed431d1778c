//! The beginning of a call's message, which says what model it is about.
//!
//! Called by `phase` between `route` and `authenticate`: the one wait before it is known who calls, so it is short, and a few
//! thousand bytes are all that is read. The body goes on as if nothing had been taken of it.

mod inflate;

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aimass_protocol::grpc::{PEEK_BYTES, PREFIX_BYTES, Peek, Prefix, peek};
use aimass_protocol::{Error, Kind};
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;

use self::inflate::Encoding;
use super::forward::Fault;

/// How long the beginning may take: as long as the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a body that are looked at.
const LOOK_BYTES: usize = PREFIX_BYTES + PEEK_BYTES;

/// What a message says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// The model.
    pub(super) model: String,
    /// Its version; empty = none.
    pub(super) version: String,
    /// Bytes of the message as it is sent.
    pub(super) bytes: u64,
}

/// Reads as much of `body` as it takes to know, and leaves it whole.
///
/// # Errors
/// `bad_request`: there is no message, it has another form, or does not begin with a model's name. `unsupported_encoding`.
/// `body_too_slow`.
pub(super) async fn open(headers: &HeaderMap, body: &mut Option<Body>) -> Result<Opened, Error> {
    let mut start = Start {
        bytes: Vec::new(),
        body: Anew {
            pieces: VecDeque::new(),
            rest: body.take().unwrap_or_default(),
        },
    };
    let encoding = Encoding::of(headers);
    let read = start.read(&encoding);
    let opened = tokio::time::timeout(PATIENCE, read).await;
    *body = Some(Body::new(start.body));
    opened.unwrap_or_else(|_late| Err(Error::body_too_slow()))
}

/// What was read.
struct Start {
    /// The first bytes, in a row: no more than are looked at.
    bytes: Vec<u8>,
    body: Anew,
}

impl Start {
    async fn read(&mut self, encoding: &Encoding) -> Result<Opened, Error> {
        let mut enough = PREFIX_BYTES;
        loop {
            let more = self.next().await?;
            // A body that comes byte by byte is not looked at for each of them.
            if more && self.bytes.len() < enough && !is_whole(&self.bytes) {
                continue;
            }
            if let Some(opened) = judge(&self.bytes, encoding)? {
                return Ok(opened);
            }
            if !more {
                return Err(match self.bytes.is_empty() {
                    true => Error::new(Kind::BadRequest, "Missing message"),
                    false => Fault::Broken.error(0),
                });
            }
            enough = self.bytes.len().saturating_mul(2).min(LOOK_BYTES);
        }
    }

    /// Takes the next piece; `false`: there is none.
    async fn next(&mut self) -> Result<bool, Error> {
        while let Some(frame) = self.body.rest.frame().await {
            let frame = frame.map_err(|error| Fault::of(&error).error(0))?;
            // Trailers say nothing to a server of ours.
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            if piece.is_empty() {
                continue;
            }
            let room = LOOK_BYTES.saturating_sub(self.bytes.len());
            let looked_at = piece.get(..room).unwrap_or(&piece);
            self.bytes.extend_from_slice(looked_at);
            self.body.pieces.push_back(piece);
            return Ok(true);
        }
        Ok(false)
    }
}

/// A prefix, and as much of the message behind it as there is.
struct Beginning<'a> {
    prefix: Prefix,
    message: &'a [u8],
    whole: bool,
}

/// `None`: not even the prefix is there.
fn split(start: &[u8]) -> Result<Option<Beginning<'_>>, Error> {
    let Some((prefix, rest)) = start.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    let prefix = Prefix::read(*prefix)?;
    let length = usize::try_from(prefix.length).unwrap_or(usize::MAX);
    let message = rest.get(..length);
    Ok(Some(Beginning {
        prefix,
        message: message.unwrap_or(rest),
        whole: message.is_some(),
    }))
}

fn is_whole(start: &[u8]) -> bool {
    matches!(split(start), Ok(Some(beginning)) if beginning.whole)
}

/// What a message says that begins with `start`, which is all there is or [`LOOK_BYTES`] of it; `None`: not enough yet.
fn judge(start: &[u8], encoding: &Encoding) -> Result<Option<Opened>, Error> {
    let Some(beginning) = split(start)? else {
        return Ok(None);
    };
    let Beginning {
        prefix,
        message,
        whole,
    } = beginning;
    let inflated;
    let message = if prefix.compressed {
        inflated = encoding.inflate(message, whole)?;
        inflated.as_slice()
    } else {
        message
    };
    match peek(message, whole)? {
        Peek::Model { name, version } => Ok(Some(Opened {
            model: name.to_owned(),
            version: version.to_owned(),
            bytes: prefix.length.into(),
        })),
        Peek::More if start.len() < LOOK_BYTES => Ok(None),
        Peek::More => {
            let text = format!(
                "The first {PEEK_BYTES} bytes of the compressed message do not show its model's name"
            );
            Err(Error::new(Kind::BadRequest, text))
        }
    }
}

/// A body from its start: what was taken of it, then the rest.
struct Anew {
    pieces: VecDeque<Bytes>,
    rest: Body,
}

impl HttpBody for Anew {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let taken = self.pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let taken = u64::try_from(taken).unwrap_or(u64::MAX);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        // The upper bound first: the lower one may not exceed it.
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(taken));
        }
        hint.set_lower(rest.lower().saturating_add(taken));
        hint
    }
}

#[cfg(test)]
mod tests;
