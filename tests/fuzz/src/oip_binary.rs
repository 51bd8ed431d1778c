//! Requests of the Open Inference Protocol with binary tensors behind the JSON.
//!
//! Input: one byte that picks model and strictness, two for the value of the header (little-endian;
//! 65535 for one that is no number), then the body.

use aimass_protocol::v2;

use crate::oip_json::round;
use crate::signatures::{assert_same, check_refusal, pick};

/// Refusals are in order; what is accepted comes back as it was, also as binary tensors.
pub fn body(data: &[u8]) {
    let Some((signature, checks, rest)) = pick(data) else {
        return;
    };
    let Some(([low, high], body)) = rest.split_first_chunk() else {
        return;
    };
    let header = match u16::from_le_bytes([*low, *high]) {
        u16::MAX => "+1".to_owned(),
        length => length.to_string(),
    };
    let infer = match v2::parse(body, Some(&header), &signature, checks) {
        Ok(infer) => infer,
        Err(error) => return check_refusal(&error),
    };
    let again = round(&signature, &infer.inputs, infer.id.as_deref(), true);
    assert_same(&infer.inputs, &again.inputs);
}
