//! Infer requests as clients write them, read in one pass.
//!
//! Takes only what has each member at most once, an input's data as JSON behind its name, shape and datatype, and nothing
//! wrong anywhere; all else is left to `infer`, which knows every error and which of several comes first. What is taken here
//! is exactly what `infer` would take: values are read by the same functions, in an order in which nothing needs to be
//! looked at twice.

use crate::json::read::Reader;
use crate::v2::fields::text;
use crate::v2::infer::{Content, Declared, Infer, Inputs, dims};
use crate::v2::parameters::{Parameters, parameters};
use crate::v2::request::{self, MAX_ID, MAX_INPUTS, MAX_NAME, Shape};
use crate::v2::{data, outputs};

/// The request whose JSON is at the cursor, if it is one of those.
pub(super) fn quick(mut json: Reader<'_>, inputs: &Inputs<'_>) -> Option<Infer> {
    if json.root().ok()? != b'{' || !json.open(b'}') {
        return None;
    }
    let (mut id, mut found, mut said, mut requested) = (None, None, None, None);
    let mut key = String::new();
    let mut more = true;
    while more {
        json.name(&mut key).ok()?;
        json.next_token()?;
        match key.as_str() {
            "inputs" if found.is_none() => found = Some(list(&mut json, inputs)?),
            "id" if id.is_none() => id = Some(text(&mut json, MAX_ID).ok()??),
            "parameters" if said.is_none() => said = Some(short(&mut json)?),
            "outputs" if requested.is_none() => requested = Some(short(&mut json)?),
            _ => return None,
        }
        more = json.next_member().ok()?;
    }
    json.end().ok()?;
    let Parameters {
        binary_data_output,
        timeout_us,
        ..
    } = parameters(said.as_mut()).ok()?;
    let binary = binary_data_output.unwrap_or(false);
    Some(Infer {
        id,
        timeout_us,
        inputs: inputs.tensors(found?).ok()?,
        outputs: outputs::outputs(requested, inputs.signature, binary).ok()?,
    })
}

/// A cursor at a value that is short and rarely there; it is passed over.
fn short<'a>(json: &mut Reader<'a>) -> Option<Reader<'a>> {
    let value = json.clone();
    json.skip().ok()?;
    (value.peek() != Some(b'n')).then_some(value)
}

fn list(json: &mut Reader<'_>, inputs: &Inputs<'_>) -> Option<Vec<Declared>> {
    if json.peek() != Some(b'[') || !json.open(b']') {
        return None;
    }
    let mut found = Vec::new();
    let mut more = true;
    while more && found.len() < MAX_INPUTS {
        json.next_token()?;
        found.push(input(json, inputs, &found)?);
        more = json.next_item().ok()?;
    }
    (!more).then_some(found)
}

fn input(json: &mut Reader<'_>, inputs: &Inputs<'_>, found: &[Declared]) -> Option<Declared> {
    if json.peek() != Some(b'{') || !json.open(b'}') {
        return None;
    }
    let (mut name, mut shape, mut datatype) = (None, None, None);
    let mut key = String::new();
    loop {
        json.name(&mut key).ok()?;
        json.next_token()?;
        match key.as_str() {
            "name" if name.is_none() => name = Some(text(json, MAX_NAME).ok()??),
            "shape" if shape.is_none() => shape = Some(dims(json).ok()?),
            "datatype" if datatype.is_none() => datatype = Some(text(json, MAX_NAME).ok()??),
            "data" => break,
            _ => return None,
        }
        json.next_member().ok()?.then_some(())?;
    }
    let name = name?;
    let taken = found.iter().map(|other| other.index);
    let (index, spec) = request::input(inputs.signature, &name, taken).ok()?;
    request::check_datatype(&datatype?, spec.datatype).ok()?;
    let shape = Shape::new(shape?, spec.datatype).ok()?;
    let data = data::data(json, spec.datatype, &shape).ok()?;
    // Nothing may follow the data.
    (!json.next_member().ok()?).then_some(Declared {
        index,
        name,
        datatype: spec.datatype,
        shape,
        content: Content::Json(data),
    })
}

#[cfg(test)]
mod tests;
