//! Requests that are refused: one row for each text.

use aimass_protocol::grpc::infer_parameter::ParameterChoice;
use aimass_protocol::grpc::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use aimass_protocol::grpc::{InferTensorContents, ModelInferRequest, parse, survey, target};
use aimass_protocol::{DataType, Kind, Signature};
use prost::Message as _;

use crate::models::{half, pair, single};
use crate::requests::{floats, input, parameter, request, with};

#[track_caller]
fn check(signature: &Signature, request: ModelInferRequest, kind: Kind, text: &str) {
    let error = parse(request, signature).expect_err(text);
    assert_eq!((error.kind, error.text.as_str()), (kind, text));
}

/// An input of a model with one input `x` of any rank.
#[track_caller]
fn tensor(datatype: DataType, input: InferInputTensor, raw: &[&'static [u8]], text: &str) {
    let text = format!("Input \"x\": {text}");
    check(
        &single(datatype),
        request(&[input], raw),
        Kind::BadTensor,
        &text,
    );
}

fn x() -> InferInputTensor {
    with(input("x", "FP32", &[1, 1]), floats(&[1.0]))
}

#[test]
fn the_requests_own_fields_come_first() {
    let id = "i".repeat(257);
    let text = "\"id\" must be a string of at most 256 bytes";
    let asked = ModelInferRequest {
        id,
        ..request(&[], &[])
    };
    check(&half(), asked, Kind::BadRequest, text);
    let text = "\"inputs\" must be a non-empty array";
    check(&half(), request(&[], &[]), Kind::BadRequest, text);
    let many = vec![x(); 257];
    let text = "\"inputs\" has more than 256 entries";
    check(&half(), request(&many, &[]), Kind::BadRequest, text);
}

#[test]
fn an_input_has_a_name_and_a_type() {
    let bad = |input, text: &str| check(&half(), request(&[input], &[]), Kind::BadRequest, text);
    bad(input("", "FP32", &[1]), "Input 0: missing \"name\"");
    bad(input("x", "", &[1]), "Input 0: missing \"datatype\"");
    let text = "Input 0: \"name\" must be a string of at most 1024 bytes";
    bad(input(&"n".repeat(1025), "FP32", &[1]), text);
}

#[test]
fn inputs_are_those_of_the_model() {
    let z = input("z", "FP32", &[1]);
    let text = "Unknown input \"z\"; the model has: x";
    check(&half(), request(&[z], &[]), Kind::BadRequest, text);
    let text = "Duplicate input \"x\"";
    check(&half(), request(&[x(), x()], &[]), Kind::BadRequest, text);
    let a = input("a", "INT32", &[1, 2]);
    let text = "Missing input \"s\"";
    check(&pair(), request(&[a], &[&[0; 8]]), Kind::BadRequest, text);
    let wide = with(input("x", "FP32", &[1, 2]), floats(&[1.0, 2.0]));
    let text = "Input \"x\" has shape [1,2], but the model declares [-1,1]";
    check(&half(), request(&[wide], &[]), Kind::BadTensor, text);
}

#[test]
fn a_type_is_the_declared_one() {
    let fp32 = DataType::Fp32;
    let text = "unknown datatype \"FLOAT\"";
    tensor(fp32, input("x", "FLOAT", &[1]), &[], text);
    let text = "datatype FP64, but the model declares FP32";
    tensor(fp32, input("x", "FP64", &[1]), &[], text);
}

#[test]
fn a_shape_is_a_short_list_of_sizes() {
    let text = "shape must be an array of at most 16 non-negative integers";
    tensor(DataType::Fp32, input("x", "FP32", &[-1]), &[], text);
    tensor(DataType::Fp32, input("x", "FP32", &[1; 17]), &[], text);
    let text = "shape [4294967296,4294967296] is too large";
    tensor(DataType::Fp32, input("x", "FP32", &[1 << 32; 2]), &[], text);
    let text = "shape [4611686018427387904] is too large";
    tensor(DataType::Fp32, input("x", "FP32", &[1 << 62]), &[], text);
}

#[test]
fn elements_come_in_one_way() {
    let fp32 = DataType::Fp32;
    let both = "both contents and raw_input_contents";
    tensor(fp32, x(), &[&[0; 4]], both);
    let neither = "neither contents nor raw_input_contents";
    tensor(fp32, input("x", "FP32", &[1]), &[], neither);
    let inputs = [input("a", "INT32", &[1, 2]), input("s", "BYTES", &[1])];
    let text = "Expected 2 raw_input_contents, got 1";
    check(
        &pair(),
        request(&inputs, &[&[0; 8]]),
        Kind::BadRequest,
        text,
    );
    let text = "Expected 1 raw_input_contents, got 2";
    check(
        &half(),
        request(&[x()], &[&[], &[]]),
        Kind::BadRequest,
        text,
    );
}

#[test]
fn typed_elements_stand_in_the_list_of_their_type_in_its_range() {
    let none = InferTensorContents::default;
    let x = |datatype: &str, contents| with(input("x", datatype, &[2]), contents);
    let ints = |values: &[i32]| InferTensorContents {
        int_contents: values.to_vec(),
        ..none()
    };
    let uints = |values: &[u32]| InferTensorContents {
        uint_contents: values.to_vec(),
        ..none()
    };
    let text = "expected fp32_contents, got int_contents";
    tensor(DataType::Fp32, x("FP32", ints(&[1, 2])), &[], text);
    let text = "expected int_contents, got uint_contents";
    tensor(DataType::Int8, x("INT8", uints(&[1, 2])), &[], text);
    let text = "shape [2] has 2 elements, but int_contents has 1";
    tensor(DataType::Int32, x("INT32", ints(&[1])), &[], text);
    let text = "shape [2] has 2 elements, but int_contents has 0";
    tensor(DataType::Int32, x("INT32", none()), &[], text);
    let text = "element 1: expected INT8, got 128";
    tensor(DataType::Int8, x("INT8", ints(&[1, 128])), &[], text);
    let text = "element 0: expected INT16, got -32769";
    tensor(DataType::Int16, x("INT16", ints(&[-32_769, 0])), &[], text);
    let text = "element 0: expected UINT8, got 256";
    tensor(DataType::Uint8, x("UINT8", uints(&[256, 0])), &[], text);
    let text = "element 0: expected UINT16, got 65536";
    tensor(
        DataType::Uint16,
        x("UINT16", uints(&[65_536, 0])),
        &[],
        text,
    );
    for (datatype, name) in [(DataType::Fp16, "FP16"), (DataType::Bf16, "BF16")] {
        let text = format!("{name} is sent in raw_input_contents");
        tensor(datatype, x(name, floats(&[1.0, 2.0])), &[], &text);
    }
}

#[test]
fn raw_elements_have_the_declared_size() {
    let text = "raw_input_contents of size 15, but shape [1,4] of FP32 needs 16";
    tensor(
        DataType::Fp32,
        input("x", "FP32", &[1, 4]),
        &[&[0; 15]],
        text,
    );
    let bytes = input("x", "BYTES", &[2]);
    let text = "element 1 runs past the end";
    tensor(
        DataType::Bytes,
        bytes.clone(),
        &[b"\x01\0\0\0a\x05\0\0\0b"],
        text,
    );
    let text = "binary data has 1 elements, but shape [2] needs 2";
    tensor(DataType::Bytes, bytes, &[b"\x01\0\0\0a"], text);
    let text = "element 1: expected 0 or 1";
    tensor(
        DataType::Bool,
        input("x", "BOOL", &[2]),
        &[b"\x01\x02"],
        text,
    );
}

#[test]
fn a_parameter_that_changes_the_meaning_is_refused() {
    let refused = |name: &str, choice: ParameterChoice, text: &str| {
        let mut of_request = request(&[x()], &[]);
        of_request
            .parameters
            .insert(name.to_owned(), parameter(choice.clone()));
        check(&half(), of_request, Kind::BadRequest, text);
        let mut input = x();
        input
            .parameters
            .insert(name.to_owned(), parameter(choice.clone()));
        check(&half(), request(&[input], &[]), Kind::BadRequest, text);
        let mut output = InferRequestedOutputTensor {
            name: "y".to_owned(),
            ..InferRequestedOutputTensor::default()
        };
        output.parameters.insert(name.to_owned(), parameter(choice));
        let of_output = ModelInferRequest {
            outputs: vec![output],
            ..request(&[x()], &[])
        };
        check(&half(), of_output, Kind::BadRequest, text);
    };
    let text = |text: &str| ParameterChoice::StringParam(text.to_owned());
    for (name, choice) in [
        ("classification", ParameterChoice::Int64Param(1)),
        ("sequence_id", ParameterChoice::Int64Param(7)),
        ("sequence_id", text("s")),
        ("sequence_start", ParameterChoice::BoolParam(true)),
        ("sequence_end", ParameterChoice::BoolParam(false)),
        ("shared_memory_region", text("r")),
    ] {
        refused(
            name,
            choice,
            &format!("Parameter \"{name}\" is not supported"),
        );
    }
    let no_integer = "Parameter \"timeout\" must be a non-negative integer";
    refused("timeout", ParameterChoice::Int64Param(-1), no_integer);
    refused("timeout", ParameterChoice::DoubleParam(1.0), no_integer);
    refused("timeout", text("1"), no_integer);
    refused(
        "p",
        text(&"v".repeat(1025)),
        "Parameter \"p\" has more than 1024 bytes",
    );
    let long = "The name of a parameter has more than 1024 bytes";
    refused(&"n".repeat(1025), ParameterChoice::BoolParam(true), long);
    let mut many = request(&[x()], &[]);
    for number in 0..65 {
        let flag = parameter(ParameterChoice::BoolParam(true));
        many.parameters.insert(format!("p{number}"), flag);
    }
    check(
        &half(),
        many,
        Kind::BadRequest,
        "\"parameters\" has more than 64 entries",
    );
}

#[test]
fn requested_outputs_are_those_of_the_model() {
    let outputs = |names: &[&str], text: &str| {
        let output = |name: &&str| InferRequestedOutputTensor {
            name: (*name).to_owned(),
            ..InferRequestedOutputTensor::default()
        };
        let outputs = names.iter().map(output).collect();
        let asked = ModelInferRequest {
            outputs,
            ..request(&[x()], &[])
        };
        check(&half(), asked, Kind::BadRequest, text);
    };
    outputs(&["q"], "Unknown output \"q\"; the model has: y");
    outputs(&["y", "y"], "Duplicate output \"y\"");
    outputs(&[""], "Output 0: missing \"name\"");
    let long = "n".repeat(1025);
    outputs(
        &[&long],
        "Output 0: \"name\" must be a string of at most 1024 bytes",
    );
    outputs(&["y"; 257], "\"outputs\" has more than 256 entries");
}

#[test]
fn a_version_is_decimal_or_absent() {
    assert_eq!(target("m".to_owned(), "").unwrap().version, None);
    assert_eq!(target("m".to_owned(), "7").unwrap().version, Some(7));
    for version in ["x", "-1", "1.0", "9223372036854775808"] {
        let error = target("m".to_owned(), version).unwrap_err();
        assert_eq!(error.kind, Kind::UnknownVersion);
        assert_eq!(error.text, format!("Model m has no version {version}"));
    }
}

#[track_caller]
fn surveyed(message: &[u8], text: &str) {
    assert_eq!(survey(message).expect_err(text).text, text);
}

#[test]
fn lists_are_counted_before_they_are_decoded() {
    // Two bytes on the wire that would be hundreds in memory.
    surveyed(
        &[0x2A, 0].repeat(257),
        "\"inputs\" has more than 256 entries",
    );
    surveyed(
        &[0x32, 0].repeat(257),
        "\"outputs\" has more than 256 entries",
    );
    surveyed(
        &[0x3A, 0].repeat(257),
        "\"raw_input_contents\" has more than 256 entries",
    );
    surveyed(
        &[0x22, 0].repeat(65),
        "\"parameters\" has more than 64 entries",
    );
    let inside = |field: u8, inner: Vec<u8>| {
        let mut message = ModelInferRequest::default().encode_to_vec();
        message.push(field);
        message.push(u8::try_from(inner.len()).unwrap_or(0x7F));
        message.extend(inner);
        message
    };
    let many = "\"parameters\" has more than 64 entries";
    let parameters = [0x22, 0].repeat(60);
    assert_eq!(survey(&inside(0x2A, parameters)), Ok(0));
    let asked = request(&[input("x", "FP32", &[1; 17])], &[]).encode_to_vec();
    assert!(survey(&asked).is_ok(), "short enough to be judged later");
    let dims = vec![i64::MAX; 30];
    let asked = request(&[input("x", "FP32", &dims)], &[]).encode_to_vec();
    let shape = "shape must be an array of at most 16 non-negative integers";
    surveyed(&asked, shape);
    let mut long = vec![0x2A, 0x82, 0x01];
    long.extend([0x22, 0].repeat(65));
    surveyed(&long, many);
    let mut long = vec![0x32, 0x82, 0x01];
    long.extend([0x12, 0].repeat(65));
    surveyed(&long, many);
}

#[test]
fn a_message_tells_what_it_takes_in_memory() {
    let memory = |contents: InferTensorContents| {
        let message = request(&[with(input("x", "FP32", &[1]), contents)], &[]);
        survey(&message.encode_to_vec()).unwrap()
    };
    let none = InferTensorContents::default;
    assert_eq!(memory(floats(&[1.0; 10])), 40);
    assert_eq!(
        memory(InferTensorContents {
            int64_contents: vec![1; 10],
            ..none()
        }),
        80
    );
    assert_eq!(
        memory(InferTensorContents {
            int_contents: vec![1; 10],
            ..none()
        }),
        40
    );
    let strings = vec![prost::bytes::Bytes::new(); 10];
    assert_eq!(
        memory(InferTensorContents {
            bytes_contents: strings,
            ..none()
        }),
        320
    );
    assert_eq!(survey(&request(&[x()], &[&[0; 40]]).encode_to_vec()), Ok(4));
}

#[test]
fn broken_messages_are_malformed() {
    let text = "Malformed message: a field runs past the end or is of an unknown kind";
    surveyed(b"\x2a", text);
    surveyed(b"\x2a\x05a", text);
    surveyed(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", text);
    surveyed(b"\x0b\x0c", text);
    surveyed(b"\x0d\0\0\0", text);
    surveyed(b"\x09\0\0\0\0\0\0\0", text);
}
