//! Wrong requests: the documented 4xx, its kind, its text; never a 5xx.

use axum::body::Body;
use axum::http::Request;

use super::serving::{Answer, Server, settings};

#[track_caller]
fn check(answer: &Answer, status: u16, kind: &str, text: &str) {
    assert_eq!(
        (answer.status, answer.header("aimass-error")),
        (status, kind),
        "{answer:?}"
    );
    assert_eq!(answer.error(), text);
}

#[tokio::test]
async fn routes_that_do_not_exist() {
    let server = Server::with("linear.onnx", settings());
    for (method, path, status, text) in [
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        (
            "POST",
            "/v1/models/m:PREDICT",
            400,
            "Malformed request: POST /v1/models/m:PREDICT",
        ),
        (
            "GET",
            "/v1/models/m:predict",
            400,
            "Malformed request: GET /v1/models/m:predict",
        ),
        ("GET", "/", 404, "Not found: GET /"),
        ("GET", "/v2/foo", 404, "Not found: GET /v2/foo"),
        ("GET", "/v11/models", 404, "Not found: GET /v11/models"),
        (
            "PUT",
            "/v2/models/m",
            405,
            "Method PUT not allowed: /v2/models/m",
        ),
        (
            "GET",
            "/v2/models/m/infer",
            405,
            "Method GET not allowed: /v2/models/m/infer",
        ),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty());
        let answer = server.send(request.unwrap()).await;
        check(&answer, status, "bad_route", text);
    }
    let request = Request::put("/v2/models/m/infer")
        .body(Body::empty())
        .unwrap();
    assert_eq!(server.send(request).await.header("allow"), "POST");
}

#[tokio::test]
async fn the_admin_ports_routes_are_not_on_the_data_ports() {
    let server = Server::with("linear.onnx", settings());
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/monitoring/prometheus/metrics",
    ] {
        check(
            &server.get(path).await,
            404,
            "bad_route",
            &format!("Not found: GET {path}"),
        );
    }
}

#[tokio::test]
async fn models_and_versions_that_do_not_exist() {
    let server = Server::with("linear.onnx", settings());
    let body = r#"{"instances":[[1]]}"#;
    for (path, kind, text) in [
        (
            "/v1/models/z:predict",
            "unknown_model",
            "Servable not found for request: Latest(z)",
        ),
        (
            "/v1/models/m/versions/9:predict",
            "unknown_version",
            "Servable not found for request: Specific(m, 9)",
        ),
        ("/v2/models/z/infer", "unknown_model", "Model z not found"),
        (
            "/v2/models/m/versions/9/infer",
            "unknown_version",
            "Model m has no version 9",
        ),
    ] {
        check(&server.post(path, body).await, 404, kind, text);
    }
    let text = "Could not find version 9 of model m";
    check(
        &server.get("/v1/models/m/versions/9").await,
        404,
        "unknown_version",
        text,
    );
}

#[tokio::test]
async fn bodies_that_are_not_what_a_prediction_needs() {
    let server = Server::with("linear.onnx", settings());
    for (body, kind, text) in [
        ("", "bad_json", "JSON Parse error: The document is empty"),
        (
            "{oops",
            "bad_json",
            "JSON Parse error: Missing a name for object member. at offset: 1",
        ),
        ("{}", "bad_request", "Missing 'inputs' or 'instances' key"),
        ("[]", "bad_request", "JSON Value: [] Is not object"),
        (
            r#"{"signature_name":"s","instances":[[1]]}"#,
            "bad_request",
            "Serving signature name: \"s\" not found in signature def",
        ),
        (
            r#"{"instances":[{"z":[1]}]}"#,
            "bad_request",
            "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: z",
        ),
        (
            r#"{"inputs":{"z":[[1]]}}"#,
            "bad_request",
            "Missing named input: x in 'inputs' object.",
        ),
        (
            r#"{"instances":[["a"]]}"#,
            "bad_tensor",
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"a\" Type: String is not of expected type: float",
        ),
        (
            r#"{"instances":[[1],[2,3]]}"#,
            "bad_tensor",
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 1 but got: 2",
        ),
        (
            r#"{"instances":[[1,2]]}"#,
            "bad_tensor",
            "Input \"x\" has shape [1,2], but the model declares [-1,1]",
        ),
        (
            r#"{"instances":[1,2,3]}"#,
            "bad_tensor",
            "Input \"x\" has shape [3], but the model declares [-1,1]",
        ),
    ] {
        let answer = server.post("/v1/models/m:predict", body).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (400, text),
            "{body}"
        );
        assert_eq!(answer.header("aimass-error"), kind, "{body}");
        assert_eq!(
            answer.header("aimass-model-version"),
            "7",
            "errors name the revision too"
        );
    }
}

#[tokio::test]
async fn open_inference_requests_that_do_not_fit() {
    let server = Server::with("linear.onnx", settings());
    for (body, text) in [
        ("{}", "Missing \"inputs\""),
        (
            r#"{"inputs":[{"name":"z","shape":[1,1],"datatype":"FP32","data":[1]}]}"#,
            "Unknown input \"z\"; the model has: x",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP64","data":[1]}]}"#,
            "Input \"x\": datatype FP64, but the model declares FP32",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[1]}]}"#,
            "Input \"x\": shape [2,1] has 2 elements, but data has 1",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[4294967296,4294967296],"datatype":"FP32","data":[1]}]}"#,
            "Input \"x\": shape [4294967296,4294967296] is too large",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#,
            "Input \"x\" has shape [1], but the model declares [-1,1]",
        ),
    ] {
        let answer = server.post("/v2/models/m/infer", body).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (400, text),
            "{body}"
        );
    }
}

#[tokio::test]
async fn headers_that_steer_have_only_their_documented_values() {
    let server = Server::with("linear.onnx", settings());
    for (name, value) in [
        ("x-request-timeout-ms", "abc"),
        ("aimass-json-nonfinite", "nan"),
    ] {
        let request = Request::post("/v1/models/m:predict").header(name, value);
        let request = request.body(Body::from(r#"{"instances":[[1]]}"#)).unwrap();
        let text = format!("Invalid {name}: \"{value}\"");
        check(&server.send(request).await, 400, "bad_request", &text);
    }
}
