//! Wrong names, dtypes, ranks, sizes, invalid JSON: the documented answer to each.

use crate::process::Server;
use crate::wire;

const V1: &str = "/v1/models/my_model:predict";
const V2: &str = "/v2/models/my_model/infer";

/// One bad request: what it is, where, the body, the status and a part of the text.
type Row = (&'static str, &'static str, &'static str, u16, &'static str);

const ROWS: &[Row] = &[
    ("an empty document", V1, "", 400, "The document is empty"),
    (
        "an open object",
        V1,
        "{",
        400,
        "Missing a name for object member.",
    ),
    (
        "a missing colon",
        V1,
        r#"{"instances" [1]}"#,
        400,
        "Missing a colon after a name",
    ),
    (
        "an open array",
        V1,
        r#"{"instances":[1"#,
        400,
        "Missing a comma or ]",
    ),
    (
        "a trailing comma",
        V1,
        r#"{"instances":[1,]}"#,
        400,
        "JSON Parse error",
    ),
    (
        "an open string",
        V1,
        r#"{"instances":["a"#,
        400,
        "Missing a closing quotation mark",
    ),
    (
        "a number beyond double",
        V1,
        r#"{"instances":[1e309]}"#,
        400,
        "Number too big",
    ),
    ("a list as root", V1, "[]", 400, "Is not object"),
    (
        "no key",
        V1,
        "{}",
        400,
        "Missing 'inputs' or 'instances' key",
    ),
    (
        "both keys",
        V1,
        r#"{"instances":[[1]],"inputs":[[1]]}"#,
        400,
        "expecting only one of",
    ),
    (
        "instances as object",
        V1,
        r#"{"instances":{}}"#,
        400,
        "to be an list/array",
    ),
    (
        "no instances",
        V1,
        r#"{"instances":[]}"#,
        400,
        "No values in 'instances' array",
    ),
    (
        "a text where floats belong",
        V1,
        r#"{"instances":[["a"]]}"#,
        400,
        "is not of expected type: float",
    ),
    (
        "null where floats belong",
        V1,
        r#"{"instances":[[null]]}"#,
        400,
        "is not of expected type: float",
    ),
    (
        "rows of unequal size",
        V1,
        r#"{"instances":[[1],[1,2]]}"#,
        400,
        "Expecting tensor size",
    ),
    (
        "a ragged row",
        V1,
        r#"{"instances":[[1],2]}"#,
        400,
        "Expecting",
    ),
    (
        "a wrong width",
        V1,
        r#"{"instances":[[1,2]]}"#,
        400,
        "Input \\\"x\\\" has shape [1,2]",
    ),
    (
        "an unknown input",
        V1,
        r#"{"instances":[{"z":[1]}]}"#,
        400,
        "does not have named input: z",
    ),
    (
        "a missing column",
        V1,
        r#"{"inputs":{"z":[[1]]}}"#,
        400,
        "Missing named input: x",
    ),
    (
        "a signature that is no text",
        V1,
        r#"{"signature_name":1,"instances":[[1]]}"#,
        400,
        "must be a string value",
    ),
    (
        "an unknown signature",
        V1,
        r#"{"signature_name":"s","instances":[[1]]}"#,
        400,
        "not found in signature def",
    ),
    (
        "an unknown version",
        "/v1/models/my_model/versions/9:predict",
        r#"{"instances":[[1]]}"#,
        404,
        "Servable not found",
    ),
    (
        "a version that is no number",
        "/v1/models/my_model/versions/x:predict",
        "{}",
        400,
        "Malformed request",
    ),
    (
        "an unknown label",
        "/v1/models/my_model/labels/x:predict",
        r#"{"instances":[[1]]}"#,
        400,
        "Unrecognized servable version label",
    ),
    (
        "an unknown method",
        "/v1/models/my_model:guess",
        "{}",
        400,
        "Malformed request",
    ),
    ("an admin path on the data port", "/metrics", "", 404, ""),
    ("an empty v2 document", V2, "", 400, "JSON Parse error"),
    ("no inputs", V2, "{}", 400, "Missing \\\"inputs\\\""),
    (
        "inputs as object",
        V2,
        r#"{"inputs":{}}"#,
        400,
        "must be a non-empty array",
    ),
    (
        "a tensor without name",
        V2,
        r#"{"inputs":[{"shape":[1],"datatype":"FP32","data":[1]}]}"#,
        400,
        "missing \\\"name\\\"",
    ),
    (
        "an unknown tensor",
        V2,
        r#"{"inputs":[{"name":"z","shape":[1,1],"datatype":"FP32","data":[1]}]}"#,
        400,
        "Unknown input \\\"z\\\"",
    ),
    (
        "an unknown datatype",
        V2,
        r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FLOAT","data":[1]}]}"#,
        400,
        "unknown datatype",
    ),
    (
        "a wrong datatype",
        V2,
        r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP64","data":[1]}]}"#,
        400,
        "but the model declares FP32",
    ),
    (
        "a shape beyond memory",
        V2,
        r#"{"inputs":[{"name":"x","shape":[4294967296,4294967296],"datatype":"FP32","data":[1]}]}"#,
        400,
        "too large",
    ),
    (
        "a negative dimension",
        V2,
        r#"{"inputs":[{"name":"x","shape":[-1,1],"datatype":"FP32","data":[1]}]}"#,
        400,
        "non-negative integers",
    ),
    (
        "too few elements",
        V2,
        r#"{"inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[1]}]}"#,
        400,
        "has 2 elements",
    ),
    (
        "a wrong rank",
        V2,
        r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#,
        400,
        "but the model declares [-1,1]",
    ),
    (
        "an unknown output",
        V2,
        r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]}],"outputs":[{"name":"q"}]}"#,
        400,
        "Unknown output",
    ),
    (
        "an unknown v2 version",
        "/v2/models/my_model/versions/9/infer",
        r#"{"inputs":[]}"#,
        404,
        "has no version 9",
    ),
    ("an unknown v2 route", "/v2/foo", "{}", 404, "Not found"),
];

#[test]
fn s17_every_wrong_request_gets_its_documented_answer() {
    let server = Server::ready("linear");
    let mut wrong = Vec::new();
    for &(name, path, body, status, text) in ROWS {
        let answer = wire::post(server.data, path, &[], body.as_bytes());
        if answer.status != status || !answer.body.contains(text) {
            wrong.push(format!(
                "{name}: expected {status} with {text:?}, got {answer:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        ROWS.len(),
        wrong.join("\n")
    );
    server.assert_serves();
}

#[test]
fn s16_deep_nesting_costs_linear_time() {
    let server = Server::ready("linear");
    let depth = 500_000;
    let body = format!(
        r#"{{"ignored":{}{},"instances":[[1.0]]}}"#,
        "[".repeat(depth),
        "]".repeat(depth)
    );
    let answer = wire::post(server.data, V1, &[], body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = format!(
        r#"{{"instances":{}{}}}"#,
        "[".repeat(depth),
        "]".repeat(depth)
    );
    let answer = wire::post(server.data, V1, &[], body.as_bytes());
    assert_eq!(answer.status, 400, "{answer:?}");
    server.assert_serves();
}

#[test]
fn s19_a_body_over_the_limit_is_refused_at_once() {
    let server = Server::ready("linear");
    let declared = "POST /v1/models/my_model:predict HTTP/1.1\r\nhost: t\r\ncontent-length: 1000000000\r\n\r\n";
    let answer = wire::exchange(server.data, declared.as_bytes());
    assert_eq!(answer.status, 413, "by its declared length: {answer:?}");
    assert!(
        answer.body.contains("Request body exceeds 16777216 bytes"),
        "{answer:?}"
    );

    let mut chunked = b"POST /v1/models/my_model:predict HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let megabyte = vec![b' '; 1 << 20];
    for _ in 0..18 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend_from_slice(&megabyte);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = wire::exchange(server.data, &chunked);
    // The refusal may be lost to the reset that follows it while megabytes are still under way.
    assert!(matches!(answer.status, 413 | 0), "by its bytes: {answer:?}");
    server.assert_serves();
}

#[test]
fn s21_encodings_are_bounded_and_closed() {
    let server = Server::ready("linear");
    let answer = wire::post(server.data, V1, &["content-encoding: br"], b"x");
    assert_eq!(answer.status, 415, "{answer:?}");
    let answer = wire::post(
        server.data,
        V1,
        &["content-encoding: gzip"],
        b"not gzip at all",
    );
    assert_eq!(answer.status, 400, "{answer:?}");
    let bomb = gzip(&vec![b' '; 15 << 20]);
    let answer = wire::post(server.data, V1, &["content-encoding: gzip"], &bomb);
    assert_eq!(answer.status, 413, "{answer:?}");
    let good = gzip(br#"{"instances":[[1.0]]}"#);
    let answer = wire::post(server.data, V1, &["content-encoding: gzip"], &good);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte")
}

#[test]
fn error_texts_name_no_path_and_no_type_of_ours() {
    let server = Server::ready("linear");
    for &(name, path, body, ..) in ROWS {
        let answer = wire::post(server.data, path, &[], body.as_bytes());
        let leaks = ["/tmp", "src/", "aimass_", "Error {", "Some(", "127.0.0.1"];
        for leak in leaks {
            assert!(
                !answer.body.contains(leak),
                "{name} tells {leak}: {answer:?}"
            );
        }
        if answer.status >= 400 {
            assert!(
                answer.header("aimass-error").is_some(),
                "{name} names no kind: {answer:?}"
            );
            assert!(
                answer.header("x-request-id").is_some(),
                "{name} has no id: {answer:?}"
            );
        }
    }
}
