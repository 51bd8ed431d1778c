//! Typed contents: the elements of a tensor in the one list that its type belongs into.
//!
//! Pure. Called by `grpc::infer` and `grpc::write`. Small integers travel in 32 bits, so their range is checked.

use crate::error::Error;
use crate::grpc::InferTensorContents;
use crate::tensor::{Data, DataType};
use crate::v2::request::{Shape, bad_tensor};

/// The list that elements of `datatype` belong into; `None` for those that only travel raw.
const fn list(datatype: DataType) -> Option<&'static str> {
    match datatype {
        DataType::Bool => Some("bool_contents"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => Some("int_contents"),
        DataType::Int64 => Some("int64_contents"),
        DataType::Uint8 | DataType::Uint16 | DataType::Uint32 => Some("uint_contents"),
        DataType::Uint64 => Some("uint64_contents"),
        DataType::Fp32 => Some("fp32_contents"),
        DataType::Fp64 => Some("fp64_contents"),
        DataType::Bytes => Some("bytes_contents"),
        DataType::Fp16 | DataType::Bf16 => None,
    }
}

/// Each list and how many elements it has.
fn lists(contents: &InferTensorContents) -> [(&'static str, usize); 8] {
    [
        ("bool_contents", contents.bool_contents.len()),
        ("int_contents", contents.int_contents.len()),
        ("int64_contents", contents.int64_contents.len()),
        ("uint_contents", contents.uint_contents.len()),
        ("uint64_contents", contents.uint64_contents.len()),
        ("fp32_contents", contents.fp32_contents.len()),
        ("fp64_contents", contents.fp64_contents.len()),
        ("bytes_contents", contents.bytes_contents.len()),
    ]
}

/// Whether there is no element in any list.
pub(super) fn is_empty(contents: &InferTensorContents) -> bool {
    lists(contents).iter().all(|(_, count)| *count == 0)
}

/// The elements of a tensor of `datatype` and `shape`.
pub(super) fn read(
    contents: InferTensorContents,
    datatype: DataType,
    shape: &Shape,
) -> Result<Data, Error> {
    let name = datatype.oip_name();
    let Some(own) = list(datatype) else {
        return Err(bad_tensor(format!("{name} is sent in raw_input_contents")));
    };
    let lists = lists(&contents);
    if let Some((other, _)) = lists
        .iter()
        .find(|(list, count)| *list != own && *count > 0)
    {
        return Err(bad_tensor(format!("expected {own}, got {other}")));
    }
    let found = lists.iter().map(|(_, count)| count).sum();
    shape.check_elements(own, found)?;
    Ok(match datatype {
        DataType::Bool => Data::Bool(contents.bool_contents),
        DataType::Int8 => Data::Int8(narrow(contents.int_contents, name)?),
        DataType::Int16 => Data::Int16(narrow(contents.int_contents, name)?),
        DataType::Int32 => Data::Int32(contents.int_contents),
        DataType::Int64 => Data::Int64(contents.int64_contents),
        DataType::Uint8 => Data::Uint8(narrow(contents.uint_contents, name)?),
        DataType::Uint16 => Data::Uint16(narrow(contents.uint_contents, name)?),
        DataType::Uint32 => Data::Uint32(contents.uint_contents),
        DataType::Uint64 => Data::Uint64(contents.uint64_contents),
        DataType::Fp32 => Data::Fp32(contents.fp32_contents),
        DataType::Fp64 => Data::Fp64(contents.fp64_contents),
        DataType::Bytes => Data::Bytes(contents.bytes_contents.iter().collect()),
        // Refused above.
        DataType::Fp16 | DataType::Bf16 => Data::empty(datatype),
    })
}

fn narrow<T: TryFrom<S>, S: Copy + ToString>(values: Vec<S>, name: &str) -> Result<Vec<T>, Error> {
    let one = |(index, value): (usize, S)| {
        T::try_from(value).map_err(|_out_of_range| {
            let value = value.to_string();
            bad_tensor(format!("element {index}: expected {name}, got {value}"))
        })
    };
    values.into_iter().enumerate().map(one).collect()
}

/// The contents that hold `data`; none for types that only travel raw.
pub(super) fn write(data: &Data) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match data {
        Data::Bool(values) => contents.bool_contents.clone_from(values),
        Data::Int8(values) => contents.int_contents = widen(values),
        Data::Int16(values) => contents.int_contents = widen(values),
        Data::Int32(values) => contents.int_contents.clone_from(values),
        Data::Int64(values) => contents.int64_contents.clone_from(values),
        Data::Uint8(values) => contents.uint_contents = widen(values),
        Data::Uint16(values) => contents.uint_contents = widen(values),
        Data::Uint32(values) => contents.uint_contents.clone_from(values),
        Data::Uint64(values) => contents.uint64_contents.clone_from(values),
        Data::Fp32(values) => contents.fp32_contents.clone_from(values),
        Data::Fp64(values) => contents.fp64_contents.clone_from(values),
        Data::Bytes(strings) => {
            let copy = |string: &[u8]| string.to_vec().into();
            contents.bytes_contents = strings.iter().map(copy).collect();
        }
        Data::Fp16(_) | Data::Bf16(_) => {}
    }
    contents
}

fn widen<S: Copy + Into<T>, T>(values: &[S]) -> Vec<T> {
    values.iter().map(|value| (*value).into()).collect()
}

/// The fewest bytes that [`write()`] can take: integers have a byte at least, strings two in front.
pub(super) fn least_size(data: &Data) -> usize {
    match data {
        Data::Fp32(values) => values.len().saturating_mul(4),
        Data::Fp64(values) => values.len().saturating_mul(8),
        Data::Bytes(strings) => strings
            .len()
            .saturating_mul(2)
            .saturating_add(strings.byte_len()),
        _ => data.len(),
    }
}
