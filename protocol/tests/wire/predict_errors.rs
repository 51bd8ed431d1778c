//! Predict requests that are refused: one row for each text.

use aimass_protocol::v1::parse;
use aimass_protocol::{Checks, DataType, Kind, Signature};

use crate::models::{half, pair, single};

#[track_caller]
fn check(signature: &Signature, checks: Checks, body: &[u8], kind: Kind, text: &str) {
    let error = parse(body, signature, checks).expect_err(text);
    assert_eq!((error.kind, error.text.as_str()), (kind, text));
}

#[track_caller]
fn both(signature: &Signature, body: &str, kind: Kind, text: &str) {
    for checks in [Checks::Lenient, Checks::Strict] {
        check(signature, checks, body.as_bytes(), kind, text);
    }
}

#[track_caller]
fn request(signature: &Signature, body: &str, text: &str) {
    both(signature, body, Kind::BadRequest, text);
}

#[track_caller]
fn values(signature: &Signature, body: &str, text: &str) {
    both(signature, body, Kind::BadTensor, text);
}

#[track_caller]
fn syntax(body: &str, text: &str, offset: usize) {
    let text = format!("JSON Parse error: {text} at offset: {offset}");
    both(&half(), body, Kind::BadJson, &text);
}

#[track_caller]
fn strict(body: &str, kind: Kind, text: &str) {
    check(&half(), Checks::Strict, body.as_bytes(), kind, text);
}

#[test]
fn a_body_that_is_not_json_says_where() {
    both(
        &half(),
        "",
        Kind::BadJson,
        "JSON Parse error: The document is empty",
    );
    syntax(" \n", "The document is empty.", 2);
    syntax("hello", "Invalid value.", 0);
    syntax("{oops", "Missing a name for object member.", 1);
    syntax(
        r#"{"instances" [1]}"#,
        "Missing a colon after a name of object member.",
        13,
    );
    syntax(
        r#"{"instances":[1],}"#,
        "Missing a name for object member.",
        17,
    );
    syntax(
        r#"{"instances":[1]"#,
        "Missing a comma or } after an object member.",
        16,
    );
    syntax(
        r#"{"instances":[1 2]}"#,
        "Missing a comma or ] after an array element.",
        16,
    );
    syntax(r#"{"instances":[1,]}"#, "Invalid value.", 16);
    syntax(r#"{"instances":[+1]}"#, "Invalid value.", 14);
    syntax(r#"{"instances":[.5]}"#, "Invalid value.", 14);
    syntax(
        r#"{"instances":[01]}"#,
        "Missing a comma or ] after an array element.",
        15,
    );
    syntax(
        r#"{"instances":[1.]}"#,
        "Missing fraction part in number.",
        16,
    );
    syntax(r#"{"instances":[1e]}"#, "Missing exponent in number.", 16);
    syntax(
        r#"{"instances":[1e309]}"#,
        "Number too big to be stored in double.",
        14,
    );
    syntax(
        r#"{"a":"\u12"}"#,
        "Incorrect hex digit after \\u escape in string.",
        6,
    );
    syntax(
        r#"{"a":"\ud800"}"#,
        "The surrogate pair in string is invalid.",
        6,
    );
    syntax(r#"{"a":"\q"}"#, "Invalid escape character in string.", 6);
    syntax(
        r#"{"a":"b"#,
        "Missing a closing quotation mark in string.",
        7,
    );
    syntax("{\"a\":\"\n\"}", "Invalid encoding in string.", 6);
    syntax(
        r#"{"instances":[1]/* c */}"#,
        "Missing a comma or } after an object member.",
        16,
    );
    let utf16: Vec<u8> = "{\"a\":1}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let text = "JSON Parse error: Missing a name for object member. at offset: 1";
    check(&half(), Checks::Lenient, &utf16, Kind::BadJson, text);
}

#[test]
fn a_syntax_error_anywhere_wins_over_everything_else() {
    syntax(r#"{"instances":["x"],"instances":[}"#, "Invalid value.", 32);
    syntax(
        r#"{"signature_name":1,"inputs":2,"instances":3"#,
        "Missing a comma or } after an object member.",
        44,
    );
    syntax("[1,2", "Missing a comma or ] after an array element.", 4);
    syntax(r#"{"instances":[[1,2],[3,"x"],nul]}"#, "Invalid value.", 31);
}

#[test]
fn strict_checks_refuse_what_json_forbids() {
    let json = Kind::BadJson;
    strict(
        r#"{"instances":[NaN]}"#,
        json,
        "JSON Parse error: Invalid value. at offset: 14",
    );
    strict(
        r#"{"instances":[-Inf]}"#,
        json,
        "JSON Parse error: Invalid value. at offset: 15",
    );
    let text =
        "JSON Parse error: The document root must not be followed by other values. at offset: 18";
    strict(r#"{"instances":[1]} x"#, json, text);
    strict(
        "\u{feff}{}",
        json,
        "JSON Parse error: Invalid value. at offset: 0",
    );
    let request = Kind::BadRequest;
    strict(
        r#"{"instances":[1],"instances":[1]}"#,
        request,
        "Duplicate key: instances",
    );
    strict(r#"{"instances":[1],"k":[1]}"#, request, "Unknown key: k");
    strict(
        r#"{"inputs":{"x":1,"x":2}}"#,
        request,
        "JSON object: duplicate key: x",
    );
}

#[test]
fn the_root_is_an_object() {
    request(&half(), "[1, 2]", "JSON Value: [1,2] Is not object");
    request(&half(), "\"a b\"", "JSON Value: \"a b\" Is not object");
    request(&half(), "null", "JSON Value: null Is not object");
}

#[test]
fn the_only_signature_is_the_default_one() {
    request(
        &half(),
        r#"{"signature_name": 5, "instances": [1]}"#,
        r#"JSON Value: {"signature_name":5,"instances":[1]} not formatted correctly. 'signature_name' key must be a string value."#,
    );
    let text = "Serving signature name: \"other\" not found in signature def";
    request(
        &half(),
        r#"{"instances":["x"],"signature_name":"other"}"#,
        text,
    );
}

#[test]
fn there_is_either_instances_or_inputs() {
    let text = "JSON Value: {\"instances\":[1],\"inputs\":[1]} Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ";
    request(&half(), r#"{"instances":[1],"inputs":[1]}"#, text);
    request(&half(), "{}", "Missing 'inputs' or 'instances' key");
    let text = "JSON Value: {\"instances\":{\"x\":1}} Expecting 'instances' to be an list/array";
    request(&half(), r#"{"instances":{"x":1}}"#, text);
    let text = "JSON Value: {\"instances\":[]} No values in 'instances' array";
    request(&half(), r#"{"instances":[ ]}"#, text);
}

#[test]
fn several_inputs_need_names() {
    let text = "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map";
    request(&pair(), r#"{"instances":[1,2]}"#, text);
    request(&pair(), r#"{"instances":[{"b64":"aGk="}]}"#, text);
    let text = "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map";
    request(&pair(), r#"{"inputs":[1,2]}"#, text);
    request(&pair(), r#"{"inputs":{"b64":"aGk="}}"#, text);
    let text = "Missing named input: s in 'inputs' object.";
    request(&pair(), r#"{"inputs":{"a":[[1,2]]}}"#, text);
}

#[test]
fn rows_are_either_all_objects_or_none() {
    let text = "Expecting object but got list at item 1 of input list";
    values(&pair(), r#"{"instances":[{"a":[1,2],"s":""},[1]]}"#, text);
    let text = "Expecting value/list but got object at item 2 of input list";
    values(&half(), r#"{"instances":[1,2,{"x":3}]}"#, text);
    let text = "Expecting object but got list at item 1 of input list";
    values(
        &single(DataType::Bytes),
        r#"{"instances":[{"x":""},{"b64":""}]}"#,
        text,
    );
}

#[test]
fn a_row_has_every_input_once() {
    request(
        &pair(),
        r#"{"instances":[{"s": "u"}]}"#,
        r#"Failed to process element: 0 of 'instances' list. JSON object: JSON Value: {"s":"u"} keys must be equal to: a,s"#,
    );
    let text = "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: z";
    request(&pair(), r#"{"instances":[{"a":[1,2],"z":1,"s":""}]}"#, text);
    let text = "Failed to process element: 0 key: a of 'instances' list. Error: INVALID_ARGUMENT: JSON object: duplicate key: a";
    request(
        &pair(),
        r#"{"instances":[{"a":[1,2],"a":[1,2],"s":""}]}"#,
        text,
    );
}

#[test]
fn rows_have_one_shape() {
    let row = |error: &str| {
        format!(
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: {error}"
        )
    };
    let text = row("Expecting tensor size: 2 but got: 3");
    values(&half(), r#"{"instances":[[1,2],[3,4,5]]}"#, &text);
    let text = row("Expecting shape [2] but got: [1,2]");
    values(&half(), r#"{"instances":[[1,2],[[3,4]]]}"#, &text);
    let text = row("Expecting shape [1] but got: []");
    values(&half(), r#"{"instances":[[1],2]}"#, &text);
}

#[test]
fn what_is_wrong_inside_a_row_comes_first() {
    let text = "Failed to process element: 1 key: s of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 5 Type: Number is not of expected type: string";
    values(
        &pair(),
        r#"{"instances":[{"a":[1,2],"s":""},{"a":[1,2,3],"s":5}]}"#,
        text,
    );
    let text = "Failed to process element: 1 key: a of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: 3";
    values(
        &pair(),
        r#"{"instances":[{"a":[1,2],"s":""},{"a":[1,2,3],"s":""}]}"#,
        text,
    );
}

#[test]
fn lists_are_rectangular() {
    let columns = |inputs: &str, text: &str| {
        values(&half(), &format!("{{\"inputs\":{inputs}}}"), text);
    };
    let text = "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2";
    columns("[[1,2],3]", text);
    columns(
        "[[1,2],[[3],4]]",
        "Encountered list at unexpected level: 2 expected < 2",
    );
    columns(
        "[1,[2]]",
        "Encountered list at unexpected level: 1 expected < 1",
    );
    let text = "Encountered list at unexpected size: 3 at level: 1 expected size: 2";
    columns("[[1,2],[3,4,5]]", text);
    let text = "Encountered list at unexpected size: 0 at level: 1 expected size: 2";
    columns("[[1,2],[]]", text);
    let text = "Encountered list at unexpected size: 1 at level: 1 expected size: 0";
    columns("[[],[1]]", text);
    let row = r#"{"instances":[[[1,2],[3]]]}"#;
    let text = "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at unexpected size: 1 at level: 1 expected size: 2";
    values(&half(), row, text);
}

#[test]
fn seventeen_dimensions_are_too_many() {
    let nested = format!("{}1{}", "[".repeat(17), "]".repeat(17));
    values(
        &half(),
        &format!("{{\"inputs\":{nested}}}"),
        "Tensor rank exceeds 16",
    );
    let text = "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Tensor rank exceeds 16";
    values(&half(), &format!("{{\"instances\":{nested}}}"), text);
}

#[test]
fn a_value_has_the_type_of_its_input() {
    for (datatype, value, found) in [
        (DataType::Fp32, "\"1\"", "String"),
        (DataType::Fp32, "null", "Null"),
        (DataType::Fp64, "true", "True"),
        (DataType::Fp16, "false", "False"),
        (DataType::Bf16, "{\"b64\":\"\"}", "Object"),
        (DataType::Bool, "1", "Number"),
        (DataType::Bool, "\"true\"", "String"),
        (DataType::Int8, "128", "Number"),
        (DataType::Int16, "-32769", "Number"),
        (DataType::Int32, "1.0", "Number"),
        (DataType::Int32, "1e0", "Number"),
        (DataType::Int64, "9223372036854775808", "Number"),
        (DataType::Uint8, "-1", "Number"),
        (DataType::Uint16, "65536", "Number"),
        (DataType::Uint32, "4294967296", "Number"),
        (DataType::Uint64, "18446744073709551616", "Number"),
        (DataType::Uint64, "null", "Null"),
        (DataType::Bytes, "1", "Number"),
        (DataType::Bytes, "null", "Null"),
    ] {
        let name = datatype.tfs_name();
        let text = format!("JSON Value: {value} Type: {found} is not of expected type: {name}");
        values(
            &single(datatype),
            &format!("{{\"inputs\":[{value}]}}"),
            &text,
        );
    }
    let text = "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"x\" Type: String is not of expected type: float";
    values(&half(), r#"{"instances":[1, "x" ]}"#, text);
}

#[test]
fn base64_is_one_key_with_valid_text() {
    let bytes = single(DataType::Bytes);
    let text = "JSON Value: {\"b64\":5} not formatted correctly for base64 data";
    values(&bytes, r#"{"inputs":[{"b64": 5}]}"#, text);
    let text = "JSON Value: {\"b64\":\"\",\"c\":1} not formatted correctly for base64 data";
    values(&bytes, r#"{"inputs":[{"b64":"","c":1}]}"#, text);
    values(
        &bytes,
        r#"{"inputs":[{"b64":"!"}]}"#,
        "Unable to base64 decode",
    );
    values(
        &bytes,
        r#"{"inputs":[{"b64":"a"}]}"#,
        "Unable to base64 decode",
    );
}

#[test]
fn no_text_repeats_more_than_256_bytes_of_a_value() {
    let body = format!("[{}]", vec!["1"; 5000].join(" , "));
    // An opening bracket and 127 times "1,", then one more digit.
    let shown = format!("[{}1", "1,".repeat(127));
    request(
        &half(),
        &body,
        &format!("JSON Value: {shown} Is not object"),
    );
    let body = format!(
        "{{\"instances\":[1],\"signature_name\":\"{}\"}}",
        "ü".repeat(300)
    );
    let text = format!(
        "Serving signature name: \"{}\" not found in signature def",
        "ü".repeat(128)
    );
    request(&half(), &body, &text);
}
