//! Reads `inputs`: one value, or an object of values, each a whole tensor.
//!
//! Pure. Called by `v1::parse`.

use crate::error::{Error, Kind, cut};
use crate::json::Checks;
use crate::json::read::{Fail, Reader};
use crate::signature::Signature;
use crate::tensor::{Data, DataType, Tensor};
use crate::v1::value::{MAX_RANK, Shape, base64_object, value};

/// The tensors, in graph order. The cursor is at the value of `inputs`.
pub(super) fn columns(reader: &mut Reader<'_>, signature: &Signature) -> Result<Vec<Tensor>, Fail> {
    let start = reader.position;
    let plain = reader.next_token() != Some(b'{') || base64_object(reader)?.is_some();
    reader.position = start;
    if !plain {
        return named(reader, signature);
    }
    match signature.inputs() {
        [only] => Ok(vec![column(reader, only.datatype)?]),
        _ => {
            let text = "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map";
            Err(Error::new(Kind::BadRequest, text).into())
        }
    }
}

fn named(reader: &mut Reader<'_>, signature: &Signature) -> Result<Vec<Tensor>, Fail> {
    let mut tensors: Vec<Option<Tensor>> = signature.inputs().iter().map(|_| None).collect();
    let mut key = String::new();
    let mut more = reader.open(b'}');
    while more {
        reader.name(&mut key)?;
        reader.next_token();
        let index = signature.input(&key);
        let spec = index.and_then(|index| signature.inputs().get(index));
        let slot = index.and_then(|index| tensors.get_mut(index));
        match (spec, slot) {
            (Some(spec), Some(slot @ None)) => *slot = Some(column(reader, spec.datatype)?),
            (Some(_), Some(Some(_))) if reader.checks == Checks::Strict => {
                let text = format!("JSON object: duplicate key: {}", cut(&key));
                return Err(Error::new(Kind::BadRequest, text).into());
            }
            // A second value of a name, or a name that is not an input's.
            _ => reader.skip()?,
        }
        more = reader.next_member()?;
    }
    let found = tensors.into_iter().zip(signature.input_names());
    let found = found.map(|(tensor, name)| {
        tensor.ok_or_else(|| {
            let text = format!("Missing named input: {name} in 'inputs' object.");
            Error::new(Kind::BadRequest, text).into()
        })
    });
    found.collect()
}

fn column(reader: &mut Reader<'_>, datatype: DataType) -> Result<Tensor, Fail> {
    let mut data = Data::empty(datatype);
    let mut shape = Shape::default();
    value(reader, &mut data, MAX_RANK, &mut shape)?;
    Ok(Tensor::new(shape.dims().to_vec(), data).expect("all lists of one level have one size"))
}
