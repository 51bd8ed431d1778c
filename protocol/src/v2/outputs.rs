//! Reads which outputs an infer request wants.
//!
//! Pure. Called by `v2::infer`.

use crate::json::read::{Fail, Reader};
use crate::signature::Signature;
use crate::v2::fields::{fields, text};
use crate::v2::infer::Requested;
use crate::v2::parameters::parameters;
use crate::v2::request::{self, MAX_NAME, bad_request};

/// The outputs at `reader`, in the order of the request; all of them if there are none.
pub(super) fn outputs(
    reader: Option<Reader<'_>>,
    signature: &Signature,
    binary: bool,
) -> Result<Vec<Requested>, Fail> {
    let mut found: Vec<Requested> = Vec::new();
    if let Some(mut list) = reader {
        if list.peek() != Some(b'[') {
            return Err(bad_request("\"outputs\" must be an array".to_owned()).into());
        }
        let mut more = list.open(b']');
        while more {
            list.next_token();
            let requested = output(&mut list, signature, &found, binary)?;
            found.push(requested);
            more = list.next_item()?;
        }
    }
    Ok(request::or_all(found, signature, binary))
}

fn output(
    list: &mut Reader<'_>,
    signature: &Signature,
    found: &[Requested],
    binary: bool,
) -> Result<Requested, Fail> {
    let number = found.len();
    if list.peek() != Some(b'{') {
        return Err(bad_request(format!("Output {number}: must be an object")).into());
    }
    let [name, mut output_parameters] = fields(list, ["name", "parameters"])?;
    let mut name = name.ok_or_else(|| request::lacks("Output", number, "name"))?;
    let name = text(&mut name, MAX_NAME)?.ok_or_else(|| request::not_a_name("Output", number))?;
    let output = request::output(signature, &name, found)?;
    let binary = parameters(output_parameters.as_mut())?
        .binary_data
        .unwrap_or(binary);
    Ok(Requested { output, binary })
}
