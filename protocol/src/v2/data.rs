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
    let list = List { datatype, shape };
    // A loop for each type, so that none asks for it at each element.
    match &mut found {
        Data::Fp32(values) => {
            list.read(reader, |at| float(at, values, |number| number.float32()))?
        }
        Data::Fp64(values) => {
            list.read(reader, |at| float(at, values, |number| number.float64()))?
        }
        Data::Fp16(values) => {
            list.read(reader, |at| float(at, values, |number| number.float16()))?
        }
        Data::Bf16(values) => {
            list.read(reader, |at| float(at, values, |number| number.bfloat16()))?
        }
        Data::Int8(values) => list.read(reader, |at| integer(at, values))?,
        Data::Int16(values) => list.read(reader, |at| integer(at, values))?,
        Data::Int32(values) => list.read(reader, |at| integer(at, values))?,
        Data::Int64(values) => list.read(reader, |at| integer(at, values))?,
        Data::Uint8(values) => list.read(reader, |at| integer(at, values))?,
        Data::Uint16(values) => list.read(reader, |at| integer(at, values))?,
        Data::Uint32(values) => list.read(reader, |at| integer(at, values))?,
        Data::Uint64(values) => list.read(reader, |at| integer(at, values))?,
        Data::Bool(values) => list.read(reader, |at| boolean(at, values))?,
        Data::Bytes(values) => list.read(reader, |at| {
            if at.peek() != Some(b'"') {
                return Ok(None);
            }
            at.string(|part| values.extend(part.as_bytes()))?;
            values.finish();
            Ok(Some(()))
        })?,
    }
    Ok(found)
}

/// What a list of elements is held against.
struct List<'a> {
    datatype: DataType,
    shape: &'a Shape,
}

impl List<'_> {
    /// Reads all elements, nested as the shape is or not at all. `take` takes one; `None` if it is of another type.
    fn read<'a>(
        &self,
        reader: &mut Reader<'a>,
        mut take: impl FnMut(&mut Reader<'a>) -> Result<Option<()>, Fail>,
    ) -> Result<(), Fail> {
        let mut count = 0_usize;
        let mut element = |reader: &mut Reader<'a>| {
            let start = reader.position;
            if take(reader)?.is_none() {
                let (expected, got) = (self.datatype.oip_name(), type_name(reader, start));
                return Err(refuse(format!(
                    "element {count}: expected {expected}, got {got}"
                )));
            }
            count += 1;
            Ok(())
        };
        let mut ahead = reader.clone();
        if ahead.open(b']') && ahead.peek() == Some(b'[') {
            return nested(reader, element, &self.shape.dims);
        }
        let mut more = reader.open(b']');
        while more {
            reader.next_token();
            element(reader)?;
            more = reader.next_item()?;
        }
        self.shape.check_elements("data", count)?;
        Ok(())
    }
}

/// Lists in lists. Iterative: `counts` has an entry for each list that is open.
fn nested<'a>(
    reader: &mut Reader<'a>,
    mut element: impl FnMut(&mut Reader<'a>) -> Result<(), Fail>,
    shape: &[usize],
) -> Result<(), Fail> {
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
            element(reader)?;
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

/// A number, or one of the strings that stand for what JSON cannot express.
#[inline]
fn float<T>(
    reader: &mut Reader<'_>,
    values: &mut Vec<T>,
    value: impl Fn(&Number<'_>) -> T,
) -> Result<Option<()>, Fail> {
    let number = match reader.peek() {
        Some(b'"') => not_finite(reader)?,
        Some(b'[' | b'{' | b't' | b'f' | b'n') => None,
        _ => Some(reader.number()?),
    };
    Ok(number.map(|number| values.push(value(&number))))
}

#[cold]
fn not_finite<'a>(reader: &mut Reader<'a>) -> Result<Option<Number<'a>>, Fail> {
    let mut text = String::new();
    reader.string(|part| text.push_str(part))?;
    Ok(Number::not_finite(&text))
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
fn boolean(reader: &mut Reader<'_>, values: &mut Vec<bool>) -> Result<Option<()>, Fail> {
    let value = match reader.peek() {
        Some(b't') => {
            reader.word(b"true")?;
            Some(true)
        }
        Some(b'f') => {
            reader.word(b"false")?;
            Some(false)
        }
        Some(b'0'..=b'9') => match reader.number()?.integer::<u8>() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        _ => None,
    };
    Ok(value.map(|value| values.push(value)))
}

/// What begins at `start`.
fn type_name(reader: &Reader<'_>, start: usize) -> &'static str {
    match reader.bytes.get(start) {
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
