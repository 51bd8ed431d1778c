//! Infer requests of the Open Inference Protocol as messages of protocol buffers.
//!
//! Input: one byte that picks the model, then the message without its prefix.

use aimass_protocol::grpc::{self, Answer, ModelInferRequest};
use aimass_protocol::v2::Requested;
use aimass_protocol::{Signature, Tensor};

use crate::signatures::{assert_same, check_refusal, pick};

/// Refusals are in order; what is accepted is within what the survey found, and comes back as it was.
pub fn body(data: &[u8]) {
    let Some((signature, _, message)) = pick(data) else {
        return;
    };
    let surveyed = match grpc::survey(message) {
        Ok(bytes) => bytes,
        Err(error) => return check_refusal(&error),
    };
    let decoded = grpc::decode::<ModelInferRequest>(message.to_vec().into());
    let infer = match decoded.and_then(|message| grpc::parse(message, &signature)) {
        Ok(infer) => infer,
        Err(error) => return check_refusal(&error),
    };
    let held: usize = infer.inputs.iter().map(|input| input.data().len()).sum();
    assert!(
        held <= surveyed.saturating_add(message.len()),
        "{held} elements, {surveyed} bytes"
    );
    assert_same(&infer.inputs, &again(&signature, &infer.inputs));
}

/// Answers with `tensors`, and reads that answer as a request.
fn again(signature: &Signature, tensors: &[Tensor]) -> Vec<Tensor> {
    let answer = Answer {
        model: "m",
        version: 1,
        id: None,
        limit: 64 << 20,
    };
    let requested: Vec<Requested> = (0..tensors.len())
        .map(|output| Requested {
            output,
            binary: true,
        })
        .collect();
    let answer = grpc::answer(&answer, signature, &requested, tensors).unwrap();
    let input = |output: grpc::model_infer_response::InferOutputTensor| {
        grpc::model_infer_request::InferInputTensor {
            name: output.name,
            datatype: output.datatype,
            shape: output.shape,
            parameters: output.parameters,
            contents: None,
        }
    };
    let request = ModelInferRequest {
        inputs: answer.outputs.into_iter().map(input).collect(),
        raw_input_contents: answer.raw_output_contents,
        ..ModelInferRequest::default()
    };
    grpc::parse(request, signature).unwrap().inputs
}
