//! Requests as TensorFlow Serving's callers send them: read, written, read again.
//!
//! Input: one byte that picks model and strictness, then the body.

use aimass_protocol::v1::{self, Form};
use aimass_protocol::{Checks, Nonfinite};

use crate::signatures::{assert_same, check_refusal, is_told, pick};

/// More than any input is long.
const LIMIT: usize = 64 << 20;

/// Refusals are in order; what is accepted comes back as it was.
pub fn body(data: &[u8]) {
    let Some((signature, checks, body)) = pick(data) else {
        return;
    };
    let predict = match v1::parse(body, &signature, checks) {
        Ok(predict) => predict,
        Err(error) => return check_refusal(&error),
    };
    assert_eq!(predict.inputs.len(), signature.inputs().len());
    let bytes: usize = predict.inputs.iter().map(|input| input.data().len()).sum();
    assert!(bytes <= body.len(), "more elements than bytes");
    let written = v1::write(
        Form::Column,
        &signature,
        &predict.inputs,
        Nonfinite::Token,
        LIMIT,
    )
    .unwrap();
    let written = String::from_utf8(written).unwrap();
    let written = written.replacen("\"outputs\"", "\"inputs\"", 1);
    if predict.inputs.iter().all(is_told) {
        let again = v1::parse(written.as_bytes(), &signature, Checks::Lenient).unwrap();
        assert_same(&predict.inputs, &again.inputs);
    }
}
