//! Requests of the Open Inference Protocol in JSON alone: read, written, read again.
//!
//! Input: one byte that picks model and strictness, then the body.

use aimass_protocol::v2::{self, Answer, Requested};
use aimass_protocol::{Checks, Nonfinite, Signature, Tensor};

use crate::signatures::{assert_same, check_refusal, pick};

/// More than any input is long.
const LIMIT: usize = 64 << 20;

/// Refusals are in order; what is accepted comes back as it was.
pub fn body(data: &[u8]) {
    let Some((signature, checks, body)) = pick(data) else {
        return;
    };
    let infer = match v2::parse(body, None, &signature, checks) {
        Ok(infer) => infer,
        Err(error) => return check_refusal(&error),
    };
    assert!(
        infer
            .outputs
            .iter()
            .all(|one| one.output < signature.outputs().len())
    );
    if infer.inputs.iter().all(has_only_text) {
        let again = round(&signature, &infer.inputs, infer.id.as_deref(), false);
        assert_same(&infer.inputs, &again.inputs);
        assert_eq!(infer.id, again.id);
    }
}

/// JSON has no byte strings in this protocol.
fn has_only_text(tensor: &Tensor) -> bool {
    tensor.require_text("x").is_ok()
}

/// Answers with `tensors`, and reads that answer as a request.
pub(crate) fn round(
    signature: &Signature,
    tensors: &[Tensor],
    id: Option<&str>,
    binary: bool,
) -> v2::Infer {
    let answer = Answer {
        model: "m",
        version: 1,
        id,
        nonfinite: Nonfinite::String,
        limit: LIMIT,
    };
    let requested: Vec<Requested> = (0..tensors.len())
        .map(|output| Requested { output, binary })
        .collect();
    let response = v2::write(&answer, signature, &requested, tensors).unwrap();
    let json = response.header_length.unwrap_or(response.body.len());
    let (head, tail) = response.body.split_at(json);
    let head = std::str::from_utf8(head).unwrap();
    let head = head.replacen("\"outputs\"", "\"inputs\"", 1);
    let header = response.header_length.map(|_| head.len().to_string());
    let body = [head.as_bytes(), tail].concat();
    v2::parse(&body, header.as_deref(), signature, Checks::Strict).unwrap()
}
