//! Answers to predict requests, by rows and by columns.

use aimass_protocol::v1::{Form, write};
use aimass_protocol::{Data, DataType, Kind, Nonfinite, Signature, Tensor};

use crate::models::{half, iris, pair, single};

fn tensor(shape: &[usize], data: Data) -> Tensor {
    Tensor::new(shape.to_vec(), data).expect("the test's own shape")
}

fn strings(all: &[&[u8]]) -> Data {
    Data::Bytes(all.iter().collect())
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    tensor(shape, Data::Fp32(values.to_vec()))
}

#[track_caller]
fn check(form: Form, signature: &Signature, outputs: &[Tensor], expect: &str) {
    let body = write(form, signature, outputs, Nonfinite::Token, 1 << 20).expect(expect);
    assert_eq!(String::from_utf8_lossy(&body), expect);
}

#[track_caller]
fn rows(signature: &Signature, outputs: &[Tensor], expect: &str) {
    check(Form::Row, signature, outputs, expect);
}

#[track_caller]
fn columns(signature: &Signature, outputs: &[Tensor], expect: &str) {
    check(Form::Column, signature, outputs, expect);
}

#[test]
fn one_output_stands_alone() {
    let y = [floats(&[3, 1], &[2.5, 3.0, 4.5])];
    rows(&half(), &y, r#"{"predictions":[[2.5],[3.0],[4.5]]}"#);
    columns(&half(), &y, r#"{"outputs":[[2.5],[3.0],[4.5]]}"#);
    let y = [floats(&[3], &[2.5, 3.0, 4.5])];
    rows(&half(), &y, r#"{"predictions":[2.5,3.0,4.5]}"#);
    columns(&half(), &[floats(&[], &[2.5])], r#"{"outputs":2.5}"#);
}

#[test]
fn several_outputs_are_named_in_graph_order() {
    let outputs = [
        tensor(&[2], Data::Int64(vec![0, -1])),
        floats(&[2, 3], &[0.9, 0.1, 0.0, 0.2, 0.3, 0.5]),
    ];
    rows(
        &iris(),
        &outputs,
        r#"{"predictions":[{"label":0,"scores":[0.9,0.1,0.0]},{"label":-1,"scores":[0.2,0.3,0.5]}]}"#,
    );
    columns(
        &iris(),
        &outputs,
        r#"{"outputs":{"label":[0,-1],"scores":[[0.9,0.1,0.0],[0.2,0.3,0.5]]}}"#,
    );
}

#[test]
fn no_rows_are_an_empty_list() {
    rows(&half(), &[floats(&[0, 1], &[])], r#"{"predictions":[]}"#);
    columns(&half(), &[floats(&[0, 1], &[])], r#"{"outputs":[]}"#);
}

#[test]
fn dimensions_of_size_zero_are_empty_lists() {
    rows(
        &half(),
        &[floats(&[2, 0], &[])],
        r#"{"predictions":[[],[]]}"#,
    );
    columns(
        &half(),
        &[floats(&[2, 2, 0], &[])],
        r#"{"outputs":[[[],[]],[[],[]]]}"#,
    );
    columns(
        &half(),
        &[floats(&[2, 0, 3], &[])],
        r#"{"outputs":[[],[]]}"#,
    );
    rows(
        &half(),
        &[floats(&[1, 2, 0, 3], &[])],
        r#"{"predictions":[[[],[]]]}"#,
    );
}

#[test]
fn lists_nest_as_deep_as_the_shape() {
    let values: Vec<f32> = (0_u8..8).map(f32::from).collect();
    let cube = [floats(&[2, 2, 2], &values)];
    let expect = "[[[0.0,1.0],[2.0,3.0]],[[4.0,5.0],[6.0,7.0]]]";
    rows(&half(), &cube, &format!("{{\"predictions\":{expect}}}"));
    columns(&half(), &cube, &format!("{{\"outputs\":{expect}}}"));
}

#[test]
fn text_is_a_string_and_other_bytes_are_base64() {
    let outputs = [
        tensor(&[2], strings(&[b"ok", b"\xff\xfe"])),
        tensor(&[2], strings(&[b"\xff\xfe", b"ok"])),
    ];
    rows(
        &pair(),
        &outputs,
        r#"{"predictions":[{"t":"ok","raw_bytes":{"b64":"//4="}},{"t":{"b64":"//4="},"raw_bytes":{"b64":"b2s="}}]}"#,
    );
    columns(
        &pair(),
        &outputs,
        r#"{"outputs":{"t":["ok",{"b64":"//4="}],"raw_bytes":[{"b64":"//4="},{"b64":"b2s="}]}}"#,
    );
}

#[test]
fn every_type_has_its_form() {
    for (data, expect) in [
        (Data::Bool(vec![true, false]), "[true,false]"),
        (Data::Int8(vec![-128, 127]), "[-128,127]"),
        (Data::Int16(vec![-1, 1]), "[-1,1]"),
        (Data::Int32(vec![i32::MIN, 0]), "[-2147483648,0]"),
        (Data::Int64(vec![i64::MIN, 0]), "[-9223372036854775808,0]"),
        (Data::Uint8(vec![0, 255]), "[0,255]"),
        (Data::Uint16(vec![0, 65535]), "[0,65535]"),
        (Data::Uint32(vec![0, u32::MAX]), "[0,4294967295]"),
        (Data::Uint64(vec![0, u64::MAX]), "[0,18446744073709551615]"),
        (Data::Fp16(vec![0x3C00, 0x2E66]), "[1.0,0.099975586]"),
        (Data::Bf16(vec![0x3F80, 0x3DCD]), "[1.0,0.100097656]"),
        (Data::Fp32(vec![0.1, 9e6]), "[0.1,9e+06]"),
        (Data::Fp64(vec![0.1, 1e-5]), "[0.1,1e-05]"),
        (strings(&[b"a\"b", b""]), r#"["a\"b",""]"#),
    ] {
        let datatype = data.datatype();
        let outputs = [tensor(&[2], data)];
        rows(
            &single(datatype),
            &outputs,
            &format!("{{\"predictions\":{expect}}}"),
        );
        columns(
            &single(datatype),
            &outputs,
            &format!("{{\"outputs\":{expect}}}"),
        );
    }
}

#[test]
fn what_json_cannot_express_has_a_form_of_choice() {
    let y = [floats(&[3], &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY])];
    for (nonfinite, expect) in [
        (
            Nonfinite::Token,
            r#"{"predictions":[NaN,Infinity,-Infinity]}"#,
        ),
        (
            Nonfinite::String,
            r#"{"predictions":["NaN","Infinity","-Infinity"]}"#,
        ),
        (Nonfinite::Null, r#"{"predictions":[null,null,null]}"#),
    ] {
        let body = write(Form::Row, &half(), &y, nonfinite, 1000).unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), expect);
    }
}

#[track_caller]
fn refuses(form: Form, outputs: &[Tensor], limit: usize, kind: Kind, text: &str) {
    let error = write(form, &iris(), outputs, Nonfinite::Token, limit).expect_err(text);
    assert_eq!((error.kind, error.text.as_str()), (kind, text));
}

#[test]
fn rows_need_a_common_first_dimension() {
    let label = || tensor(&[2], Data::Int64(vec![0, 1]));
    let scalar = [label(), floats(&[], &[1.0])];
    let text = "Tensor name: scores has no shape information ";
    refuses(Form::Row, &scalar, 1000, Kind::BadTensor, text);
    let short = [label(), floats(&[1, 3], &[0.1, 0.2, 0.3])];
    let text = "Tensor name: scores has inconsistent batch size: 1 expecting: 2";
    refuses(Form::Row, &short, 1000, Kind::BadTensor, text);
    columns(
        &iris(),
        &short,
        r#"{"outputs":{"label":[0,1],"scores":[[0.1,0.2,0.3]]}}"#,
    );
}

#[test]
fn an_answer_beyond_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let y = [floats(&[3, 1], &[2.5, 3.0, 4.5])];
    for (form, expect) in [
        (Form::Row, r#"{"predictions":[[2.5],[3.0],[4.5]]}"#),
        (Form::Column, r#"{"outputs":[[2.5],[3.0],[4.5]]}"#),
    ] {
        let limit = expect.len();
        assert_eq!(
            write(form, &half(), &y, Nonfinite::Token, limit).unwrap(),
            expect.as_bytes()
        );
        let error = write(form, &half(), &y, Nonfinite::Token, limit - 1).unwrap_err();
        assert_eq!(error.kind, Kind::ResultTooLarge);
        assert_eq!(error.text, format!("Response exceeds {} bytes", limit - 1));
    }
    let many = [
        tensor(&[100_000, 0], Data::empty(DataType::Int64)),
        floats(&[100_000, 0], &[]),
    ];
    let text = "Response exceeds 1000 bytes";
    refuses(Form::Row, &many, 1000, Kind::ResultTooLarge, text);
    refuses(Form::Column, &many, 1000, Kind::ResultTooLarge, text);
}
