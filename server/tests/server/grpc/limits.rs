//! Sizes, memory, overload, slow bodies.

use std::time::Duration;

use aimass_chassis::listener::Limits;
use aimass_protocol::grpc::{ModelInferResponse, ServerLiveRequest, ServerLiveResponse};
use aimass_server::state::Settings;
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};

use super::calls::{INFER, asks, asks_raw};
use super::port::{Client, Port};
use crate::serving::{Server, settings};

const GRPC: [(&str, &str); 1] = [("content-type", "application/grpc")];

async fn linear(settings: Settings) -> (Server, Port, Client) {
    let server = Server::with("linear.onnx", settings);
    let port = Port::open(&server).await;
    let client = port.client().await;
    (server, port, client)
}

#[track_caller]
fn is(status: &Status, code: Code, kind: &str, text: &str) {
    assert_eq!((status.code(), status.message()), (code, text));
    assert_eq!(status.metadata().get("aimass-error").unwrap(), kind);
}

async fn refused(client: &Client, values: &[f32], encoding: Option<CompressionEncoding>) -> Status {
    client
        .ask::<ModelInferResponse>(INFER, tonic::Request::new(asks(values)), encoding)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_message_is_as_large_as_the_limit_at_most() {
    let size = asks(&[1.0; 10]).encoded_len();
    let (_server, _port, client) = linear(Settings {
        max_body: size,
        ..settings()
    })
    .await;
    assert!(
        client
            .call::<ModelInferResponse>(INFER, asks(&[1.0; 10]))
            .await
            .is_ok()
    );
    let text = format!("Request body exceeds {size} bytes");
    let status = refused(&client, &[1.0; 11], None).await;
    is(&status, Code::OutOfRange, "body_too_large", &text);
    // By what the prefix promises, without a byte of it.
    let answer = client
        .raw("POST", INFER, &GRPC, vec![0, 0xff, 0xff, 0xff, 0xff])
        .await;
    answer.refuses("11", "body_too_large", &text);
}

#[tokio::test]
async fn a_bomb_is_stopped_by_its_ratio_and_by_the_limit() {
    let (server, _port, client) = linear(Settings {
        max_body: 1 << 20,
        ..settings()
    })
    .await;
    let gzip = Some(CompressionEncoding::Gzip);
    let status = refused(&client, &vec![0.0; 4 << 20], gzip).await;
    is(
        &status,
        Code::OutOfRange,
        "body_too_large",
        "Request body exceeds 1048576 bytes",
    );
    assert!(server.metrics().contains("aimass_server_buffered_bytes 0"));
}

#[tokio::test]
async fn what_a_message_becomes_in_memory_counts_too() {
    let (server, _port, client) = linear(Settings {
        max_buffered: 64 << 10,
        ..settings()
    })
    .await;
    assert!(
        client
            .call::<ModelInferResponse>(INFER, asks_raw(&[1.0; 10_000]))
            .await
            .is_ok()
    );
    let mut request = asks(&[]);
    let contents = request.inputs[0].contents.as_mut().unwrap();
    contents.int64_contents = vec![1; 10_000];
    let status = client
        .call::<ModelInferResponse>(INFER, request)
        .await
        .unwrap_err();
    is(
        &status,
        Code::Unavailable,
        "overloaded",
        "Model m is overloaded",
    );
    assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
    assert_eq!(status.metadata().get("retry-after-ms").unwrap(), "1000");
    assert!(server.metrics().contains("aimass_server_buffered_bytes 0"));
}

#[tokio::test]
async fn calls_without_tensors_are_small() {
    let (_server, _port, client) = linear(settings()).await;
    let path = "inference.GRPCInferenceService/ServerLive";
    assert!(
        client
            .call::<ServerLiveResponse>(path, ServerLiveRequest {})
            .await
            .is_ok()
    );
    let status = client
        .call::<ServerLiveResponse>(path, asks_raw(&[1.0; 20_000]))
        .await
        .unwrap_err();
    is(
        &status,
        Code::OutOfRange,
        "body_too_large",
        "Request body exceeds 65536 bytes",
    );
}

#[tokio::test]
async fn an_answer_is_as_large_as_its_limit_at_most() {
    let (_server, _port, client) = linear(Settings {
        max_response: 64,
        ..settings()
    })
    .await;
    let status = refused(&client, &[1.0; 20], None).await;
    is(
        &status,
        Code::InvalidArgument,
        "result_too_large",
        "Response exceeds 64 bytes",
    );
}

#[tokio::test]
async fn more_rows_than_allowed_are_refused() {
    let (_server, _port, client) = linear(settings()).await;
    let status = refused(&client, &vec![1.0; 70_000], None).await;
    let text = "Request has 70000 rows, at most 65536 are allowed";
    is(&status, Code::InvalidArgument, "bad_request", text);
}

#[tokio::test]
async fn too_many_requests_are_overload() {
    let (_server, _port, client) = linear(Settings {
        max_in_flight: 0,
        ..settings()
    })
    .await;
    let status = refused(&client, &[1.0], None).await;
    is(
        &status,
        Code::Unavailable,
        "overloaded",
        "Model m is overloaded",
    );
}

#[tokio::test]
async fn a_message_that_comes_too_slowly_is_refused_in_words_of_grpc() {
    let server = Server::with("linear.onnx", settings());
    let limits = Limits {
        body_window: Duration::from_millis(100),
        body_window_bytes: 1 << 10,
        ..Limits::default()
    };
    let port = Port::with(&server, limits).await;
    let client = port.client().await;
    let never = futures_util::stream::pending::<Result<axum::body::Bytes, std::io::Error>>();
    let body = axum::body::Body::from_stream(never);
    let answer = client.send("POST", INFER, &GRPC, body).await;
    answer.refuses("4", "body_too_slow", "Request body arrived too slowly");
    // The connection serves on.
    assert!(
        client
            .call::<ModelInferResponse>(INFER, asks(&[1.0]))
            .await
            .is_ok()
    );
}
