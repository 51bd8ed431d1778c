//! The `parameters` of an infer request, of its inputs and of its outputs.
//!
//! Pure. Called by `v2::infer` and `grpc`. What would change the meaning of the answer is refused; what nobody knows is
//! passed over.

use crate::error::{Error, cut};
use crate::json::read::{Fail, Reader};
use crate::v2::request::{MAX_NAME, bad_request};

/// Parameters that one object can have.
const MAX_PARAMETERS: usize = 64;

/// The parameters that mean something, wherever they stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) binary_data: Option<bool>,
    pub(crate) binary_data_output: Option<bool>,
    pub(crate) binary_data_size: Option<usize>,
    pub(crate) timeout_us: Option<u64>,
}

/// The value of one parameter.
pub(crate) enum Value {
    Flag(bool),
    Integer(i128),
    /// The bytes of a text.
    Text(usize),
    Other,
}

impl Parameters {
    /// Refuses more than there may be; `number` counts from 1.
    pub(crate) fn check_count(number: usize) -> Result<(), Error> {
        if number <= MAX_PARAMETERS {
            return Ok(());
        }
        Err(bad_request(format!(
            "\"parameters\" has more than {MAX_PARAMETERS} entries"
        )))
    }

    /// Refuses a name that is too long.
    pub(crate) fn check_name(name: &str) -> Result<(), Error> {
        if name.len() <= MAX_NAME {
            return Ok(());
        }
        Err(bad_request(format!(
            "The name of a parameter has more than {MAX_NAME} bytes"
        )))
    }

    /// Takes one parameter.
    pub(crate) fn set(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        match name {
            "binary_data" => self.binary_data = Some(flag(name, value)?),
            "binary_data_output" => self.binary_data_output = Some(flag(name, value)?),
            "binary_data_size" => self.binary_data_size = Some(integer(name, value)?),
            "timeout" => self.timeout_us = Some(integer(name, value)?),
            // These say that there is no sequence.
            "sequence_id" if matches!(value, Value::Integer(0) | Value::Text(0)) => {}
            "classification"
            | "sequence_id"
            | "sequence_start"
            | "sequence_end"
            | "shared_memory_region" => {
                return Err(bad_request(format!(
                    "Parameter \"{name}\" is not supported"
                )));
            }
            _ => {
                if matches!(value, Value::Text(bytes) if *bytes > MAX_NAME) {
                    let shown = cut(name);
                    let text = format!("Parameter \"{shown}\" has more than {MAX_NAME} bytes");
                    return Err(bad_request(text));
                }
            }
        }
        Ok(())
    }
}

fn flag(name: &str, value: &Value) -> Result<bool, Error> {
    match value {
        Value::Flag(flag) => Ok(*flag),
        Value::Integer(_) | Value::Text(_) | Value::Other => Err(bad_request(format!(
            "Parameter \"{name}\" must be true or false"
        ))),
    }
}

fn integer<T: TryFrom<i128>>(name: &str, value: &Value) -> Result<T, Error> {
    let text = || {
        bad_request(format!(
            "Parameter \"{name}\" must be a non-negative integer"
        ))
    };
    match value {
        Value::Integer(value) if *value >= 0 => T::try_from(*value).map_err(|_too_big| text()),
        Value::Integer(_) | Value::Flag(_) | Value::Text(_) | Value::Other => Err(text()),
    }
}

/// Reads the object at `reader`; absent parameters are none, and so are those that are null.
pub(super) fn parameters(reader: Option<&mut Reader<'_>>) -> Result<Parameters, Fail> {
    let mut found = Parameters::default();
    let Some(reader) = reader else {
        return Ok(found);
    };
    if reader.peek() != Some(b'{') {
        return Err(bad_request("\"parameters\" must be an object".to_owned()).into());
    }
    let mut number = 0;
    let mut name = String::new();
    let mut more = reader.open(b'}');
    while more {
        reader.name(&mut name)?;
        number += 1;
        Parameters::check_count(number)?;
        Parameters::check_name(&name)?;
        if let Some(value) = value(reader)? {
            found.set(&name, &value)?;
        }
        more = reader.next_member()?;
    }
    Ok(found)
}

/// The value at the cursor, which is passed over; `None` for null.
fn value(reader: &mut Reader<'_>) -> Result<Option<Value>, Fail> {
    let first = reader.next_token();
    let value = match first {
        Some(b'"') => {
            let mut bytes = 0_usize;
            reader.string(|part| bytes = bytes.saturating_add(part.len()))?;
            return Ok(Some(Value::Text(bytes)));
        }
        Some(b'-' | b'0'..=b'9') => {
            let integer = reader.number()?.integer();
            return Ok(Some(integer.map_or(Value::Other, Value::Integer)));
        }
        Some(b't') => Some(Value::Flag(true)),
        Some(b'f') => Some(Value::Flag(false)),
        Some(b'n') => None,
        _ => Some(Value::Other),
    };
    reader.skip()?;
    Ok(value)
}
