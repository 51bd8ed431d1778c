//! Infer requests that are understood, and the answers to them.

use aimass_protocol::v2::{Answer, Infer, Requested, parse, write};
use aimass_protocol::{Checks, Data, DataType, Kind, Nonfinite, Signature, Tensor};

use crate::models::{half, iris, pair, single};

fn tensor(shape: &[usize], data: Data) -> Tensor {
    Tensor::new(shape.to_vec(), data).expect("the test's own shape")
}

fn strings(all: &[&[u8]]) -> Data {
    Data::Bytes(all.iter().collect())
}

#[track_caller]
fn understood(signature: &Signature, body: &str) -> Infer {
    let lenient = parse(body.as_bytes(), None, signature, Checks::Lenient).expect(body);
    let strict = parse(body.as_bytes(), None, signature, Checks::Strict).expect(body);
    assert_eq!(lenient, strict);
    strict
}

#[track_caller]
fn inputs(signature: &Signature, body: &str, expect: &[Tensor]) {
    assert_eq!(understood(signature, body).inputs, expect);
}

fn wanted(output: usize, binary: bool) -> Requested {
    Requested { output, binary }
}

#[test]
fn the_documented_request_is_understood() {
    let body = r#"{"id":"42","inputs":[{"name":"x","shape":[2,4],"datatype":"FP32","data":[6.8,2.8,4.8,1.4,6.0,3.4,4.5,1.6]}],"outputs":[{"name":"scores"}],"parameters":{"timeout":500000}}"#;
    let infer = understood(&iris(), body);
    let values = vec![6.8, 2.8, 4.8, 1.4, 6.0, 3.4, 4.5, 1.6];
    assert_eq!(infer.inputs, [tensor(&[2, 4], Data::Fp32(values))]);
    assert_eq!(infer.id.as_deref(), Some("42"));
    assert_eq!(infer.timeout_us, Some(500_000));
    assert_eq!(infer.outputs, [wanted(1, false)]);
}

#[test]
fn members_come_in_any_order_and_optional_ones_may_be_null() {
    let body = r#"{"outputs":null,"model_name":"other","parameters":null,"inputs":[{"data":[[1],[2]],"parameters":{},"datatype":"FP32","shape":[2,1],"name":"x","unknown":[{}]}],"id":null}"#;
    let infer = understood(&half(), body);
    assert_eq!(infer.inputs, [tensor(&[2, 1], Data::Fp32(vec![1.0, 2.0]))]);
    assert_eq!((infer.id, infer.timeout_us), (None, None));
    assert_eq!(infer.outputs, [wanted(0, false)]);
}

#[test]
fn inputs_come_in_any_order_and_leave_in_graph_order() {
    let body = r#"{"inputs":[{"name":"s","shape":[1],"datatype":"BYTES","data":["ü"]},{"name":"a","shape":[1,2],"datatype":"INT32","data":[1,2]}]}"#;
    let a = tensor(&[1, 2], Data::Int32(vec![1, 2]));
    inputs(
        &pair(),
        body,
        &[a, tensor(&[1], strings(&["ü".as_bytes()]))],
    );
}

#[test]
fn every_type_takes_its_values() {
    for (datatype, data, expect) in [
        (
            DataType::Bool,
            "[true,0,1]",
            Data::Bool(vec![true, false, true]),
        ),
        (
            DataType::Int8,
            "[-128,0,127]",
            Data::Int8(vec![-128, 0, 127]),
        ),
        (DataType::Int16, "[-1,0,1]", Data::Int16(vec![-1, 0, 1])),
        (DataType::Int32, "[-1,0,1]", Data::Int32(vec![-1, 0, 1])),
        (DataType::Int64, "[-1,0,1]", Data::Int64(vec![-1, 0, 1])),
        (DataType::Uint8, "[0,1,255]", Data::Uint8(vec![0, 1, 255])),
        (DataType::Uint16, "[0,1,2]", Data::Uint16(vec![0, 1, 2])),
        (DataType::Uint32, "[0,1,2]", Data::Uint32(vec![0, 1, 2])),
        (
            DataType::Uint64,
            "[0,1,18446744073709551615]",
            Data::Uint64(vec![0, 1, u64::MAX]),
        ),
        (
            DataType::Fp16,
            r#"[1,"Infinity",-0.0]"#,
            Data::Fp16(vec![0x3C00, 0x7C00, 0x8000]),
        ),
        (
            DataType::Bf16,
            r#"[1,"-Infinity",0]"#,
            Data::Bf16(vec![0x3F80, 0xFF80, 0]),
        ),
        (
            DataType::Fp32,
            r#"["-Infinity",0.1,1e39]"#,
            Data::Fp32(vec![f32::NEG_INFINITY, 0.1, f32::INFINITY]),
        ),
        (
            DataType::Fp64,
            "[0.1,1e300,-5]",
            Data::Fp64(vec![0.1, 1e300, -5.0]),
        ),
        (
            DataType::Bytes,
            r#"["a","","\n"]"#,
            strings(&[b"a", b"", b"\n"]),
        ),
    ] {
        let name = datatype.oip_name();
        let body = format!(
            r#"{{"inputs":[{{"name":"x","shape":[3],"datatype":"{name}","data":{data}}}]}}"#
        );
        inputs(&single(datatype), &body, &[tensor(&[3], expect)]);
    }
}

#[test]
fn data_is_flat_or_nested_exactly_as_the_shape() {
    let given = |shape: &str, data: &str| {
        format!(r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"INT64","data":{data}}}]}}"#)
    };
    let model = single(DataType::Int64);
    let square = [tensor(&[2, 2], Data::Int64(vec![1, 2, 3, 4]))];
    inputs(&model, &given("[2,2]", "[1,2,3,4]"), &square);
    inputs(&model, &given("[2,2]", "[[1,2],[3,4]]"), &square);
    inputs(
        &model,
        &given("[]", "[7]"),
        &[tensor(&[], Data::Int64(vec![7]))],
    );
    let none = || Data::Int64(vec![]);
    inputs(&model, &given("[0]", "[]"), &[tensor(&[0], none())]);
    inputs(
        &model,
        &given("[2,0]", "[[],[]]"),
        &[tensor(&[2, 0], none())],
    );
    inputs(&model, &given("[2,0]", "[]"), &[tensor(&[2, 0], none())]);
    inputs(
        &model,
        &given("[4294967296,0]", "[]"),
        &[tensor(&[1 << 32, 0], none())],
    );
}

#[test]
fn binary_data_can_be_asked_for_as_a_whole_or_by_output() {
    let body = |parameters: &str, outputs: &str| {
        format!(
            r#"{{"parameters":{parameters},"outputs":{outputs},"inputs":[{{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}}]}}"#
        )
    };
    let all = understood(&iris(), &body(r#"{"binary_data_output":true}"#, "[]"));
    assert_eq!(all.outputs, [wanted(0, true), wanted(1, true)]);
    let outputs = r#"[{"name":"scores","parameters":{"binary_data":false}},{"name":"label"}]"#;
    let mixed = understood(&iris(), &body(r#"{"binary_data_output":true}"#, outputs));
    assert_eq!(mixed.outputs, [wanted(1, false), wanted(0, true)]);
    let outputs = r#"[{"name":"label","parameters":{"binary_data":true,"other":"x"}}]"#;
    let one = understood(&iris(), &body(r#"{"sequence_id":0,"priority":5}"#, outputs));
    assert_eq!(one.outputs, [wanted(0, true)]);
}

#[test]
fn binary_inputs_follow_the_json() {
    let json = r#"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}],"outputs":[{"name":"label","parameters":{"binary_data":true}}]}"#;
    // As long as the documentation says.
    assert_eq!(json.len(), 157);
    let mut body = json.as_bytes().to_vec();
    for value in [6.8_f32, 2.8, 4.8, f32::NAN] {
        body.extend_from_slice(&value.to_le_bytes());
    }
    let infer = parse(&body, Some("157"), &iris(), Checks::Lenient).unwrap();
    let Data::Fp32(values) = infer.inputs[0].data() else {
        panic!("floats")
    };
    assert_eq!(values[..3], [6.8, 2.8, 4.8]);
    assert!(values[3].is_nan());
    assert_eq!(infer.outputs, [wanted(0, true)]);
}

#[test]
fn binary_strings_and_json_inputs_can_be_mixed() {
    let json = r#"{"inputs":[{"name":"s","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}},{"name":"a","shape":[2,2],"datatype":"INT32","data":[1,2,3,4]}]}"#;
    let mut body = json.as_bytes().to_vec();
    body.extend_from_slice(b"\x03\0\0\0a\xffb\0\0\0\0");
    let infer = parse(
        &body,
        Some(&json.len().to_string()),
        &pair(),
        Checks::Strict,
    )
    .unwrap();
    assert_eq!(infer.inputs[1], tensor(&[2], strings(&[b"a\xffb", b""])));
}

fn answer(id: Option<&str>) -> Answer<'_> {
    Answer {
        model: "iris",
        version: 7,
        id,
        nonfinite: Nonfinite::String,
        limit: 1000,
    }
}

fn iris_outputs() -> [Tensor; 2] {
    let scores = vec![0.0, 0.1, 0.9, 0.0, 0.2, 0.8];
    [
        tensor(&[2], Data::Int64(vec![2, 2])),
        tensor(&[2, 3], Data::Fp32(scores)),
    ]
}

#[test]
fn the_documented_answer_is_written() {
    let response = write(
        &answer(Some("42")),
        &iris(),
        &[wanted(1, false)],
        &iris_outputs(),
    )
    .unwrap();
    let expect = r#"{"model_name":"iris","model_version":"7","id":"42","outputs":[{"name":"scores","datatype":"FP32","shape":[2,3],"data":[0.0,0.1,0.9,0.0,0.2,0.8]}]}"#;
    assert_eq!(String::from_utf8(response.body).unwrap(), expect);
    assert_eq!(response.header_length, None);
}

#[test]
fn outputs_are_written_in_the_order_of_the_request() {
    let requested = [wanted(1, true), wanted(0, false)];
    let response = write(&answer(None), &iris(), &requested, &iris_outputs()).unwrap();
    let json = r#"{"model_name":"iris","model_version":"7","outputs":[{"name":"scores","datatype":"FP32","shape":[2,3],"parameters":{"binary_data_size":24}},{"name":"label","datatype":"INT64","shape":[2],"data":[2,2]}]}"#;
    assert_eq!(response.header_length, Some(json.len()));
    let (head, tail) = response.body.split_at(json.len());
    assert_eq!(String::from_utf8_lossy(head), json);
    assert_eq!(tail.len(), 24);
    assert_eq!(&tail[4..8], 0.1_f32.to_le_bytes());
}

#[test]
fn a_binary_answer_is_as_long_as_documented() {
    let label = [
        tensor(&[1], Data::Int64(vec![2])),
        tensor(&[1, 0], Data::Fp32(vec![])),
    ];
    let response = write(&answer(None), &iris(), &[wanted(0, true)], &label).unwrap();
    assert_eq!(response.header_length, Some(137));
    assert_eq!(response.body.len(), 145);
}

#[test]
fn bytes_that_are_not_text_leave_in_binary_only() {
    let outputs = [
        tensor(&[2], strings(&[b"ok", b"\xff"])),
        tensor(&[1], strings(&[b""])),
    ];
    let error = write(&answer(None), &pair(), &[wanted(0, false)], &outputs).unwrap_err();
    assert_eq!(error.kind, Kind::BadTensor);
    assert_eq!(
        error.text,
        "Output \"t\": element 1 is not UTF-8; request it with binary_data"
    );
    let response = write(&answer(None), &pair(), &[wanted(0, true)], &outputs).unwrap();
    assert!(response.body.ends_with(b"\x02\0\0\0ok\x01\0\0\0\xff"));
}

#[test]
fn an_answer_beyond_the_limit_is_refused() {
    for binary in [false, true] {
        let requested = [wanted(0, binary), wanted(1, binary)];
        let full = write(&answer(None), &iris(), &requested, &iris_outputs()).unwrap();
        let limit = full.body.len();
        let exact = Answer {
            limit,
            ..answer(None)
        };
        assert!(write(&exact, &iris(), &requested, &iris_outputs()).is_ok());
        let less = Answer {
            limit: limit - 1,
            ..answer(None)
        };
        let error = write(&less, &iris(), &requested, &iris_outputs()).unwrap_err();
        assert_eq!(error.kind, Kind::ResultTooLarge);
        let none = Answer {
            limit: 3,
            ..answer(None)
        };
        assert!(write(&none, &iris(), &requested, &iris_outputs()).is_err());
    }
}
