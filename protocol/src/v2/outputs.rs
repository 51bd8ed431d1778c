//! Reads which outputs an infer request wants.
//!
//! Pure. Called by `v2::infer`.

use crate::error::{Error, Kind, cut};
use crate::json::read::{Fail, Reader};
use crate::signature::Signature;
use crate::v2::fields::{MAX_NAME, fields, text};
use crate::v2::infer::Requested;
use crate::v2::parameters::parameters;

/// The outputs at `reader`, in the order of the request; all of them if there are none.
pub(super) fn outputs(
    reader: Option<Reader<'_>>,
    signature: &Signature,
    binary: bool,
) -> Result<Vec<Requested>, Fail> {
    let mut found: Vec<Requested> = Vec::new();
    if let Some(mut list) = reader {
        if list.peek() != Some(b'[') {
            return Err(refuse("\"outputs\" must be an array".to_owned()));
        }
        let mut more = list.open(b']');
        while more {
            list.next_token();
            let requested = output(&mut list, signature, &found, binary)?;
            found.push(requested);
            more = list.next_item()?;
        }
    }
    if found.is_empty() {
        let all = 0..signature.outputs().len();
        found = all.map(|output| Requested { output, binary }).collect();
    }
    Ok(found)
}

fn output(
    list: &mut Reader<'_>,
    signature: &Signature,
    found: &[Requested],
    binary: bool,
) -> Result<Requested, Fail> {
    let number = found.len();
    if list.peek() != Some(b'{') {
        return Err(refuse(format!("Output {number}: must be an object")));
    }
    let [name, mut output_parameters] = fields(list, ["name", "parameters"])?;
    let mut name = name.ok_or_else(|| refuse(format!("Output {number}: missing \"name\"")))?;
    let name = text(&mut name, MAX_NAME)?.ok_or_else(|| {
        let rule = format!("\"name\" must be a string of at most {MAX_NAME} bytes");
        refuse(format!("Output {number}: {rule}"))
    })?;
    let shown = cut(&name);
    let Some(output) = signature.output(&name) else {
        let names = signature.output_names().join(", ");
        return Err(refuse(format!(
            "Unknown output \"{shown}\"; the model has: {names}"
        )));
    };
    if found.iter().any(|other| other.output == output) {
        return Err(refuse(format!("Duplicate output \"{shown}\"")));
    }
    let binary = parameters(output_parameters.as_mut())?
        .binary_data
        .unwrap_or(binary);
    Ok(Requested { output, binary })
}

fn refuse(text: String) -> Fail {
    Error::new(Kind::BadRequest, text).into()
}
