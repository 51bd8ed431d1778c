//! Reads one JSON value into a tensor: scalar, list, list of lists …
//!
//! Pure. Called by `v1::parse` for every row of `instances` and every column of `inputs`. Texts and levels are TensorFlow
//! Serving's (`json_tensor.cc`); a list's length is judged where the list ends.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::error::{Error, Kind};
use crate::json::compact::compact;
use crate::json::read::{Fail, Reader, Syntax};
use crate::tensor::{Data, Strings};

/// Dimensions that a tensor can have.
pub(super) const MAX_RANK: usize = 16;

/// Takes what TensorFlow Serving takes: padding or none, and whatever the last character has too many bits for.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The dimensions of the last value, and what is needed to find them. Made once, used for every row.
#[derive(Default)]
pub(super) struct Shape {
    dims: [usize; MAX_RANK],
    rank: usize,
    /// How many items each of the lists that are open has so far.
    counts: [usize; MAX_RANK],
}

impl Shape {
    /// Outermost first.
    pub(super) fn dims(&self) -> &[usize] {
        self.dims.get(..self.rank).unwrap_or_default()
    }
}

/// Appends the next value to `data` and leaves its dimensions, at most `max_rank`, in `shape`.
///
/// They are read along the first item at each depth; all others must agree.
pub(super) fn value(
    reader: &mut Reader<'_>,
    data: &mut Data,
    max_rank: usize,
    shape: &mut Shape,
) -> Result<(), Fail> {
    let mut rank = None;
    let mut level = 0;
    // The levels below this one have been left at least once: their dimension is known.
    let mut closed = usize::MAX;
    loop {
        if reader.next_token() == Some(b'[') {
            match rank {
                Some(rank) if level >= rank => {
                    let text =
                        format!("Encountered list at unexpected level: {level} expected < {rank}");
                    return Err(Error::new(Kind::BadTensor, text).into());
                }
                None if level >= max_rank => {
                    let text = format!("Tensor rank exceeds {MAX_RANK}");
                    return Err(Error::new(Kind::BadTensor, text).into());
                }
                _ => {}
            }
            if reader.open(b']') {
                if let Some(count) = shape.counts.get_mut(level) {
                    *count = 0;
                }
                level += 1;
                continue;
            }
            rank.get_or_insert(level + 1);
            shape.close(level, 0, &mut closed)?;
        } else {
            let rank = *rank.get_or_insert(level);
            if rank != level {
                let text = format!(
                    "JSON Value: {} found at incorrect level: {} in the JSON DOM. Expected at level: {rank}",
                    compact(reader.bytes, reader.position),
                    level + 1
                );
                return Err(Error::new(Kind::BadTensor, text).into());
            }
            element(reader, data)?;
        }
        // Up, past every list that ends here.
        loop {
            let outer = level.checked_sub(1);
            let Some(count) = outer.and_then(|outer| shape.counts.get_mut(outer)) else {
                shape.rank = rank.unwrap_or(0);
                return Ok(());
            };
            *count += 1;
            let size = *count;
            if reader.next_item()? {
                break;
            }
            level -= 1;
            shape.close(level, size, &mut closed)?;
        }
    }
}

impl Shape {
    /// A list of `size` items has ended at `level`: the first one there decides for all. Levels are first left from the
    /// innermost to the outermost, so one number, `closed`, tells which have been.
    fn close(&mut self, level: usize, size: usize, closed: &mut usize) -> Result<(), Error> {
        let Some(dim) = self.dims.get_mut(level) else {
            return Ok(());
        };
        if level < *closed {
            *closed = level;
            *dim = size;
        }
        if *dim == size {
            return Ok(());
        }
        let text = format!(
            "Encountered list at unexpected size: {size} at level: {level} expected size: {dim}"
        );
        Err(Error::new(Kind::BadTensor, text))
    }
}

/// Appends one element.
#[inline]
fn element(reader: &mut Reader<'_>, data: &mut Data) -> Result<(), Fail> {
    match data {
        Data::Fp32(values) if is_number(reader) => values.push(reader.number()?.float32()),
        Data::Fp64(values) if is_number(reader) => values.push(reader.number()?.float64()),
        Data::Fp16(values) if is_number(reader) => values.push(reader.number()?.float16()),
        Data::Bf16(values) if is_number(reader) => values.push(reader.number()?.bfloat16()),
        Data::Int8(values) => return integer(reader, values, "int8"),
        Data::Int16(values) => return integer(reader, values, "int16"),
        Data::Int32(values) => return integer(reader, values, "int32"),
        Data::Int64(values) => return integer(reader, values, "int64"),
        Data::Uint8(values) => return integer(reader, values, "uint8"),
        Data::Uint16(values) => return integer(reader, values, "uint16"),
        Data::Uint32(values) => return integer(reader, values, "uint32"),
        Data::Uint64(values) => return integer(reader, values, "uint64"),
        Data::Bool(values) => match reader.peek() {
            Some(b't') => {
                reader.word(b"true")?;
                values.push(true);
            }
            Some(b'f') => {
                reader.word(b"false")?;
                values.push(false);
            }
            _ => return Err(wrong_type(reader, "bool").into()),
        },
        Data::Bytes(values) => return string(reader, values),
        Data::Fp32(_) | Data::Fp64(_) | Data::Fp16(_) | Data::Bf16(_) => {
            return Err(wrong_type(reader, data.datatype().tfs_name()).into());
        }
    }
    Ok(())
}

fn integer<T: TryFrom<i128>>(
    reader: &mut Reader<'_>,
    values: &mut Vec<T>,
    name: &str,
) -> Result<(), Fail> {
    if !is_number(reader) {
        return Err(wrong_type(reader, name).into());
    }
    let start = reader.position;
    let Some(value) = reader.number()?.integer() else {
        reader.position = start;
        return Err(wrong_type(reader, name).into());
    };
    values.push(value);
    Ok(())
}

fn string(reader: &mut Reader<'_>, values: &mut Strings) -> Result<(), Fail> {
    match reader.peek() {
        Some(b'"') => {
            reader.string(|part| values.extend(part.as_bytes()))?;
            values.finish();
            Ok(())
        }
        Some(b'{') => {
            let start = reader.position;
            let Some(encoded) = base64_object(reader)? else {
                let text = format!(
                    "JSON Value: {} not formatted correctly for base64 data",
                    compact(reader.bytes, start)
                );
                return Err(Error::new(Kind::BadTensor, text).into());
            };
            values.push(&decode(&encoded)?);
            Ok(())
        }
        _ => Err(wrong_type(reader, "string").into()),
    }
}

/// The bytes that the text of a base64 object stands for.
pub(super) fn decode(encoded: &str) -> Result<Vec<u8>, Error> {
    let decoded = BASE64.decode(encoded).ok();
    decoded.ok_or_else(|| Error::new(Kind::BadTensor, "Unable to base64 decode"))
}

/// Whether the next value, an object, is `{"b64":"…"}`. If so it is passed over, and this is its text without white space.
/// If not, the cursor stays.
pub(super) fn base64_object(reader: &mut Reader<'_>) -> Result<Option<String>, Syntax> {
    let start = reader.position;
    // Most objects are rows, and most names begin with another letter (or an escaped one).
    let named = reader.open(b'}') && reader.take(b'"');
    let possible = named && matches!(reader.peek(), Some(b'b' | b'\\'));
    reader.position = start;
    if !possible {
        return Ok(None);
    }
    let found = try_base64_object(reader)?;
    if found.is_none() {
        reader.position = start;
    }
    Ok(found)
}

fn try_base64_object(reader: &mut Reader<'_>) -> Result<Option<String>, Syntax> {
    if !reader.open(b'}') {
        return Ok(None);
    }
    let mut name = String::new();
    reader.name(&mut name)?;
    if name != "b64" || reader.next_token() != Some(b'"') {
        return Ok(None);
    }
    let mut encoded = String::new();
    reader.string(|part| {
        encoded.extend(part.split([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']));
    })?;
    Ok((!reader.next_member()?).then_some(encoded))
}

/// Whether the next value is a number, or nothing that JSON knows.
#[inline]
fn is_number(reader: &Reader<'_>) -> bool {
    !matches!(reader.peek(), Some(b'"' | b'{' | b't' | b'f' | b'n'))
}

fn wrong_type(reader: &Reader<'_>, expected: &str) -> Error {
    let found = match reader.peek() {
        Some(b'"') => "String",
        Some(b'{') => "Object",
        Some(b't') => "True",
        Some(b'f') => "False",
        Some(b'n') => "Null",
        _ => "Number",
    };
    let shown = compact(reader.bytes, reader.position);
    let text = format!("JSON Value: {shown} Type: {found} is not of expected type: {expected}");
    Error::new(Kind::BadTensor, text)
}
