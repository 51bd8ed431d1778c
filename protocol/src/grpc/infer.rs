//! Reads an infer request that came over gRPC.
//!
//! Pure. Called by the server with the decoded message. Order and texts of the checks are those of the JSON form.

use std::collections::BTreeMap;

use prost::bytes::Bytes;

use crate::error::Error;
use crate::grpc::infer_parameter::ParameterChoice;
use crate::grpc::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use crate::grpc::{InferParameter, ModelInferRequest, contents};
use crate::signature::Signature;
use crate::tensor::{DataType, Tensor};
use crate::v2::parameters::{Parameters, Value};
use crate::v2::request::{
    self, MAX_ID, MAX_INPUTS, MAX_NAME, MAX_RANK, Shape, bad_request, bad_tensor,
};
use crate::v2::{Infer, Requested, Target, binary};

/// The model and version that a message names; an empty version is none.
///
/// Errors: `unknown_version` for one that is no decimal number.
pub fn target(model: String, version: &str) -> Result<Target, Error> {
    if version.is_empty() {
        return Ok(Target {
            model,
            version: None,
        });
    }
    crate::v2::target(model, version)
}

/// Reads `request` for a model with `signature`. The outputs are requested as binary iff the inputs were raw.
///
/// The inputs are also held against the declared shapes ([`Signature::fits`]).
/// Errors are of kind `bad_request` (counts, names) and `bad_tensor` (values).
pub fn parse(request: ModelInferRequest, signature: &Signature) -> Result<Infer, Error> {
    let ModelInferRequest {
        model_name: _, // judged by [`target`]
        model_version: _,
        id,
        parameters: of_request,
        inputs,
        outputs,
        raw_input_contents,
    } = request;
    if id.len() > MAX_ID {
        return Err(request::not_an_id());
    }
    let Parameters { timeout_us, .. } = parameters(&of_request)?;
    let is_raw = !raw_input_contents.is_empty();
    let inputs = read_inputs(inputs, raw_input_contents, signature)?;
    let outputs = read_outputs(&outputs, signature, is_raw)?;
    signature.fits(&inputs)?;
    Ok(Infer {
        id: Some(id).filter(|id| !id.is_empty()),
        timeout_us,
        inputs,
        outputs,
    })
}

fn read_inputs(
    inputs: Vec<InferInputTensor>,
    raw: Vec<Bytes>,
    signature: &Signature,
) -> Result<Vec<Tensor>, Error> {
    if inputs.is_empty() {
        return Err(request::no_inputs());
    }
    if inputs.len() > MAX_INPUTS {
        return Err(request::too_many("inputs"));
    }
    let (expected, got) = (inputs.len(), raw.len());
    if got > 0 && got != expected {
        return Err(bad_request(format!(
            "Expected {expected} raw_input_contents, got {got}"
        )));
    }
    let mut raw = raw.into_iter();
    let mut found: Vec<(usize, Tensor)> = Vec::with_capacity(expected);
    for (number, input) in inputs.into_iter().enumerate() {
        check_name("Input", number, &input.name)?;
        if input.datatype.is_empty() {
            return Err(request::lacks("Input", number, "datatype"));
        }
        let taken = found.iter().map(|(index, _)| *index);
        let (index, spec) = request::input(signature, &input.name, taken)?;
        parameters(&input.parameters)?;
        let name = input.name.clone();
        let tensor = read_input(input, raw.next().as_deref(), spec.datatype)
            .map_err(|error| request::about_input(&name, error))?;
        found.push((index, tensor));
    }
    request::graph_order(signature, found)
}

fn read_input(
    input: InferInputTensor,
    raw: Option<&[u8]>,
    datatype: DataType,
) -> Result<Tensor, Error> {
    request::check_datatype(&input.datatype, datatype)?;
    let shape = Shape::new(dims(&input.shape)?, datatype)?;
    let data = match (input.contents, raw) {
        (Some(contents), Some(_)) if !contents::is_empty(&contents) => {
            let text = "both contents and raw_input_contents";
            return Err(bad_tensor(text.to_owned()));
        }
        (None, None) => {
            let text = "neither contents nor raw_input_contents";
            return Err(bad_tensor(text.to_owned()));
        }
        (Some(contents), None) => contents::read(contents, datatype, &shape)?,
        (_, Some(bytes)) => {
            shape.check_bytes("raw_input_contents of size", bytes.len(), datatype)?;
            binary::decode(bytes, datatype, &shape)?
        }
    };
    // Both ways have counted.
    Tensor::new(shape.dims, data).ok_or_else(request::not_a_shape)
}

fn dims(shape: &[i64]) -> Result<Vec<usize>, Error> {
    if shape.len() > MAX_RANK {
        return Err(request::not_a_shape());
    }
    let dim = |dim: &i64| usize::try_from(*dim).map_err(|_negative| request::not_a_shape());
    shape.iter().map(dim).collect()
}

fn read_outputs(
    outputs: &[InferRequestedOutputTensor],
    signature: &Signature,
    binary: bool,
) -> Result<Vec<Requested>, Error> {
    if outputs.len() > MAX_INPUTS {
        return Err(request::too_many("outputs"));
    }
    let mut found = Vec::with_capacity(outputs.len());
    for (number, wanted) in outputs.iter().enumerate() {
        check_name("Output", number, &wanted.name)?;
        let output = request::output(signature, &wanted.name, &found)?;
        parameters(&wanted.parameters)?;
        found.push(Requested { output, binary });
    }
    Ok(request::or_all(found, signature, binary))
}

fn check_name(what: &str, number: usize, name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(request::lacks(what, number, "name"));
    }
    if name.len() > MAX_NAME {
        return Err(request::not_a_name(what, number));
    }
    Ok(())
}

fn parameters(given: &BTreeMap<String, InferParameter>) -> Result<Parameters, Error> {
    let mut found = Parameters::default();
    Parameters::check_count(given.len())?;
    for (name, parameter) in given {
        Parameters::check_name(name)?;
        let value = match &parameter.parameter_choice {
            // As null in JSON.
            None => continue,
            Some(ParameterChoice::BoolParam(flag)) => Value::Flag(*flag),
            Some(ParameterChoice::Int64Param(integer)) => Value::Integer((*integer).into()),
            Some(ParameterChoice::Uint64Param(integer)) => Value::Integer((*integer).into()),
            Some(ParameterChoice::StringParam(text)) => Value::Text(text.len()),
            Some(ParameterChoice::DoubleParam(_)) => Value::Other,
        };
        found.set(name, &value)?;
    }
    Ok(found)
}
