//! Predictions over both protocols.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::serving::{Server, settings};

#[tokio::test]
async fn the_linear_model_answers_rows_with_rows_and_columns_with_columns() {
    let server = Server::with("linear.onnx", settings());
    let body = r#"{"signature_name": "serving_default", "instances": [[1],[2],[3]]}"#;
    let answer = server.post("/v1/models/m:predict", body).await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, r#"{"predictions":[[2.0],[4.0],[6.0]]}"#)
    );
    let answer = server
        .post("/v1/models/m:predict", r#"{"inputs":{"x":[[5]]}}"#)
        .await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, r#"{"outputs":[[10.0]]}"#)
    );
}

#[tokio::test]
async fn every_answer_names_the_revision_that_made_it() {
    let server = Server::with("linear.onnx", settings());
    let request = Request::post("/v1/models/m/versions/7:predict")
        .header("x-request-id", "call-1")
        .body(Body::from(r#"{"instances":[[1],[2],[3]]}"#));
    let answer = server.send(request.unwrap()).await;
    assert_eq!(answer.header("x-request-id"), "call-1");
    assert_eq!(answer.header("aimass-model-version"), "7");
    assert_eq!(answer.header("aimass-revision"), "m-abc");
    assert_eq!(
        answer.header("aimass-model-digest"),
        "sha256:20179e3c47d98686fc05a234ca40d200b7b6a72a5140a4bd698b156a67a09d35"
    );
    // Nothing is measured here, so rows run one by one.
    assert_eq!(answer.header("aimass-batch-rows"), "1");
    assert!(answer.header("server-timing").starts_with("decode;dur="));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("aimass-error"), "");
}

#[tokio::test]
async fn labels_lead_to_their_version() {
    let server = Server::with("linear.onnx", settings());
    let body = r#"{"instances":[[1]]}"#;
    assert_eq!(
        server
            .post("/v1/models/m/labels/stable:predict", body)
            .await
            .status,
        200
    );
    let answer = server.post("/v1/models/m/labels/old:predict", body).await;
    assert_eq!(
        (answer.status, answer.header("aimass-error")),
        (400, "unknown_label")
    );
}

/// The first of scikit-learn's digits.
pub(crate) const ZERO: [u8; 64] = [
    0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4, 12, 0, 0,
    8, 8, 0, 0, 5, 8, 0, 0, 9, 8, 0, 0, 4, 11, 0, 1, 12, 7, 0, 0, 2, 14, 5, 10, 12, 0, 0, 0, 0, 6,
    13, 10, 0, 0, 0,
];

#[tokio::test]
async fn a_written_zero_is_recognised_alone_and_among_others() {
    let server = Server::with("digits_mlp.onnx", settings());
    let image: Vec<f32> = ZERO.iter().map(|level| f32::from(*level) / 16.0).collect();
    for count in [1, 3, 64, 100] {
        let body = json!({ "instances": vec![&image; count] }).to_string();
        let answer = server.post("/v1/models/m:predict", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let rows = answer.json()["predictions"].as_array().unwrap().clone();
        assert_eq!(rows.len(), count);
        for row in rows {
            let scores: Vec<f64> = row
                .as_array()
                .unwrap()
                .iter()
                .map(|score| score.as_f64().unwrap())
                .collect();
            assert_eq!(scores.len(), 10);
            assert!(scores[0] > 0.9, "{scores:?}");
            assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-5);
        }
    }
}

#[tokio::test]
async fn the_open_inference_protocol_answers_with_shapes() {
    let server = Server::with("linear.onnx", settings());
    let body = json!({
        "id": "42",
        "inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1.5, 2.5]}],
    });
    let answer = server.post("/v2/models/m/infer", body.to_string()).await;
    let expect = json!({
        "model_name": "m", "model_version": "7", "id": "42",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [3.0, 5.0]}],
    });
    assert_eq!((answer.status, answer.json()), (200, expect));
}

#[tokio::test]
async fn tensors_may_follow_the_json_as_bytes() {
    let server = Server::with("linear.onnx", settings());
    let json = br#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","parameters":{"binary_data_size":4}}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}"#;
    let request = Request::post("/v2/models/m/infer")
        .header("Inference-Header-Content-Length", json.len())
        .body(Body::from(
            [json.as_slice(), &4.0_f32.to_le_bytes()].concat(),
        ));
    let answer = server.send(request.unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    let length: usize = answer
        .header("inference-header-content-length")
        .parse()
        .unwrap();
    assert_eq!(answer.body[length..], 8.0_f32.to_le_bytes());
}

#[tokio::test]
async fn metadata_and_lists_describe_the_model() {
    let server = Server::with("linear.onnx", settings());
    let answer = server.get("/v2/models/m").await.json();
    assert_eq!(answer["versions"], json!(["7"]));
    assert_eq!(
        answer["inputs"],
        json!([{"name": "x", "datatype": "FP32", "shape": [-1, 1]}])
    );
    assert_eq!(answer["properties"]["engine"], "tract");
    assert_eq!(answer["properties"]["max_batch_size"], "1");
    let answer = server.get("/v1/models/m/metadata").await.json();
    let definition = &answer["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(definition["inputs"]["x"]["dtype"], "DT_FLOAT");
    let answer = server.get("/v1/models/m").await.json();
    assert_eq!(answer["model_version_status"][0]["state"], "AVAILABLE");
    assert_eq!(server.get("/v1/models").await.text(), r#"{"models":["m"]}"#);
    assert_eq!(server.get("/v2/models").await.text(), r#"{"models":["m"]}"#);
    assert_eq!(server.get("/v2").await.json()["name"], "aimass");
    assert_eq!(server.get("/v2/models/m/ready").await.status, 200);
}

#[tokio::test]
async fn requests_are_counted_by_what_became_of_them() {
    let server = Server::with("linear.onnx", settings());
    server
        .post("/v1/models/m:predict", r#"{"instances":[[1]]}"#)
        .await;
    server.post("/v1/models/m:predict", "{").await;
    let page = server.metrics();
    for line in [
        r#"aimass_server_requests_total{protocol="tfs",method="predict",code="200",kind="ok"} 1"#,
        r#"aimass_server_requests_total{protocol="tfs",method="predict",code="400",kind="bad_json"} 1"#,
        "aimass_server_ready 1",
        "aimass_server_in_flight 0",
        "aimass_server_buffered_bytes 0",
        "aimass_server_queue_rows 0",
    ] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
}

#[tokio::test]
async fn browsers_are_answered_if_that_is_enabled() {
    let options = |origin: &str| {
        let request = Request::options("/v1/models/m:predict").header("origin", origin);
        request.body(Body::empty()).unwrap()
    };
    let server = Server::loading(settings());
    let answer = server.send(options("https://a.example")).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, "")
    );
    assert_eq!(
        server.send(options("null")).await.error(),
        "Origin header is missing in CORS preflight"
    );
    let server = Server::loading(aimass_server::state::Settings {
        cors: true,
        ..settings()
    });
    let answer = server.send(options("https://a.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let answer = server.get("/v1/models/m").await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "*",
        "a page may read only what says so"
    );
}
