//! Makes messages of what REST answered.
//!
//! Pure. Nothing large is copied: an answer says which part of the REST body follows its own bytes.

use std::ops::Range;

use crate::error::Error;
use crate::json::write::{integer, string};
use crate::ws::{Dialect, Form};

/// A message: `head`, then the bytes `body` of the REST answer's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it is sent.
    pub form: Form,
    /// What comes first.
    pub head: Vec<u8>,
    /// What of REST's body follows.
    pub body: Range<usize>,
}

/// The message for a success, whose REST body is `body`; `json_length` is the value of its header
/// [`crate::v2::HEADER_LENGTH`], if the answer has binary tensors.
///
/// On `/v1` the id becomes the first member of the root; on `/v2` the body has it already.
pub fn success(dialect: Dialect, id: &str, json_length: Option<u32>, body: &[u8]) -> Answer {
    let whole = 0..body.len();
    match (dialect, json_length) {
        (Dialect::Oip, Some(length)) => Answer {
            form: Form::Binary,
            head: length.to_le_bytes().to_vec(),
            body: whole,
        },
        (Dialect::Oip, None) => Answer {
            form: Form::Text,
            head: Vec::new(),
            body: whole,
        },
        (Dialect::Tfs, _) => {
            let mut head = b"{\"id\":".to_vec();
            string(&mut head, id);
            if !body.starts_with(b"{}") {
                head.push(b',');
            }
            // Without the brace that `head` opens.
            Answer {
                form: Form::Text,
                head,
                body: 1.min(body.len())..body.len(),
            }
        }
    }
}

/// The text message for a failure that REST answered: `status`, the header `aimass-error`, the time of `Retry-After`, and
/// the body `{"error":"<text>"}`.
pub fn failure(
    id: &str,
    status: u16,
    kind: &str,
    retry_after_ms: Option<u64>,
    body: &[u8],
) -> Vec<u8> {
    // The REST body in a message's own braces: its text is escaped already.
    let member = body
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"))
        .filter(|member| member.starts_with(b"\"error\":\""));
    let mut message = begin(Some(id));
    message.extend_from_slice(member.unwrap_or(b"\"error\":\"The answer is not readable\""));
    end(message, status, kind, retry_after_ms)
}

/// The text message for a failure before REST; `id` is null if the message had none.
pub fn error(id: Option<&str>, error: &Error) -> Vec<u8> {
    let mut message = begin(id);
    message.extend_from_slice(b"\"error\":");
    string(&mut message, &error.text);
    end(message, error.kind.status(), error.kind.name(), None)
}

fn begin(id: Option<&str>) -> Vec<u8> {
    let mut message = b"{\"id\":".to_vec();
    match id {
        Some(id) => string(&mut message, id),
        None => message.extend_from_slice(b"null"),
    }
    message.push(b',');
    message
}

fn end(mut message: Vec<u8>, status: u16, kind: &str, retry_after_ms: Option<u64>) -> Vec<u8> {
    message.extend_from_slice(b",\"kind\":");
    string(&mut message, kind);
    message.extend_from_slice(b",\"code\":");
    integer(&mut message, status);
    if let Some(retry_after_ms) = retry_after_ms {
        message.extend_from_slice(b",\"retry_after_ms\":");
        integer(&mut message, retry_after_ms);
    }
    message.push(b'}');
    message
}
