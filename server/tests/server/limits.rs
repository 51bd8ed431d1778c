//! Sizes, encodings, deadlines, overload.

use std::io::Write as _;
use std::time::Duration;

use aimass_server::state::Settings;
use axum::body::{Body, Bytes};
use axum::http::Request;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::serving::{Server, settings};

const ONE_ROW: &[u8] = br#"{"instances":[[1]]}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/v1/models/m:predict").header("content-encoding", encoding);
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn a_body_is_as_large_as_the_limit_at_most() {
    let server = Server::with(
        "linear.onnx",
        Settings {
            max_body: 100,
            ..settings()
        },
    );
    let text = "Request body exceeds 100 bytes";
    let padded = |size: usize| {
        let mut body = ONE_ROW.to_vec();
        body.resize(size, b' ');
        body
    };
    assert_eq!(
        server
            .post("/v1/models/m:predict", padded(100))
            .await
            .status,
        200
    );
    let answer = server.post("/v1/models/m:predict", padded(101)).await;
    assert_eq!((answer.status, answer.error().as_str()), (413, text));
    // By what it declares, without a byte of it.
    let request = Request::post("/v1/models/m:predict").header("content-length", 101);
    let endless =
        Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = server.send(request.body(endless).unwrap()).await;
    assert_eq!((answer.status, answer.error().as_str()), (413, text));
    // Without a length, at the first byte beyond.
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from("  ")));
    let request = Request::post("/v1/models/m:predict")
        .body(Body::from_stream(chunks))
        .unwrap();
    assert_eq!(server.send(request).await.status, 413);
}

#[tokio::test]
async fn gzip_and_deflate_are_inflated() {
    let server = Server::with("linear.onnx", settings());
    let answer = server.send(encoded("gzip", gzip(ONE_ROW))).await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, r#"{"predictions":[[2.0]]}"#)
    );
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(ONE_ROW).unwrap();
    let answer = server
        .send(encoded("deflate", encoder.finish().unwrap()))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn damaged_and_unknown_encodings_are_refused() {
    let server = Server::with("linear.onnx", settings());
    let whole = gzip(ONE_ROW);
    for body in [b"not gzip".to_vec(), whole[..whole.len() - 9].to_vec()] {
        let answer = server.send(encoded("gzip", body)).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (400, "Corrupt gzip body")
        );
    }
    let answer = server.send(encoded("br", ONE_ROW)).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (415, "Unsupported Content-Encoding: br")
    );
    assert_eq!(answer.header("accept-encoding"), "gzip, deflate");
    assert_eq!(
        server.send(encoded("gzip, gzip", ONE_ROW)).await.status,
        415
    );
}

#[tokio::test]
async fn a_bomb_is_stopped_by_its_ratio_and_by_the_limit() {
    let server = Server::with(
        "linear.onnx",
        Settings {
            max_body: 64 << 20,
            ..settings()
        },
    );
    let bomb = gzip(&vec![b' '; 32 << 20]);
    assert!(bomb.len() < 64 << 10);
    assert_eq!(server.send(encoded("gzip", bomb)).await.status, 413);
    assert!(server.metrics().contains("aimass_server_buffered_bytes 0"));
}

#[tokio::test]
async fn an_answer_is_as_large_as_its_limit_at_most() {
    let server = Server::with(
        "digits_mlp.onnx",
        Settings {
            max_response: 64,
            ..settings()
        },
    );
    let body = serde_json::json!({ "instances": vec![vec![0.0; 64]; 4] }).to_string();
    let answer = server.post("/v1/models/m:predict", body).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (400, "Response exceeds 64 bytes")
    );
}

#[tokio::test]
async fn more_rows_than_allowed_are_refused() {
    let server = Server::with("linear.onnx", settings());
    let body = serde_json::json!({ "instances": vec![[1]; 70_000] }).to_string();
    let answer = server.post("/v1/models/m:predict", body).await;
    let text = "Request has 70000 rows, at most 65536 are allowed";
    assert_eq!((answer.status, answer.error().as_str()), (400, text));
}

#[tokio::test]
async fn a_deadline_ends_a_body_that_does_not_come() {
    let server = Server::with("linear.onnx", settings());
    let endless =
        Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::post("/v1/models/m:predict").header("x-request-timeout-ms", "20");
    let answer = server.send(request.body(endless).unwrap()).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (504, "Deadline of 20 ms exceeded")
    );
}

#[tokio::test]
async fn a_request_that_nobody_runs_leaves_the_queue_at_its_deadline() {
    // No engine threads.
    let server = Server::loading(settings());
    let model = super::serving::load(&super::serving::testdata().join("linear.onnx")).unwrap();
    server
        .state
        .set_slot(aimass_server::state::Slot::Ready(model.into()));
    let request = Request::post("/v1/models/m:predict").header("x-request-timeout-ms", "20");
    let answer = server
        .send(request.body(Body::from(ONE_ROW)).unwrap())
        .await;
    assert_eq!(answer.status, 504);
    assert!(server.metrics().contains("aimass_server_queue_rows 0"));
}

#[tokio::test]
async fn a_full_queue_and_too_many_requests_are_overload() {
    let server = Server::loading(Settings {
        max_queue_rows: 2,
        max_in_flight: 3,
        ..settings()
    });
    let model = super::serving::load(&super::serving::testdata().join("linear.onnx")).unwrap();
    server
        .state
        .set_slot(aimass_server::state::Slot::Ready(model.into()));
    let send = || async {
        let request = Request::post("/v1/models/m:predict").header("x-request-timeout-ms", "300");
        server
            .send(request.body(Body::from(ONE_ROW)).unwrap())
            .await
    };
    let late = |ms: u64| async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        send().await
    };
    let (first, second, third) = tokio::join!(send(), late(20), late(40));
    assert_eq!((first.status, second.status), (504, 504));
    assert_eq!(
        (third.status, third.error().as_str()),
        (503, "Model m is overloaded")
    );
    assert_eq!(third.header("retry-after"), "1");
    assert_eq!(third.header("aimass-error"), "overloaded");
    let (.., fourth) = tokio::join!(send(), send(), server.state_is_busy(), send());
    assert_eq!(fourth.status, 503);
}

impl Server {
    /// Takes the last place among the requests in flight for a while.
    async fn state_is_busy(&self) {
        let _place = self.state.enter();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
