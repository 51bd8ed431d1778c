//! The binary tensor extension: elements as little-endian bytes behind the JSON.
//!
//! Pure. Called by `v2::infer`, `v2::write` and `grpc`. Byte strings have their length in front, as 32 bits.

use crate::error::{Error, Kind};
use crate::signature::shape_text;
use crate::tensor::{Data, DataType, Strings};
use crate::v2::request::Shape;

/// The elements in `bytes`. The caller has compared the size of fixed-size types with `shape`.
pub(crate) fn decode(bytes: &[u8], datatype: DataType, shape: &Shape) -> Result<Data, Error> {
    Ok(match datatype {
        DataType::Bool => Data::Bool(bools(bytes)?),
        DataType::Int8 => Data::Int8(all(bytes, i8::from_le_bytes)),
        DataType::Int16 => Data::Int16(all(bytes, i16::from_le_bytes)),
        DataType::Int32 => Data::Int32(all(bytes, i32::from_le_bytes)),
        DataType::Int64 => Data::Int64(all(bytes, i64::from_le_bytes)),
        DataType::Uint8 => Data::Uint8(bytes.to_vec()),
        DataType::Uint16 => Data::Uint16(all(bytes, u16::from_le_bytes)),
        DataType::Uint32 => Data::Uint32(all(bytes, u32::from_le_bytes)),
        DataType::Uint64 => Data::Uint64(all(bytes, u64::from_le_bytes)),
        DataType::Fp16 => Data::Fp16(all(bytes, u16::from_le_bytes)),
        DataType::Bf16 => Data::Bf16(all(bytes, u16::from_le_bytes)),
        DataType::Fp32 => Data::Fp32(all(bytes, f32::from_le_bytes)),
        DataType::Fp64 => Data::Fp64(all(bytes, f64::from_le_bytes)),
        DataType::Bytes => Data::Bytes(strings(bytes, shape)?),
    })
}

fn all<T, const N: usize>(bytes: &[u8], one: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().copied().map(one).collect()
}

fn bools(bytes: &[u8]) -> Result<Vec<bool>, Error> {
    if let Some(index) = bytes.iter().position(|byte| *byte > 1) {
        let text = format!("element {index}: expected 0 or 1");
        return Err(Error::new(Kind::BadTensor, text));
    }
    Ok(bytes.iter().map(|byte| *byte == 1).collect())
}

fn strings(mut bytes: &[u8], shape: &Shape) -> Result<Strings, Error> {
    let mut found = Strings::new();
    while !bytes.is_empty() {
        let next = bytes.split_first_chunk().and_then(|(length, rest)| {
            rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
        });
        let Some((string, rest)) = next else {
            let text = format!("element {} runs past the end", found.len());
            return Err(Error::new(Kind::BadTensor, text));
        };
        found.push(string);
        bytes = rest;
    }
    if found.len() != shape.elements {
        let text = format!(
            "binary data has {} elements, but shape {} needs {}",
            found.len(),
            shape_text(&shape.dims),
            shape.elements
        );
        return Err(Error::new(Kind::BadTensor, text));
    }
    Ok(found)
}

/// The bytes that [`encode`] appends.
pub(crate) fn size(data: &Data) -> usize {
    match data {
        Data::Bytes(strings) => strings
            .len()
            .saturating_mul(4)
            .saturating_add(strings.byte_len()),
        _ => data
            .datatype()
            .size()
            .unwrap_or(0)
            .saturating_mul(data.len()),
    }
}

/// Appends the elements of `data`. No byte string may be longer than 32 bits can tell.
pub(crate) fn encode(out: &mut Vec<u8>, data: &Data) {
    match data {
        Data::Bool(values) => out.extend(values.iter().map(|value| u8::from(*value))),
        Data::Int8(values) => append(out, values, i8::to_le_bytes),
        Data::Int16(values) => append(out, values, i16::to_le_bytes),
        Data::Int32(values) => append(out, values, i32::to_le_bytes),
        Data::Int64(values) => append(out, values, i64::to_le_bytes),
        Data::Uint8(values) => out.extend_from_slice(values),
        Data::Uint16(values) | Data::Fp16(values) | Data::Bf16(values) => {
            append(out, values, u16::to_le_bytes);
        }
        Data::Uint32(values) => append(out, values, u32::to_le_bytes),
        Data::Uint64(values) => append(out, values, u64::to_le_bytes),
        Data::Fp32(values) => append(out, values, f32::to_le_bytes),
        Data::Fp64(values) => append(out, values, f64::to_le_bytes),
        Data::Bytes(strings) => {
            for string in strings.iter() {
                let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(string);
            }
        }
    }
}

fn append<T: Copy, const N: usize>(out: &mut Vec<u8>, values: &[T], one: fn(T) -> [u8; N]) {
    out.extend(values.iter().copied().flat_map(one));
}
