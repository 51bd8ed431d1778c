//! Predict requests that are understood, and as what.

use aimass_protocol::v1::{Form, parse};
use aimass_protocol::{Checks, Data, DataType, Signature, Tensor};

use crate::models::{half, pair, single};

fn tensor(shape: &[usize], data: Data) -> Tensor {
    Tensor::new(shape.to_vec(), data).expect("the test's own shape")
}

fn strings(all: &[&[u8]]) -> Data {
    Data::Bytes(all.iter().collect())
}

#[track_caller]
fn check(signature: &Signature, body: &str, form: Form, expect: &[Tensor]) {
    for checks in [Checks::Lenient, Checks::Strict] {
        let predict = parse(body.as_bytes(), signature, checks).expect(body);
        assert_eq!((predict.form, predict.inputs.as_slice()), (form, expect));
    }
}

#[track_caller]
fn rows(signature: &Signature, body: &str, expect: &[Tensor]) {
    check(signature, body, Form::Row, expect);
}

#[track_caller]
fn columns(signature: &Signature, body: &str, expect: &[Tensor]) {
    check(signature, body, Form::Column, expect);
}

#[track_caller]
fn lenient(body: &[u8], expect: &Tensor) {
    let predict = parse(body, &half(), Checks::Lenient).expect("lenient checks accept it");
    assert_eq!(predict.inputs, std::slice::from_ref(expect));
    parse(body, &half(), Checks::Strict).expect_err("strict checks refuse it");
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    tensor(shape, Data::Fp32(values.to_vec()))
}

#[test]
fn rows_of_lists_get_the_number_of_rows_in_front() {
    let x = floats(&[3, 1], &[1.0, 2.0, 5.0]);
    rows(
        &half(),
        r#"{"instances":[[1.0],[2.0],[5.0]]}"#,
        std::slice::from_ref(&x),
    );
    let spaced = " {\n\"instances\" :\t[ [ 1.0 ] , [2.0 ],[ 5 ]\r]\n} ";
    rows(&half(), spaced, std::slice::from_ref(&x));
    rows(
        &half(),
        r#"{"signature_name":"serving_default","instances":[[1],[2],[5]]}"#,
        std::slice::from_ref(&x),
    );
    rows(
        &half(),
        r#"{"instances":[[1],[2],[5]],"signature_name":""}"#,
        &[x],
    );
}

#[test]
fn rows_of_scalars_become_a_vector() {
    rows(
        &half(),
        r#"{"instances":[1.0,2.0,5.0]}"#,
        &[floats(&[3], &[1.0, 2.0, 5.0])],
    );
}

#[test]
fn rows_of_objects_feed_each_input_by_name() {
    let a = tensor(&[2, 2], Data::Int32(vec![1, 2, 3, 4]));
    let s = tensor(&[2], strings(&[b"u", b"hi"]));
    let body = r#"{"instances":[{"a":[1,2],"s":"u"},{"a":[3,4],"s":{"b64":"aGk="}}]}"#;
    rows(&pair(), body, &[a.clone(), s.clone()]);
    let other_order = r#"{"instances":[{"s":"u","a":[1,2]},{"a":[3,4],"s":{ "b64" : "aGk" }}]}"#;
    rows(&pair(), other_order, &[a, s]);
    rows(
        &half(),
        r#"{"instances":[{"x":[1]},{"x":[2]}]}"#,
        &[floats(&[2, 1], &[1.0, 2.0])],
    );
}

#[test]
fn columns_are_whole_tensors() {
    let x = floats(&[2, 1], &[1.0, 2.0]);
    columns(
        &half(),
        r#"{"inputs":[[1.0],[2.0]]}"#,
        std::slice::from_ref(&x),
    );
    columns(&half(), r#"{"inputs":{"x":[[1.0],[2.0]]}}"#, &[x]);
    columns(&half(), r#"{"inputs":3.5}"#, &[floats(&[], &[3.5])]);
    let a = tensor(&[1, 2], Data::Int32(vec![1, 2]));
    let s = tensor(&[1], strings(&[b"u"]));
    let body = r#"{"inputs":{"other":{"deep":[1]},"s":["u"],"a":[[1,2]]}}"#;
    columns(&pair(), body, &[a, s]);
}

#[test]
fn an_input_has_two_names() {
    let spec = crate::models::spec("serving_default_x:0", DataType::Fp32, &[-1]);
    let signature = Signature::new(vec![spec], vec![]);
    let x = || floats(&[1], &[1.0]);
    rows(&signature, r#"{"instances":[{"x":1}]}"#, &[x()]);
    rows(
        &signature,
        r#"{"instances":[{"serving_default_x:0":1}]}"#,
        &[x()],
    );
    columns(
        &signature,
        r#"{"inputs":{"serving_default_x:0":[1]}}"#,
        &[x()],
    );
}

#[test]
fn empty_lists_are_dimensions_of_size_zero() {
    rows(&half(), r#"{"instances":[[],[]]}"#, &[floats(&[2, 0], &[])]);
    columns(&half(), r#"{"inputs":[]}"#, &[floats(&[0], &[])]);
    columns(
        &half(),
        r#"{"inputs":[[[]],[[ ]]]}"#,
        &[floats(&[2, 1, 0], &[])],
    );
}

#[test]
fn sixteen_dimensions_are_allowed() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let shape = [1; 16];
    columns(
        &half(),
        &format!("{{\"inputs\":{}}}", nested(16)),
        &[floats(&shape, &[1.0])],
    );
    rows(
        &half(),
        &format!("{{\"instances\":{}}}", nested(16)),
        &[floats(&shape, &[1.0])],
    );
}

#[test]
fn every_type_takes_its_values() {
    let list = |data: Data| [tensor(&[2], data)];
    for (datatype, body, data) in [
        (
            DataType::Bool,
            "[true,false]",
            Data::Bool(vec![true, false]),
        ),
        (DataType::Int8, "[-128,127]", Data::Int8(vec![-128, 127])),
        (
            DataType::Int16,
            "[-32768,32767]",
            Data::Int16(vec![i16::MIN, i16::MAX]),
        ),
        (
            DataType::Int32,
            "[-2147483648,0]",
            Data::Int32(vec![i32::MIN, 0]),
        ),
        (
            DataType::Int64,
            "[-9223372036854775808,9223372036854775807]",
            Data::Int64(vec![i64::MIN, i64::MAX]),
        ),
        (DataType::Uint8, "[0,255]", Data::Uint8(vec![0, 255])),
        (
            DataType::Uint16,
            "[0,65535]",
            Data::Uint16(vec![0, u16::MAX]),
        ),
        (
            DataType::Uint32,
            "[0,4294967295]",
            Data::Uint32(vec![0, u32::MAX]),
        ),
        (
            DataType::Uint64,
            "[0,18446744073709551615]",
            Data::Uint64(vec![0, u64::MAX]),
        ),
        (DataType::Fp16, "[1,-0.5]", Data::Fp16(vec![0x3C00, 0xB800])),
        (DataType::Bf16, "[1,-0.5]", Data::Bf16(vec![0x3F80, 0xBF00])),
        (
            DataType::Fp32,
            "[0.1,1e39]",
            Data::Fp32(vec![0.1, f32::INFINITY]),
        ),
        (DataType::Fp64, "[0.1,-1e-400]", Data::Fp64(vec![0.1, -0.0])),
        (
            DataType::Bytes,
            r#"["\u0000ü",""]"#,
            strings(&["\0ü".as_bytes(), b""]),
        ),
    ] {
        rows(
            &single(datatype),
            &format!("{{\"instances\":{body}}}"),
            &list(data.clone()),
        );
        columns(
            &single(datatype),
            &format!("{{\"inputs\":{body}}}"),
            &list(data),
        );
    }
}

#[test]
fn base64_comes_with_or_without_padding_and_white_space() {
    let bytes = single(DataType::Bytes);
    for encoded in ["//4=", "//4", "/ /\\n4 =\\t"] {
        let body = format!("{{\"instances\":[{{\"b64\":\"{encoded}\"}}]}}");
        rows(&bytes, &body, &[tensor(&[1], strings(&[b"\xff\xfe"]))]);
        let body = format!("{{\"inputs\":{{\"b64\":\"{encoded}\"}}}}");
        columns(&bytes, &body, &[tensor(&[], strings(&[b"\xff\xfe"]))]);
    }
}

#[test]
fn an_object_that_is_not_base64_is_a_row() {
    let input = crate::models::spec("b64", DataType::Fp32, &[-1]);
    let signature = Signature::new(vec![input], vec![]);
    rows(
        &signature,
        r#"{"instances":[{"b64":1},{"b64":2}]}"#,
        &[floats(&[2], &[1.0, 2.0])],
    );
}

#[test]
fn lenient_checks_pass_over_what_strict_ones_refuse() {
    let one = floats(&[1], &[1.0]);
    lenient(br#"{"instances":[1]} trailing"#, &one);
    lenient(b"\xef\xbb\xbf{\"instances\":[1]}", &one);
    lenient(br#"{"instances":[1],"instances":"second"}"#, &one);
    lenient(br#"{"other":[{}],"instances":[1]}"#, &one);
    lenient(
        br#"{"instances":[Infinity]}"#,
        &floats(&[1], &[f32::INFINITY]),
    );
    lenient(
        br#"{"instances":[-Inf]}"#,
        &floats(&[1], &[f32::NEG_INFINITY]),
    );
    lenient(br#"{"inputs":{"x":1,"x":2}}"#, &floats(&[], &[1.0]));
}

#[test]
fn half_a_million_lists_under_an_unknown_key_cost_linear_time() {
    let depth = 500_000;
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    let body = format!("{{\"other\":{open}{close},\"instances\":[1]}}");
    lenient(body.as_bytes(), &floats(&[1], &[1.0]));
}
