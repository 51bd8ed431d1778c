//! Makes the answer to an infer request that came over gRPC.
//!
//! Pure. Called by the server with what the engine returned.

use prost::Message as _;

use crate::error::Error;
use crate::grpc::model_infer_response::InferOutputTensor;
use crate::grpc::{ModelInferResponse, contents};
use crate::signature::Signature;
use crate::tensor::{DataType, Tensor};
use crate::v2::{Requested, binary};

/// What an answer says besides its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The name that the model is served under.
    pub model: &'a str,
    /// The version that answered.
    pub version: i64,
    /// The id of the request.
    pub id: Option<&'a str>,
    /// The most bytes that the message may have.
    pub limit: usize,
}

/// The message with the `requested` ones among `outputs`, which are all outputs in the order of the signature. Raw if
/// one of them is requested as binary, or is of a type that only travels raw.
///
/// Errors: `result_too_large`.
pub fn answer(
    answer: &Answer<'_>,
    signature: &Signature,
    requested: &[Requested],
    outputs: &[Tensor],
) -> Result<ModelInferResponse, Error> {
    let too_large = || Error::result_too_large(answer.limit);
    let chosen = || {
        requested.iter().filter_map(|wanted| {
            let name = signature.output_names().get(wanted.output)?;
            Some((name, outputs.get(wanted.output)?))
        })
    };
    let is_16_bit = |tensor: &Tensor| matches!(tensor.datatype(), DataType::Fp16 | DataType::Bf16);
    let is_raw = requested.iter().any(|wanted| wanted.binary)
        || chosen().any(|(_, output)| is_16_bit(output));
    // What cannot fit is refused before it is copied.
    let least = chosen().map(|(_, output)| match is_raw {
        true => binary::size(output.data()),
        false => contents::least_size(output.data()),
    });
    if least.fold(0, usize::saturating_add) > answer.limit {
        return Err(too_large());
    }
    let message = ModelInferResponse {
        model_name: answer.model.to_owned(),
        model_version: answer.version.to_string(),
        id: answer.id.unwrap_or_default().to_owned(),
        parameters: std::collections::BTreeMap::new(),
        outputs: chosen()
            .map(|(name, output)| describe(name, output, is_raw))
            .collect(),
        raw_output_contents: chosen()
            .filter(|_| is_raw)
            .map(|(_, output)| raw(output).into())
            .collect(),
    };
    if message.encoded_len() > answer.limit {
        return Err(too_large());
    }
    Ok(message)
}

fn describe(name: &str, output: &Tensor, is_raw: bool) -> InferOutputTensor {
    InferOutputTensor {
        name: name.to_owned(),
        datatype: output.datatype().oip_name().to_owned(),
        // No dimension of something in memory is beyond i64.
        shape: output
            .shape()
            .iter()
            .map(|size| i64::try_from(*size).unwrap_or(i64::MAX))
            .collect(),
        parameters: std::collections::BTreeMap::new(),
        contents: (!is_raw).then(|| contents::write(output.data())),
    }
}

fn raw(output: &Tensor) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(binary::size(output.data()));
    binary::encode(&mut bytes, output.data());
    bytes
}
