//! The messages of the WebSocket subprotocol: what a message asks for, and how an answer of REST becomes a message.
//!
//! Pure. Called by the server's WebSocket routes, in this order: [`read`], (REST, with the body from [`Call::rewritten`]),
//! [`success`] or [`failure`]. A message is the body of the path's REST request with members of its own beside it: `id`,
//! `timeout_ms` and, on `/v1`, `method`; or it is `{"cancel": id}`. A binary message on `/v2` is the length of the JSON (32
//! bits, little-endian), the JSON, and the bytes of the binary tensors.

mod answer;
mod envelope;
mod scan;

use std::ops::Range;

pub use answer::{Answer, error, failure, success};
pub use envelope::read;

use crate::error::Error;

/// What a caller must offer in `Sec-WebSocket-Protocol`, and what is selected.
pub const SUBPROTOCOL: &str = "aimass.v1";

/// Bytes of an id.
pub const MAX_ID: usize = 256;

/// The longest `timeout_ms`: an hour.
pub const MAX_TIMEOUT_MS: u64 = 3_600_000;

/// Whose bodies the messages of a connection hold: the path says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `/v1`, TensorFlow Serving.
    Tfs,
    /// `/v2`, Open Inference Protocol.
    Oip,
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON.
    Text,
    /// The length of the JSON, the JSON, bytes. [`Dialect::Oip`] alone has it.
    Binary,
}

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A request.
    Call(Call),
    /// That the request of this id be given up.
    Cancel(String),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What its answer repeats: 1 to [`MAX_ID`] bytes.
    pub id: String,
    /// `predict`, `classify`, `regress`; `infer` on `/v2`.
    pub method: &'static str,
    /// The caller's deadline, 1 to [`MAX_TIMEOUT_MS`].
    pub timeout_ms: Option<u64>,
    /// In a binary message: the bytes of JSON, for the header [`crate::v2::HEADER_LENGTH`].
    pub json_length: Option<usize>,
    /// Where in the message the REST body begins; it goes on to the end.
    pub start: usize,
    /// What in the message is not part of the REST body.
    blanks: Vec<Range<usize>>,
}

impl Call {
    /// The REST body, if it is not simply what begins at [`Call::start`]: the message with blanks in place of the members
    /// that REST does not know, so that offsets in error texts are those of the message.
    pub fn rewritten(&self, message: &[u8]) -> Option<Vec<u8>> {
        if self.blanks.is_empty() {
            return None;
        }
        let mut body = message.to_vec();
        for blank in &self.blanks {
            body.get_mut(blank.clone()).unwrap_or_default().fill(b' ');
        }
        Some(body)
    }
}

/// A message that asks for nothing that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The message's id, if it was found.
    pub id: Option<String>,
    /// What is wrong: `bad_json` or `bad_request`.
    pub error: Error,
}
