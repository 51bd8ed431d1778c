//! What answers say.

use aimass_protocol::grpc::{
    Answer, InferTensorContents, answer, model_metadata, server_metadata, status_message,
};
use aimass_protocol::v2::Requested;
use aimass_protocol::{Data, DataType, Kind, Signature, Tensor};
use prost::Message as _;

use crate::models::{iris, pair, single};

const ANSWER: Answer<'_> = Answer {
    model: "m",
    version: 7,
    id: Some("42"),
    limit: 1 << 20,
};

fn tensor(shape: &[usize], data: Data) -> Tensor {
    Tensor::new(shape.to_vec(), data).unwrap()
}

fn wanted(output: usize, binary: bool) -> Requested {
    Requested { output, binary }
}

fn outputs() -> [Tensor; 2] {
    [
        tensor(&[2], Data::Int64(vec![2, 1])),
        tensor(&[2, 3], Data::Fp32(vec![0.0, 0.1, 0.9, 0.0, 0.2, 0.8])),
    ]
}

#[test]
fn typed_requests_get_typed_answers_in_the_order_asked_for() {
    let message = answer(
        &ANSWER,
        &iris(),
        &[wanted(1, false), wanted(0, false)],
        &outputs(),
    )
    .unwrap();
    assert_eq!(
        (
            message.model_name.as_str(),
            message.model_version.as_str(),
            message.id.as_str()
        ),
        ("m", "7", "42")
    );
    assert!(message.raw_output_contents.is_empty());
    let [scores, label] = message.outputs.as_slice() else {
        panic!("two outputs")
    };
    assert_eq!(
        (
            scores.name.as_str(),
            scores.datatype.as_str(),
            scores.shape.as_slice()
        ),
        ("scores", "FP32", [2, 3].as_slice())
    );
    let contents = InferTensorContents {
        int64_contents: vec![2, 1],
        ..InferTensorContents::default()
    };
    assert_eq!(label.contents, Some(contents));
}

#[test]
fn raw_requests_get_raw_answers() {
    let message = answer(&ANSWER, &iris(), &[wanted(0, true)], &outputs()).unwrap();
    let [label] = message.outputs.as_slice() else {
        panic!("one output")
    };
    assert_eq!(label.contents, None);
    assert_eq!(
        message.raw_output_contents,
        [b"\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0".as_slice()]
    );
}

#[test]
fn sixteen_bit_outputs_make_the_whole_answer_raw() {
    for data in [Data::Fp16(vec![0x3C00]), Data::Bf16(vec![0x3C00])] {
        let signature = single(data.datatype());
        let message = answer(
            &ANSWER,
            &signature,
            &[wanted(0, false)],
            &[tensor(&[1], data)],
        )
        .unwrap();
        assert_eq!(message.raw_output_contents, [b"\0\x3c".as_slice()]);
    }
}

#[test]
fn an_answer_beyond_the_limit_is_refused() {
    let large = |signature: &Signature, requested: &[Requested], outputs: &[Tensor], limit| {
        let error = answer(&Answer { limit, ..ANSWER }, signature, requested, outputs).unwrap_err();
        let text = format!("Response exceeds {limit} bytes");
        assert_eq!((error.kind, error.text), (Kind::ResultTooLarge, text));
    };
    for binary in [false, true] {
        large(&iris(), &[wanted(1, binary)], &outputs(), 23);
        // The elements alone would fit.
        large(&iris(), &[wanted(1, binary)], &outputs(), 30);
        let strings = Data::Bytes(["a"; 100].into_iter().collect());
        large(
            &pair(),
            &[wanted(0, binary)],
            &[tensor(&[100], strings.clone()), tensor(&[100], strings)],
            250,
        );
    }
    let message = answer(&ANSWER, &iris(), &[wanted(1, false)], &outputs()).unwrap();
    let limit = message.encoded_len();
    assert!(
        answer(
            &Answer { limit, ..ANSWER },
            &iris(),
            &[wanted(1, false)],
            &outputs()
        )
        .is_ok()
    );
    large(&iris(), &[wanted(1, false)], &outputs(), limit - 1);
}

#[test]
fn metadata_says_what_rest_says() {
    let server = server_metadata("0.1.0");
    assert_eq!(
        (server.name.as_str(), server.version.as_str()),
        ("aimass", "0.1.0")
    );
    assert_eq!(server.extensions, ["binary_tensor_data"]);
    let model = model_metadata("iris", 7, &iris());
    assert_eq!(
        (model.name.as_str(), model.platform.as_str()),
        ("iris", "onnx_onnxv1")
    );
    assert_eq!(model.versions, ["7"]);
    let shapes: Vec<_> = model
        .inputs
        .iter()
        .chain(&model.outputs)
        .map(|tensor| {
            (
                tensor.name.as_str(),
                tensor.datatype.as_str(),
                tensor.shape.as_slice(),
            )
        })
        .collect();
    assert_eq!(
        shapes,
        [
            ("x", "FP32", [-1, 4].as_slice()),
            ("label", "INT64", &[-1]),
            ("scores", "FP32", &[-1, 3])
        ]
    );
    let unknown = model_metadata("m", 1, &single(DataType::Bytes));
    assert!(unknown.inputs.iter().all(|tensor| tensor.shape.is_empty()));
}

#[test]
fn a_status_message_fits_into_the_trailers_that_clients_take() {
    let names = "a long name, ".repeat(1000);
    assert_eq!(status_message(&names).len(), 2048);
    let names = format!("a{}", "ü".repeat(2000));
    assert_eq!(status_message(&names).len(), 1 + 1023 * 6);
}
