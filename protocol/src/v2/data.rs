//! Reads the `data` of an input: a flat list of its elements, or lists nested exactly as its shape.
//!
//! Pure. Called by `v2::infer`, which puts the input's name in front of the errors.

use crate::error::{Error, Kind};
use crate::json::number::Number;
use crate::json::read::{Fail, Reader};
use crate::signature::shape_text;
use crate::tensor::{Data, DataType};
use crate::v2::request::Shape;

/// The elements at the cursor, as many as `shape` has.
pub(super) fn data(
    reader: &mut Reader<'_>,
    datatype: DataType,
    shape: &Shape,
) -> Result<Data, Fail> {
    if reader.next_token() != Some(b'[') {
        return Err(refuse("\"data\" must be an array".to_owned()));
    }
    let mut found = Data::empty(datatype);
    // Every element takes two bytes at least: a shape alone reserves nothing.
    found.reserve(
        shape
            .elements
            .min(reader.bytes.len().saturating_sub(reader.position) / 2),
    );
    let mut ahead = reader.clone();
    if ahead.open(b']') && ahead.peek() == Some(b'[') {
        nested(reader, &mut found, &shape.dims)?;
        return Ok(found);
    }
    let mut more = reader.open(b']');
    while more {
        reader.next_token();
        element(reader, &mut found)?;
        more = reader.next_item()?;
    }
    shape.check_elements("data", found.len())?;
    Ok(found)
}

/// Lists in lists. Iterative: `counts` has an entry for each list that is open.
fn nested(reader: &mut Reader<'_>, found: &mut Data, shape: &[usize]) -> Result<(), Fail> {
    let mismatch = || {
        refuse(format!(
            "nested data does not match shape {}",
            shape_text(shape)
        ))
    };
    let mut counts: Vec<usize> = Vec::with_capacity(shape.len());
    loop {
        if reader.next_token() == Some(b'[') {
            let size = *shape.get(counts.len()).ok_or_else(mismatch)?;
            if reader.open(b']') {
                counts.push(0);
                continue;
            }
            if size != 0 {
                return Err(mismatch());
            }
        } else if counts.len() == shape.len() {
            element(reader, found)?;
        } else {
            return Err(mismatch());
        }
        // Up, past every list that ends here.
        loop {
            let Some(count) = counts.last_mut() else {
                return Ok(());
            };
            *count += 1;
            let count = *count;
            if reader.next_item()? {
                break;
            }
            counts.pop();
            if shape.get(counts.len()) != Some(&count) {
                return Err(mismatch());
            }
        }
    }
}

/// Appends one element.
#[inline]
fn element(reader: &mut Reader<'_>, found: &mut Data) -> Result<(), Fail> {
    let index = found.len();
    let start = reader.clone();
    let taken = match found {
        Data::Fp32(values) => float(reader)?.map(|number| values.push(number.float32())),
        Data::Fp64(values) => float(reader)?.map(|number| values.push(number.float64())),
        Data::Fp16(values) => float(reader)?.map(|number| values.push(number.float16())),
        Data::Bf16(values) => float(reader)?.map(|number| values.push(number.bfloat16())),
        Data::Int8(values) => integer(reader, values)?,
        Data::Int16(values) => integer(reader, values)?,
        Data::Int32(values) => integer(reader, values)?,
        Data::Int64(values) => integer(reader, values)?,
        Data::Uint8(values) => integer(reader, values)?,
        Data::Uint16(values) => integer(reader, values)?,
        Data::Uint32(values) => integer(reader, values)?,
        Data::Uint64(values) => integer(reader, values)?,
        Data::Bool(values) => boolean(reader)?.map(|value| values.push(value)),
        Data::Bytes(values) if reader.peek() == Some(b'"') => {
            reader.string(|part| values.extend(part.as_bytes()))?;
            values.finish();
            Some(())
        }
        Data::Bytes(_) => None,
    };
    taken.ok_or_else(|| {
        let expected = found.datatype().oip_name();
        refuse(format!(
            "element {index}: expected {expected}, got {}",
            type_name(&start)
        ))
    })
}

/// A number, or one of the strings that stand for what JSON cannot express.
#[inline]
fn float<'a>(reader: &mut Reader<'a>) -> Result<Option<Number<'a>>, Fail> {
    match reader.peek() {
        Some(b'"') => {
            let mut text = String::new();
            reader.string(|part| text.push_str(part))?;
            Ok(Number::not_finite(&text))
        }
        Some(b'[' | b'{' | b't' | b'f' | b'n') => Ok(None),
        _ => Ok(Some(reader.number()?)),
    }
}

#[inline]
fn integer<T: TryFrom<i128>>(
    reader: &mut Reader<'_>,
    values: &mut Vec<T>,
) -> Result<Option<()>, Fail> {
    match reader.peek() {
        Some(b'[' | b'{' | b't' | b'f' | b'n' | b'"') => Ok(None),
        _ => Ok(reader.number()?.integer().map(|value| values.push(value))),
    }
}

/// `true`, `false`, 1 or 0.
fn boolean(reader: &mut Reader<'_>) -> Result<Option<bool>, Fail> {
    match reader.peek() {
        Some(b't') => {
            reader.word(b"true")?;
            Ok(Some(true))
        }
        Some(b'f') => {
            reader.word(b"false")?;
            Ok(Some(false))
        }
        Some(b'0'..=b'9') => Ok(match reader.number()?.integer::<u8>() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        }),
        _ => Ok(None),
    }
}

fn type_name(reader: &Reader<'_>) -> &'static str {
    match reader.peek() {
        Some(b'"') => "string",
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

fn refuse(text: String) -> Fail {
    Error::new(Kind::BadTensor, text).into()
}
