//! Requests that are understood.

use aimass_protocol::grpc::infer_parameter::ParameterChoice;
use aimass_protocol::grpc::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use aimass_protocol::grpc::{InferParameter, InferTensorContents, ModelInferRequest, parse};
use aimass_protocol::v2::{Infer, Requested};
use aimass_protocol::{Data, DataType, Signature, Tensor};

use crate::models::{half, iris, pair, single};

pub(crate) fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    }
}

pub(crate) fn with(input: InferInputTensor, contents: InferTensorContents) -> InferInputTensor {
    InferInputTensor {
        contents: Some(contents),
        ..input
    }
}

pub(crate) fn floats(values: &[f32]) -> InferTensorContents {
    InferTensorContents {
        fp32_contents: values.to_vec(),
        ..InferTensorContents::default()
    }
}

pub(crate) fn request(inputs: &[InferInputTensor], raw: &[&'static [u8]]) -> ModelInferRequest {
    ModelInferRequest {
        inputs: inputs.to_vec(),
        raw_input_contents: raw.iter().copied().map(Into::into).collect(),
        ..ModelInferRequest::default()
    }
}

pub(crate) fn parameter(choice: ParameterChoice) -> InferParameter {
    InferParameter {
        parameter_choice: Some(choice),
    }
}

fn tensor(shape: &[usize], data: Data) -> Tensor {
    Tensor::new(shape.to_vec(), data).unwrap()
}

#[track_caller]
fn understood(signature: &Signature, request: ModelInferRequest) -> Infer {
    parse(request, signature).unwrap()
}

#[test]
fn the_documented_request_is_understood() {
    let values = [6.8, 2.8, 4.8, 1.4, 6.0, 3.4, 4.5, 1.6];
    let mut asked = request(&[with(input("x", "FP32", &[2, 4]), floats(&values))], &[]);
    asked.id = "42".to_owned();
    let timeout = parameter(ParameterChoice::Int64Param(500_000));
    asked.parameters.insert("timeout".to_owned(), timeout);
    asked.outputs.push(InferRequestedOutputTensor {
        name: "scores".to_owned(),
        ..InferRequestedOutputTensor::default()
    });
    let infer = understood(&iris(), asked);
    assert_eq!(infer.inputs, [tensor(&[2, 4], Data::Fp32(values.to_vec()))]);
    assert_eq!(infer.id.as_deref(), Some("42"));
    assert_eq!(infer.timeout_us, Some(500_000));
    let output = |output, binary| Requested { output, binary };
    assert_eq!(infer.outputs, [output(1, false)]);
}

#[test]
fn raw_inputs_come_in_any_order_and_leave_in_graph_order() {
    let inputs = [input("s", "BYTES", &[1]), input("a", "INT32", &[1, 2])];
    let raw = [b"\x01\0\0\0u".as_slice(), b"\x01\0\0\0\xff\xff\xff\xff"];
    let infer = understood(&pair(), request(&inputs, &raw));
    let a = tensor(&[1, 2], Data::Int32(vec![1, -1]));
    let s = tensor(&[1], Data::Bytes(["u"].into_iter().collect()));
    assert_eq!(infer.inputs, [a, s]);
    assert!(infer.outputs.iter().all(|wanted| wanted.binary));
    assert_eq!((infer.id, infer.outputs.len()), (None, 2));
}

#[test]
fn every_type_has_its_list() {
    let none = InferTensorContents::default;
    for (datatype, contents, expect) in [
        (
            DataType::Bool,
            InferTensorContents {
                bool_contents: vec![true, false],
                ..none()
            },
            Data::Bool(vec![true, false]),
        ),
        (
            DataType::Int8,
            InferTensorContents {
                int_contents: vec![-128, 127],
                ..none()
            },
            Data::Int8(vec![-128, 127]),
        ),
        (
            DataType::Int16,
            InferTensorContents {
                int_contents: vec![-1, 1],
                ..none()
            },
            Data::Int16(vec![-1, 1]),
        ),
        (
            DataType::Int32,
            InferTensorContents {
                int_contents: vec![i32::MIN, 1],
                ..none()
            },
            Data::Int32(vec![i32::MIN, 1]),
        ),
        (
            DataType::Int64,
            InferTensorContents {
                int64_contents: vec![i64::MIN, 1],
                ..none()
            },
            Data::Int64(vec![i64::MIN, 1]),
        ),
        (
            DataType::Uint8,
            InferTensorContents {
                uint_contents: vec![0, 255],
                ..none()
            },
            Data::Uint8(vec![0, 255]),
        ),
        (
            DataType::Uint16,
            InferTensorContents {
                uint_contents: vec![0, 65_535],
                ..none()
            },
            Data::Uint16(vec![0, 65_535]),
        ),
        (
            DataType::Uint32,
            InferTensorContents {
                uint_contents: vec![0, u32::MAX],
                ..none()
            },
            Data::Uint32(vec![0, u32::MAX]),
        ),
        (
            DataType::Uint64,
            InferTensorContents {
                uint64_contents: vec![0, u64::MAX],
                ..none()
            },
            Data::Uint64(vec![0, u64::MAX]),
        ),
        (
            DataType::Fp32,
            InferTensorContents {
                fp32_contents: vec![0.5, f32::INFINITY],
                ..none()
            },
            Data::Fp32(vec![0.5, f32::INFINITY]),
        ),
        (
            DataType::Fp64,
            InferTensorContents {
                fp64_contents: vec![0.5, 1e300],
                ..none()
            },
            Data::Fp64(vec![0.5, 1e300]),
        ),
        (
            DataType::Bytes,
            InferTensorContents {
                bytes_contents: vec!["a".into(), b"\xff".as_slice().into()],
                ..none()
            },
            Data::Bytes([b"a".as_slice(), b"\xff"].into_iter().collect()),
        ),
    ] {
        let input = with(input("x", datatype.oip_name(), &[2]), contents);
        let infer = understood(&single(datatype), request(&[input], &[]));
        assert_eq!(infer.inputs, [tensor(&[2], expect)]);
    }
}

#[test]
fn sixteen_bit_floats_come_raw() {
    for (datatype, expect) in [
        (DataType::Fp16, Data::Fp16(vec![0x3C00, 0x4000])),
        (DataType::Bf16, Data::Bf16(vec![0x3C00, 0x4000])),
    ] {
        let input = input("x", datatype.oip_name(), &[2]);
        let infer = understood(&single(datatype), request(&[input], &[b"\0\x3c\0\x40"]));
        assert_eq!(infer.inputs, [tensor(&[2], expect)]);
    }
}

#[test]
fn what_is_empty_is_absent_and_what_nobody_knows_is_ignored() {
    let mut x = input("x", "FP32", &[]);
    x.parameters.insert(
        "content_type".to_owned(),
        parameter(ParameterChoice::StringParam("np".to_owned())),
    );
    x.contents = Some(InferTensorContents::default());
    let mut asked = request(&[x], &[&[0, 0, 0x80, 0x3F]]);
    let zero = parameter(ParameterChoice::Int64Param(0));
    asked.parameters.insert("sequence_id".to_owned(), zero);
    asked.parameters.insert(
        "priority".to_owned(),
        parameter(ParameterChoice::Uint64Param(1)),
    );
    asked
        .parameters
        .insert("x".to_owned(), parameter(ParameterChoice::DoubleParam(0.5)));
    asked
        .parameters
        .insert("timeout".to_owned(), InferParameter::default());
    let infer = understood(&single(DataType::Fp32), asked);
    assert_eq!(infer.inputs, [tensor(&[], Data::Fp32(vec![1.0]))]);
    assert_eq!((infer.id, infer.timeout_us), (None, None));
}

#[test]
fn no_elements_are_elements_too() {
    let asked = request(&[with(input("x", "FP32", &[0, 1]), floats(&[]))], &[]);
    assert_eq!(
        understood(&half(), asked).inputs,
        [tensor(&[0, 1], Data::Fp32(vec![]))]
    );
}
