//! Infer requests that are refused: one row for each text.

use aimass_protocol::v2::parse;
use aimass_protocol::{Checks, DataType, Kind, Signature};

use crate::models::{half, pair, single};

#[track_caller]
fn check(signature: &Signature, body: &str, kind: Kind, text: &str) {
    for checks in [Checks::Lenient, Checks::Strict] {
        let error = parse(body.as_bytes(), None, signature, checks).expect_err(text);
        assert_eq!((error.kind, error.text.as_str()), (kind, text));
    }
}

#[track_caller]
fn request(body: &str, text: &str) {
    check(&pair(), body, Kind::BadRequest, text);
}

/// An input `x` of a model whose only input has this type and any rank.
#[track_caller]
fn input(datatype: DataType, members: &str, kind: Kind, text: &str) {
    let body = format!("{{\"inputs\":[{{\"name\":\"x\",{members}}}]}}");
    check(
        &single(datatype),
        &body,
        kind,
        &format!("Input \"x\": {text}"),
    );
}

#[track_caller]
fn tensor(members: &str, text: &str) {
    input(DataType::Fp32, members, Kind::BadTensor, text);
}

#[test]
fn json_is_read_as_in_v1_but_never_with_a_mark_trailing_bytes_or_duplicates() {
    let json = Kind::BadJson;
    check(&half(), "", json, "JSON Parse error: The document is empty");
    check(
        &half(),
        "{oops",
        json,
        "JSON Parse error: Missing a name for object member. at offset: 1",
    );
    check(
        &half(),
        "\u{feff}{}",
        json,
        "JSON Parse error: Invalid value. at offset: 0",
    );
    let text =
        "JSON Parse error: The document root must not be followed by other values. at offset: 3";
    check(&half(), "{} x", json, text);
    request("[]", "JSON Value: [] Is not object");
    request(r#"{"id":"1","id":"2"}"#, "Duplicate key: id");
    request(
        r#"{"inputs":[{"name":"a","name":"a"}]}"#,
        "Duplicate key: name",
    );
    let text = "JSON Parse error: Missing a name for object member. at offset: 19";
    check(&half(), r#"{"inputs":5,"id":7,a"#, json, text);
    let text = "JSON Parse error: Invalid value. at offset: 23";
    check(&half(), r#"{"inputs":[{"data":[nul]}]}"#, json, text);
}

#[test]
fn the_requests_own_members_come_first() {
    let text = "\"id\" must be a string of at most 256 bytes";
    request(r#"{"id":5,"inputs":[]}"#, text);
    request(&format!(r#"{{"id":"{}"}}"#, "i".repeat(257)), text);
    request("{}", "Missing \"inputs\"");
    request(r#"{"inputs":null}"#, "Missing \"inputs\"");
    request(r#"{"inputs":[]}"#, "\"inputs\" must be a non-empty array");
    request(r#"{"inputs":{}}"#, "\"inputs\" must be a non-empty array");
}

#[test]
fn an_input_has_a_name_a_shape_and_a_type() {
    request(r#"{"inputs":[5]}"#, "Input 0: must be an object");
    request(r#"{"inputs":[{"shape":[1]}]}"#, "Input 0: missing \"name\"");
    request(r#"{"inputs":[{"name":"a"}]}"#, "Input 0: missing \"shape\"");
    request(
        r#"{"inputs":[{"name":"a","shape":[1]}]}"#,
        "Input 0: missing \"datatype\"",
    );
    let text = "Input 0: \"name\" must be a string of at most 1024 bytes";
    request(
        r#"{"inputs":[{"name":1,"shape":[1],"datatype":"FP32"}]}"#,
        text,
    );
}

#[test]
fn inputs_are_those_of_the_model() {
    let a = r#"{"name":"a","shape":[1,2],"datatype":"INT32","data":[1,2]}"#;
    let s = r#"{"name":"s","shape":[1],"datatype":"BYTES","data":[""]}"#;
    let z = r#"{"name":"z","shape":[1],"datatype":"FP32","data":[1]}"#;
    let given = |inputs: &[&str]| format!("{{\"inputs\":[{}]}}", inputs.join(","));
    request(&given(&[a, z]), "Unknown input \"z\"; the model has: a, s");
    request(&given(&[a, a]), "Duplicate input \"a\"");
    request(&given(&[a]), "Missing input \"s\"");
    let wrong = r#"{"name":"a","shape":[1,3],"datatype":"INT32","data":[1,2,3]}"#;
    let text = "Input \"a\" has shape [1,3], but the model declares [-1,2]";
    check(&pair(), &given(&[wrong, s]), Kind::BadTensor, text);
    let two = r#"{"name":"s","shape":[2],"datatype":"BYTES","data":["",""]}"#;
    let text = "Input \"s\" has shape [2], but the model declares [-1]";
    check(&pair(), &given(&[a, two]), Kind::BadTensor, text);
}

#[test]
fn a_type_is_the_declared_one() {
    tensor(
        r#""shape":[1],"datatype":"FLOAT","data":[1]"#,
        "unknown datatype \"FLOAT\"",
    );
    tensor(
        r#""shape":[1],"datatype":7,"data":[1]"#,
        "unknown datatype \"\"",
    );
    let text = "datatype FP64, but the model declares FP32";
    tensor(r#""shape":[1],"datatype":"FP64","data":[1]"#, text);
}

#[test]
fn a_shape_is_a_short_list_of_sizes() {
    let text = "shape must be an array of at most 16 non-negative integers";
    for shape in [
        "5",
        "[-1]",
        "[1.0]",
        "[1e0]",
        "[\"1\"]",
        "[[1]]",
        "[18446744073709551616]",
        "{}",
    ] {
        tensor(
            &format!(r#""shape":{shape},"datatype":"FP32","data":[1]"#),
            text,
        );
    }
    let long = vec!["1"; 17].join(",");
    tensor(
        &format!(r#""shape":[{long}],"datatype":"FP32","data":[1]"#),
        text,
    );
    let text = "shape [4294967296,4294967296] is too large";
    tensor(
        r#""shape":[4294967296,4294967296],"datatype":"FP32","data":[1]"#,
        text,
    );
    let text = "shape [4611686018427387904] is too large";
    tensor(
        r#""shape":[4611686018427387904],"datatype":"FP32","data":[1]"#,
        text,
    );
}

#[test]
fn data_comes_in_one_way() {
    let text = "both \"data\" and \"binary_data_size\" are given";
    tensor(
        r#""shape":[1],"datatype":"FP32","data":[1],"parameters":{"binary_data_size":4}"#,
        text,
    );
    let text = "neither \"data\" nor \"binary_data_size\" is given";
    tensor(r#""shape":[1],"datatype":"FP32""#, text);
    tensor(r#""shape":[1],"datatype":"FP32","data":null"#, text);
    let text = "binary_data_size without Inference-Header-Content-Length";
    tensor(
        r#""shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}"#,
        text,
    );
}

#[test]
fn data_has_the_declared_elements() {
    let data = |shape: &str, data: &str, text: &str| {
        tensor(
            &format!(r#""shape":{shape},"datatype":"FP32","data":{data}"#),
            text,
        );
    };
    data(
        "[3]",
        r#"[1,2,"x"]"#,
        "element 2: expected FP32, got string",
    );
    data("[1]", "[null]", "element 0: expected FP32, got null");
    data("[1]", "[true]", "element 0: expected FP32, got boolean");
    data("[1]", "[{}]", "element 0: expected FP32, got object");
    data("[2]", "[1,[2]]", "element 1: expected FP32, got array");
    data(
        "[2,2]",
        "[1,2,3]",
        "shape [2,2] has 4 elements, but data has 3",
    );
    data("[2]", "[1,2,3]", "shape [2] has 2 elements, but data has 3");
    data(
        "[1000000000000]",
        "[1]",
        "shape [1000000000000] has 1000000000000 elements, but data has 1",
    );
    data("[1]", "1", "\"data\" must be an array");
    let text = "nested data does not match shape [2,2]";
    for nested in [
        "[[1,2],[3]]",
        "[[1,2]]",
        "[[1,2],3]",
        "[[[1],2]]",
        "[[],[]]",
        "[[1,2],[3,4],[]]",
    ] {
        data("[2,2]", nested, text);
    }
    data(
        "[4]",
        "[[1,2],[3,4]]",
        "nested data does not match shape [4]",
    );
}

#[test]
fn an_element_has_its_type_and_range() {
    for (datatype, value, found) in [
        (DataType::Bool, "2", "number"),
        (DataType::Bool, "\"true\"", "string"),
        (DataType::Int8, "128", "number"),
        (DataType::Uint8, "-1", "number"),
        (DataType::Int32, "1.0", "number"),
        (DataType::Int64, "\"1\"", "string"),
        (DataType::Uint64, "false", "boolean"),
        (DataType::Fp64, "\"nan\"", "string"),
        (DataType::Bytes, "1", "number"),
        (DataType::Bytes, "{\"b64\":\"\"}", "object"),
    ] {
        let name = datatype.oip_name();
        let members = format!(r#""shape":[1],"datatype":"{name}","data":[{value}]"#);
        let text = format!("element 0: expected {name}, got {found}");
        input(datatype, &members, Kind::BadTensor, &text);
    }
}

#[test]
fn a_parameter_that_changes_the_meaning_is_refused() {
    for (name, value) in [
        ("classification", "1"),
        ("sequence_id", "7"),
        ("sequence_id", "\"s\""),
        ("sequence_start", "true"),
        ("sequence_end", "false"),
        ("shared_memory_region", "\"r\""),
    ] {
        let text = format!("Parameter \"{name}\" is not supported");
        request(&format!(r#"{{"parameters":{{"{name}":{value}}}}}"#), &text);
        let body = format!(
            r#"{{"inputs":[{{"name":"x","shape":[1],"datatype":"FP32","data":[1],"parameters":{{"{name}":{value}}}}}]}}"#
        );
        check(&single(DataType::Fp32), &body, Kind::BadRequest, &text);
    }
    request(r#"{"parameters":5}"#, "\"parameters\" must be an object");
    let text = "Parameter \"timeout\" must be a non-negative integer";
    request(r#"{"parameters":{"timeout":-1}}"#, text);
    let text = "Parameter \"binary_data_output\" must be true or false";
    request(r#"{"parameters":{"binary_data_output":1}}"#, text);
    let many: Vec<String> = (0..65).map(|number| format!("\"p{number}\":1")).collect();
    let text = "\"parameters\" has more than 64 entries";
    request(&format!("{{\"parameters\":{{{}}}}}", many.join(",")), text);
    let text = "Parameter \"p\" has more than 1024 bytes";
    request(
        &format!("{{\"parameters\":{{\"p\":\"{}\"}}}}", "v".repeat(1025)),
        text,
    );
    let text = "The name of a parameter has more than 1024 bytes";
    request(
        &format!("{{\"parameters\":{{\"{}\":1}}}}", "n".repeat(1025)),
        text,
    );
}

#[test]
fn requested_outputs_are_those_of_the_model() {
    let body = |outputs: &str| {
        format!(
            r#"{{"outputs":{outputs},"inputs":[{{"name":"a","shape":[1,2],"datatype":"INT32","data":[1,2]}},{{"name":"s","shape":[1],"datatype":"BYTES","data":[""]}}]}}"#
        )
    };
    let text = "Unknown output \"q\"; the model has: t, raw_bytes";
    request(&body(r#"[{"name":"q"}]"#), text);
    request(
        &body(r#"[{"name":"t"},{"name":"t"}]"#),
        "Duplicate output \"t\"",
    );
    request(&body("[{}]"), "Output 0: missing \"name\"");
    request(&body("[1]"), "Output 0: must be an object");
    let text = "Output 0: \"name\" must be a string of at most 1024 bytes";
    request(&body(r#"[{"name":1}]"#), text);
    request(&body("5"), "\"outputs\" must be an array");
}

#[test]
fn a_request_has_at_most_256_inputs() {
    let specs =
        (0..300).map(|number| crate::models::spec(&format!("i{number}"), DataType::Fp32, &[1]));
    let signature = Signature::new(specs.collect(), vec![]);
    let inputs: Vec<String> = (0..300)
        .map(|number| format!(r#"{{"name":"i{number}","shape":[1],"datatype":"FP32","data":[1]}}"#))
        .collect();
    let body = format!("{{\"inputs\":[{}]}}", inputs.join(","));
    check(
        &signature,
        &body,
        Kind::BadRequest,
        "\"inputs\" has more than 256 entries",
    );
}

#[track_caller]
fn binary(datatype: DataType, json: &str, header: Option<&str>, tail: &[u8], expect: (Kind, &str)) {
    let body = [json.as_bytes(), tail].concat();
    let length = json.len().to_string();
    let header = Some(header.unwrap_or(&length));
    let error = parse(&body, header, &single(datatype), Checks::Lenient).expect_err(expect.1);
    assert_eq!((error.kind, error.text.as_str()), expect);
}

#[test]
fn the_header_tells_where_the_json_ends() {
    let bad = |header: &str, text: &str| {
        binary(
            DataType::Fp32,
            "{}",
            Some(header),
            b"",
            (Kind::BadRequest, text),
        );
    };
    bad("x", "Invalid Inference-Header-Content-Length: \"x\"");
    bad("+2", "Invalid Inference-Header-Content-Length: \"+2\"");
    bad("", "Invalid Inference-Header-Content-Length: \"\"");
    bad(
        "900",
        "Inference-Header-Content-Length 900 exceeds the body (2 bytes)",
    );
    bad("0", "Raw binary requests are not supported");
}

#[test]
fn binary_data_has_the_declared_size() {
    let json = |datatype: &str, shape: &str, size: usize| {
        format!(
            r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{datatype}","parameters":{{"binary_data_size":{size}}}}}]}}"#
        )
    };
    let fp32 = |shape: &str, size: usize, tail: &[u8], kind: Kind, text: &str| {
        binary(
            DataType::Fp32,
            &json("FP32", shape, size),
            None,
            tail,
            (kind, text),
        );
    };
    let text = "Binary data holds 20 bytes, but the inputs declare 16";
    fp32("[1,4]", 16, &[0; 20], Kind::BadRequest, text);
    let text = "Input \"x\": binary_data_size 15, but shape [1,4] of FP32 needs 16";
    fp32("[1,4]", 15, &[0; 15], Kind::BadTensor, text);
    let bytes = |shape: &str, tail: &[u8], text: &str| {
        let json = json("BYTES", shape, tail.len());
        binary(DataType::Bytes, &json, None, tail, (Kind::BadTensor, text));
    };
    let text = "Input \"x\": element 1 runs past the end";
    bytes("[2]", b"\x01\0\0\0a\x05\0\0\0b", text);
    bytes("[2]", b"\x01\0\0\0a\x05\0", text);
    bytes("[2]", b"\x01\0\0\0a\xff\xff\xff\xff", text);
    let text = "Input \"x\": binary data has 2 elements, but shape [3] needs 3";
    bytes("[3]", b"\x01\0\0\0a\0\0\0\0", text);
    let json = json("BOOL", "[2]", 2);
    let text = "Input \"x\": element 1: expected 0 or 1";
    binary(
        DataType::Bool,
        &json,
        None,
        b"\x01\x02",
        (Kind::BadTensor, text),
    );
}
