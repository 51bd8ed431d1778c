//! Messages of WebSockets: the envelope, and the REST body that it leads to.
//!
//! Input: one byte that picks model and strictness, one whose lowest bits are dialect and form, then the message.

use aimass_protocol::v2;
use aimass_protocol::ws::{self, Asked, Dialect, Form, MAX_ID, MAX_TIMEOUT_MS};

use crate::signatures::{check_refusal, pick};

/// What is asked for is within its bounds; the body is as long as what it stands for, and is read without a panic.
pub fn body(data: &[u8]) {
    let Some((signature, checks, rest)) = pick(data) else {
        return;
    };
    let Some((kind, message)) = rest.split_first() else {
        return;
    };
    // The server refuses binary messages on the other path before.
    let (dialect, form) = match kind & 3 {
        0 | 1 => (Dialect::Tfs, Form::Text),
        2 => (Dialect::Oip, Form::Text),
        _ => (Dialect::Oip, Form::Binary),
    };
    let call = match ws::read(dialect, form, message, checks) {
        Ok(Asked::Call(call)) => call,
        Ok(Asked::Cancel(id)) => return check_id(&id),
        Err(refused) => {
            refused.id.iter().for_each(|id| check_id(id));
            return check_refusal(&refused.error);
        }
    };
    check_id(&call.id);
    assert!(
        call.timeout_ms
            .is_none_or(|ms| (1..=MAX_TIMEOUT_MS).contains(&ms))
    );
    let rewritten = call.rewritten(message);
    assert!(
        rewritten
            .as_ref()
            .is_none_or(|body| body.len() == message.len())
    );
    let whole = rewritten.as_deref().unwrap_or(message);
    let body = whole.get(call.start..).unwrap();
    if dialect == Dialect::Oip {
        let length = call.json_length.map(|length| length.to_string());
        if let Err(error) = v2::parse(body, length.as_deref(), &signature, checks) {
            check_refusal(&error);
        }
    }
}

fn check_id(id: &str) {
    assert!((1..=MAX_ID).contains(&id.len()), "{id:?}");
}
