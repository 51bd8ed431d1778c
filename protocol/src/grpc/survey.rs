//! Looks at an infer request before it is decoded: two bytes on the wire can become hundreds in memory.
//!
//! Pure. Called by the server on every infer request. Walks the wire format without allocating; linear in its length.

use crate::error::Error;
use crate::grpc::frame::malformed;
use crate::v2::parameters::Parameters;
use crate::v2::request::{self, MAX_INPUTS, MAX_RANK};

/// What one element of `bytes_contents` takes beside its bytes: a slice of the request.
const SLICE_BYTES: usize = size_of::<prost::bytes::Bytes>();
/// The most bytes of a 64-bit integer on the wire.
const MAX_VARINT: usize = 10;

/// Holds the lists of a `ModelInferRequest` against their bounds, and tells how many bytes its typed contents take in
/// memory.
///
/// Errors are of kind `bad_request`, or `bad_tensor` for a shape.
pub fn survey(message: &[u8]) -> Result<usize, Error> {
    let mut memory = 0_usize;
    let [mut parameters, mut inputs, mut outputs, mut raw] = [0; 4];
    for field in Fields(message) {
        let (number, value) = field?;
        match (number, value) {
            (4, _) => {
                parameters += 1;
                Parameters::check_count(parameters)?;
            }
            (5, Value::Bytes(input)) => {
                check_count(&mut inputs, "inputs")?;
                memory = memory.saturating_add(survey_input(input)?);
            }
            (6, Value::Bytes(output)) => {
                check_count(&mut outputs, "outputs")?;
                survey_output(output)?;
            }
            (7, _) => check_count(&mut raw, "raw_input_contents")?,
            _ => {}
        }
    }
    Ok(memory)
}

fn check_count(count: &mut usize, what: &str) -> Result<(), Error> {
    *count += 1;
    if *count > MAX_INPUTS {
        return Err(request::too_many(what));
    }
    Ok(())
}

fn survey_input(input: &[u8]) -> Result<usize, Error> {
    let mut memory = 0_usize;
    let [mut parameters, mut dims] = [0; 2];
    for field in Fields(input) {
        match field? {
            (3, value) => {
                dims += 1;
                let packed = if let Value::Bytes(packed) = value {
                    packed.len()
                } else {
                    0
                };
                if dims > MAX_RANK || packed > MAX_RANK * MAX_VARINT {
                    return Err(request::not_a_shape());
                }
            }
            (4, _) => {
                parameters += 1;
                Parameters::check_count(parameters)?;
            }
            (5, Value::Bytes(contents)) => {
                memory = memory.saturating_add(survey_contents(contents)?);
            }
            _ => {}
        }
    }
    Ok(memory)
}

fn survey_output(output: &[u8]) -> Result<(), Error> {
    let mut parameters = 0;
    for field in Fields(output) {
        if field?.0 == 2 {
            parameters += 1;
            Parameters::check_count(parameters)?;
        }
    }
    Ok(())
}

/// What the lists take: at most this much for each byte on the wire.
fn survey_contents(contents: &[u8]) -> Result<usize, Error> {
    let mut memory = 0_usize;
    for field in Fields(contents) {
        let (number, value) = field?;
        let wire = match value {
            Value::Bytes(bytes) => bytes.len(),
            Value::Number(bytes) => bytes,
        };
        let takes = match number {
            // Integers have one byte on the wire at least.
            2 | 4 => wire.saturating_mul(4),
            3 | 5 => wire.saturating_mul(8),
            8 => SLICE_BYTES,
            _ => wire,
        };
        memory = memory.saturating_add(takes);
    }
    Ok(memory)
}

/// The fields of a message, in order.
struct Fields<'a>(&'a [u8]);

/// What a field holds.
enum Value<'a> {
    /// A message, a string or packed numbers.
    Bytes(&'a [u8]),
    /// A number of that many bytes.
    Number(usize),
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            // What follows cannot be read either.
            self.0 = &[];
        }
        Some(field.ok_or_else(|| malformed("a field runs past the end or is of an unknown kind")))
    }
}

impl<'a> Fields<'a> {
    /// `None` for broken ones, and for groups, which no version of the protocol has.
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let (tag, _) = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?.1),
            1 => Value::Number(self.take(8)?.len()),
            2 => {
                let (length, _) = self.varint()?;
                Value::Bytes(self.take(usize::try_from(length).ok()?)?)
            }
            5 => Value::Number(self.take(4)?.len()),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    /// A number and how many bytes it has on the wire.
    fn varint(&mut self) -> Option<(u64, usize)> {
        let mut value = 0_u64;
        for (index, byte) in self.0.iter().take(MAX_VARINT).enumerate() {
            // The tenth byte has one bit left; what is beyond it is dropped, as in all implementations.
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                self.take(index + 1)?;
                return Some((value, index + 1));
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}
