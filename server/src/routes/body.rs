//! Reads a request's body: bounded, counted, inflated on the way.
//!
//! Called by `wire` under the request's deadline. Holds at most the limit and one frame of inflated bytes.

use std::io::{self, Write};

use aimass_chassis::listener::TooSlow;
use aimass_protocol::{Error, Kind};
use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use futures_util::StreamExt as _;

use crate::state::{Reservation, State};

/// Inflated bytes per byte that came in…
const MAX_RATIO: usize = 200;
/// …once so many were inflated.
const FREE_BYTES: usize = 64 << 10;
/// Compressed bytes inflated at once, so that an async thread is held for well under a millisecond.
const INFLATE_STEP: usize = 2 << 10;
/// Room made before the first byte, whatever `Content-Length` promises.
const FIRST_ROOM: usize = 64 << 10;

/// A body, and its place among all bodies held.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    reservation: Reservation,
}

impl Received {
    /// The bytes, and the place that they take as long as it is held.
    pub(super) fn into_parts(self) -> (Bytes, Reservation) {
        (self.bytes.into(), self.reservation)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

/// What can be told from the head alone: the declared size and the encoding.
pub(super) fn check_head(state: &State, headers: &HeaderMap) -> Result<(), Error> {
    let limit = state.settings().max_body;
    if declared(headers).is_some_and(|declared| declared > limit as u64) {
        return Err(Error::body_too_large(limit));
    }
    encoding(headers, &CONTENT_ENCODING).map(drop)
}

/// Reads the whole body, of at most `limit` inflated bytes.
///
/// Errors: 400 (damaged), 408, 413, 503 (too many bodies at once).
pub(super) async fn read(
    state: &State,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Received, Error> {
    let encoding = encoding(headers, &CONTENT_ENCODING)?;
    let room = declared(headers).and_then(|declared| usize::try_from(declared).ok());
    let mut intake = Intake::new(state, encoding, limit, room.unwrap_or(0));
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|error| broken(&error))?;
        intake.feed(frame).await?;
    }
    intake.finish()
}

/// Inflates and counts what comes in.
pub(super) struct Intake<'a> {
    state: &'a State,
    decoder: Decoder,
}

impl<'a> Intake<'a> {
    /// Takes at most `limit` inflated bytes; `promised` are likely to come.
    pub(super) fn new(state: &'a State, encoding: Encoding, limit: usize, promised: usize) -> Self {
        let sink = Sink {
            bytes: Vec::with_capacity(promised.min(limit).min(FIRST_ROOM)),
            limit,
            received: 0,
            full: None,
            reservation: state.reserve(),
        };
        let decoder = Decoder::new(encoding, sink);
        Self { state, decoder }
    }

    /// Takes one more piece of the body.
    pub(super) async fn feed(&mut self, frame: Bytes) -> Result<(), Error> {
        let decoder = &mut self.decoder;
        let step = match decoder {
            Decoder::Identity(_) => frame.len().max(1),
            Decoder::Gzip(_) | Decoder::Deflate(_) => INFLATE_STEP,
        };
        for (index, piece) in frame.chunks(step).enumerate() {
            if index > 0 {
                tokio::task::yield_now().await;
            }
            decoder.sink().received += piece.len();
            if let Err(error) = decoder.write(piece) {
                return Err(match decoder.sink().full.take() {
                    Some(Full::Body) => Error::body_too_large(decoder.sink().limit),
                    Some(Full::Process) => Error::overloaded(&self.state.settings().model_name),
                    None => decoder.corrupt(&error),
                });
            }
        }
        Ok(())
    }

    /// The body, if it was complete.
    pub(super) fn finish(self) -> Result<Received, Error> {
        let sink = self.decoder.finish()?;
        Ok(Received {
            bytes: sink.bytes,
            reservation: sink.reservation,
        })
    }
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The encoding that the header `name` tells.
pub(super) fn encoding(headers: &HeaderMap, name: &HeaderName) -> Result<Encoding, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(Encoding::Identity);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    match (text.trim().to_ascii_lowercase().as_str(), values.next()) {
        ("" | "identity", None) => Ok(Encoding::Identity),
        ("gzip" | "x-gzip", None) => Ok(Encoding::Gzip),
        ("deflate", None) => Ok(Encoding::Deflate),
        _ => Err(Error::unsupported_encoding(&text)),
    }
}

/// Why a body ended early: our own watch on its rate, or the connection.
pub(super) fn broken(error: &axum::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<TooSlow>() {
            return Error::body_too_slow();
        }
        cause = error.source();
    }
    incomplete()
}

/// What is said of a body that ends early.
pub(super) fn incomplete() -> Error {
    Error::new(
        Kind::BadRequest,
        "The request body is incomplete or badly framed",
    )
}

/// What was full.
enum Full {
    Body,
    Process,
}

/// Where inflated bytes go.
struct Sink {
    bytes: Vec<u8>,
    limit: usize,
    received: usize,
    full: Option<Full>,
    reservation: Reservation,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let total = self.bytes.len().saturating_add(bytes.len());
        let bomb = total > FREE_BYTES && total > self.received.saturating_mul(MAX_RATIO);
        if total > self.limit || bomb {
            self.full = Some(Full::Body);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if !self.reservation.grow(bytes.len()) {
            self.full = Some(Full::Process);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Decoder {
    Identity(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Deflate(Box<ZlibDecoder<Sink>>),
}

impl Decoder {
    fn new(encoding: Encoding, sink: Sink) -> Self {
        match encoding {
            Encoding::Identity => Self::Identity(sink),
            Encoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(sink))),
            Encoding::Deflate => Self::Deflate(Box::new(ZlibDecoder::new(sink))),
        }
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Identity(sink) => sink.write_all(piece),
            Self::Gzip(decoder) => decoder.write_all(piece).and_then(|()| decoder.flush()),
            Self::Deflate(decoder) => decoder.write_all(piece).and_then(|()| decoder.flush()),
        }
    }

    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Identity(sink) => sink,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
        }
    }

    fn corrupt(&self, error: &io::Error) -> Error {
        tracing::debug!(%error, "a body does not inflate");
        Error::corrupt_body(match self {
            Self::Identity(_) | Self::Gzip(_) => "gzip",
            Self::Deflate(_) => "deflate",
        })
    }

    /// The sink, if the body was complete.
    fn finish(mut self) -> Result<Sink, Error> {
        let result = match &mut self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.try_finish(),
        };
        if let Err(error) = result {
            return Err(match self.sink().full.take() {
                Some(_) => Error::body_too_large(self.sink().limit),
                None => self.corrupt(&error),
            });
        }
        let unfinished = |error: io::Error| {
            tracing::debug!(%error, "a body does not inflate");
            Error::corrupt_body("gzip")
        };
        match self {
            Self::Identity(sink) => Ok(sink),
            Self::Gzip(decoder) => decoder.finish().map_err(unfinished),
            Self::Deflate(decoder) => decoder.finish().map_err(unfinished),
        }
    }
}
