//! Writes the answer to an infer request.
//!
//! Pure. Called by the server with what the engine returned.

use crate::error::{Error, Kind};
use crate::json::tensor::{self, Style, Text};
use crate::json::write::{integer, string};
use crate::nonfinite::Nonfinite;
use crate::signature::Signature;
use crate::tensor::Tensor;
use crate::v2::binary;
use crate::v2::infer::Requested;

/// What an answer says besides its tensors, and how.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The name that the model is served under.
    pub model: &'a str,
    /// The version that answered.
    pub version: i64,
    /// The id of the request.
    pub id: Option<&'a str>,
    /// The form of NaN and the infinities.
    pub nonfinite: Nonfinite,
    /// The most bytes that the body may have.
    pub limit: usize,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// JSON, and binary tensors behind it.
    pub body: Vec<u8>,
    /// With binary tensors: the length of the JSON, for the header [`crate::v2::HEADER_LENGTH`]; the body is then
    /// `application/octet-stream`.
    pub header_length: Option<usize>,
}

/// The body with the `requested` ones among `outputs`, which are all outputs in the order of the signature.
///
/// Errors: `result_too_large`; `bad_tensor` if a byte string is not UTF-8 and its output is not requested as binary.
pub fn write(
    answer: &Answer<'_>,
    signature: &Signature,
    requested: &[Requested],
    outputs: &[Tensor],
) -> Result<Response, Error> {
    let too_large = || Error::result_too_large(answer.limit);
    let chosen = || {
        requested.iter().filter_map(|wanted| {
            let name = signature.output_names().get(wanted.output)?;
            Some((name.as_str(), outputs.get(wanted.output)?, wanted.binary))
        })
    };
    // Each element takes its bytes, or at least a digit and a comma: what cannot fit is refused before it is encoded.
    let least = chosen().map(|(_, output, binary)| match binary {
        true => binary::size(output.data()),
        false => output.data().len().saturating_mul(2),
    });
    let least = least.fold(0, usize::saturating_add);
    if least > answer.limit {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(
        least
            .saturating_mul(4)
            .min(answer.limit)
            .saturating_add(256),
    );
    body.extend_from_slice(b"{\"model_name\":");
    string(&mut body, answer.model);
    body.extend_from_slice(b",\"model_version\":\"");
    integer(&mut body, answer.version);
    body.push(b'"');
    if let Some(id) = answer.id {
        body.extend_from_slice(b",\"id\":");
        string(&mut body, id);
    }
    body.extend_from_slice(b",\"outputs\":[");
    for (position, (name, output, binary)) in chosen().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        write_output(&mut body, answer, name, output, binary)?;
    }
    body.extend_from_slice(b"]}");
    let json = body.len();
    for (_, output, _) in chosen().filter(|(_, _, binary)| *binary) {
        binary::encode(&mut body, output.data());
    }
    if body.len() > answer.limit {
        return Err(too_large());
    }
    let any_binary = requested.iter().any(|wanted| wanted.binary);
    Ok(Response {
        body,
        header_length: any_binary.then_some(json),
    })
}

fn write_output(
    body: &mut Vec<u8>,
    answer: &Answer<'_>,
    name: &str,
    output: &Tensor,
    binary: bool,
) -> Result<(), Error> {
    body.extend_from_slice(b"{\"name\":");
    string(body, name);
    body.extend_from_slice(b",\"datatype\":\"");
    body.extend_from_slice(output.datatype().oip_name().as_bytes());
    body.extend_from_slice(b"\",\"shape\":[");
    for (position, size) in output.shape().iter().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        integer(body, *size);
    }
    if binary {
        body.extend_from_slice(b"],\"parameters\":{\"binary_data_size\":");
        integer(body, binary::size(output.data()));
        body.extend_from_slice(b"}}");
        return Ok(());
    }
    body.extend_from_slice(b"],\"data\":[");
    let style = Style {
        nonfinite: answer.nonfinite,
        text: Text::Plain,
        limit: answer.limit,
    };
    tensor::flat(body, output.data(), 0..output.data().len(), &style).map_err(
        |error| match error.kind {
            Kind::BadTensor => Error::new(
                Kind::BadTensor,
                format!("Output \"{name}\": {}", error.text),
            ),
            _ => error,
        },
    )?;
    body.extend_from_slice(b"]}");
    Ok(())
}
