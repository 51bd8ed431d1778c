//! Reads the `parameters` of an infer request, of its inputs and of its outputs.
//!
//! Pure. Called by `v2::infer`. What would change the meaning of the answer is refused; what nobody knows is passed over.

use crate::error::{Error, Kind};
use crate::json::read::{Fail, Reader};
use crate::v2::fields::{MAX_NAME, count, text};

/// Parameters that one object can have.
const MAX_PARAMETERS: usize = 64;

/// The parameters that mean something, wherever they stand.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) binary_data: Option<bool>,
    pub(super) binary_data_output: Option<bool>,
    pub(super) binary_data_size: Option<usize>,
    pub(super) timeout_us: Option<u64>,
}

/// Reads the object at `reader`; absent parameters are none.
pub(super) fn parameters(reader: Option<&mut Reader<'_>>) -> Result<Parameters, Fail> {
    let mut found = Parameters::default();
    let Some(reader) = reader else {
        return Ok(found);
    };
    if reader.peek() != Some(b'{') {
        return Err(refuse("\"parameters\" must be an object"));
    }
    let mut number = 0;
    let mut name = String::new();
    let mut more = reader.open(b'}');
    while more {
        reader.name(&mut name)?;
        number += 1;
        if number > MAX_PARAMETERS {
            return Err(refuse(&format!(
                "\"parameters\" has more than {MAX_PARAMETERS} entries"
            )));
        }
        if name.len() > MAX_NAME {
            return Err(refuse(&format!(
                "The name of a parameter has more than {MAX_NAME} bytes"
            )));
        }
        found.read(reader, &name)?;
        more = reader.next_member()?;
    }
    Ok(found)
}

impl Parameters {
    fn read(&mut self, reader: &mut Reader<'_>, name: &str) -> Result<(), Fail> {
        let first = reader.next_token();
        if first == Some(b'n') {
            return Ok(reader.skip()?);
        }
        match name {
            "binary_data" => self.binary_data = Some(flag(reader, name)?),
            "binary_data_output" => self.binary_data_output = Some(flag(reader, name)?),
            "binary_data_size" => self.binary_data_size = Some(integer(reader, name)?),
            "timeout" => self.timeout_us = Some(integer(reader, name)?),
            "sequence_id" if no_sequence(reader)? => {}
            "classification"
            | "sequence_id"
            | "sequence_start"
            | "sequence_end"
            | "shared_memory_region" => {
                return Err(refuse(&format!("Parameter \"{name}\" is not supported")));
            }
            _ if first == Some(b'"') => {
                if text(reader, MAX_NAME)?.is_none() {
                    let shown = crate::error::cut(name);
                    let text = format!("Parameter \"{shown}\" has more than {MAX_NAME} bytes");
                    return Err(refuse(&text));
                }
            }
            _ => reader.skip()?,
        }
        Ok(())
    }
}

/// Whether the sequence id at the cursor, which is passed over, says that there is no sequence: 0 or an empty string.
fn no_sequence(reader: &mut Reader<'_>) -> Result<bool, Fail> {
    if reader.peek() == Some(b'"') {
        return Ok(text(reader, 0)?.is_some());
    }
    Ok(count::<u64>(reader)? == Some(0))
}

fn flag(reader: &mut Reader<'_>, name: &str) -> Result<bool, Fail> {
    let value = reader.peek() == Some(b't');
    if !value && reader.peek() != Some(b'f') {
        return Err(refuse(&format!(
            "Parameter \"{name}\" must be true or false"
        )));
    }
    reader.skip()?;
    Ok(value)
}

fn integer<T: TryFrom<i128>>(reader: &mut Reader<'_>, name: &str) -> Result<T, Fail> {
    let text = || {
        refuse(&format!(
            "Parameter \"{name}\" must be a non-negative integer"
        ))
    };
    count(reader)?.ok_or_else(text)
}

fn refuse(text: &str) -> Fail {
    Error::new(Kind::BadRequest, text).into()
}
