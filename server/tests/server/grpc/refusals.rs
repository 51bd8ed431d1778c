//! Calls that are refused, each with its status, its kind and its text.

use aimass_protocol::grpc::health::{HealthCheckRequest, HealthCheckResponse};
use aimass_protocol::grpc::infer_parameter::ParameterChoice;
use aimass_protocol::grpc::{
    InferParameter, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
    ModelReadyRequest, ModelReadyResponse,
};
use prost::Message;
use tonic::{Code, Status};

use super::calls::{INFER, asks, asks_raw};
use super::port::{Client, Port, framed};
use crate::serving::{Server, settings};

#[track_caller]
fn is(status: &Status, code: Code, kind: &str, text: &str) {
    let seen = (status.code(), status.message());
    assert_eq!(seen, (code, text));
    assert_eq!(status.metadata().get("aimass-error").unwrap(), kind);
    assert!(status.metadata().contains_key("x-request-id"));
}

async fn open(server: &Server) -> (Port, Client) {
    let port = Port::open(server).await;
    let client = port.client().await;
    (port, client)
}

async fn refused(client: &Client, request: impl Message + 'static) -> Status {
    client
        .call::<ModelInferResponse>(INFER, request)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn models_and_versions_are_those_that_are_served() {
    let server = Server::with("linear.onnx", settings());
    let (_port, client) = open(&server).await;
    let mut other = asks(&[1.0]);
    other.model_name = "other".to_owned();
    let status = refused(&client, other).await;
    is(
        &status,
        Code::NotFound,
        "unknown_model",
        "Model other not found",
    );
    // Errors name the revision too.
    assert_eq!(status.metadata().get("aimass-model-version").unwrap(), "7");
    for version in ["9", "x"] {
        let mut other = asks(&[1.0]);
        other.model_version = version.to_owned();
        let text = format!("Model m has no version {version}");
        is(
            &refused(&client, other).await,
            Code::NotFound,
            "unknown_version",
            &text,
        );
    }
    let asked = ModelReadyRequest {
        name: "other".to_owned(),
        version: "1".to_owned(),
    };
    let path = "inference.GRPCInferenceService/ModelReady";
    let status = client
        .call::<ModelReadyResponse>(path, asked)
        .await
        .unwrap_err();
    is(
        &status,
        Code::NotFound,
        "unknown_model",
        "Model other not found",
    );
    let asked = ModelMetadataRequest {
        name: "m".to_owned(),
        version: "9".to_owned(),
    };
    let path = "inference.GRPCInferenceService/ModelMetadata";
    let status = client
        .call::<ModelMetadataResponse>(path, asked)
        .await
        .unwrap_err();
    is(
        &status,
        Code::NotFound,
        "unknown_version",
        "Model m has no version 9",
    );
    let asked = HealthCheckRequest {
        service: "other".to_owned(),
    };
    let status = client
        .call::<HealthCheckResponse>("grpc.health.v1.Health/Check", asked)
        .await
        .unwrap_err();
    is(
        &status,
        Code::NotFound,
        "unknown_model",
        "Service other not found",
    );
}

#[tokio::test]
async fn what_is_not_offered_is_unimplemented() {
    let server = Server::with("linear.onnx", settings());
    let (_port, client) = open(&server).await;
    let grpc = [("content-type", "application/grpc")];
    for path in [
        "inference.GRPCInferenceService/ModelStreamInfer",
        "inference.GRPCInferenceService/RepositoryModelLoad",
        "inference.GRPCInferenceService/",
        "inference.GRPCInferenceService",
        "inference.Other/ModelInfer",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "tensorflow.serving.PredictionService/Predict",
        "v2/models/m/infer",
    ] {
        let answer = client.raw("POST", path, &grpc, framed(&asks(&[1.0]))).await;
        answer.refuses("12", "bad_route", &format!("Not found: POST /{path}"));
    }
    let answer = client.raw("GET", INFER, &grpc, vec![]).await;
    answer.refuses(
        "12",
        "bad_route",
        &format!("Method GET not allowed: /{INFER}"),
    );
    for other in ["application/grpc+json", "application/grpc-web"] {
        let answer = client
            .raw("POST", INFER, &[("content-type", other)], vec![])
            .await;
        answer.refuses(
            "12",
            "unsupported_encoding",
            &format!("Unsupported Content-Type: {other}"),
        );
    }
    let metrics = server.metrics();
    let line = r#"{protocol="grpc",method="other",code="404",kind="bad_route"} 10"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn other_content_types_are_rest() {
    let server = Server::with("linear.onnx", settings());
    let (_port, client) = open(&server).await;
    let json = [("content-type", "application/json")];
    let answer = client.raw("POST", INFER, &json, vec![]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.body,
        format!(r#"{{"error":"Not found: POST /{INFER}"}}"#)
    );
    let body = br#"{"instances":[[1]]}"#.to_vec();
    let answer = client.raw("POST", "v1/models/m:predict", &json, body).await;
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, br#"{"predictions":[[2.0]]}"#.as_slice())
    );
}

#[tokio::test]
async fn a_bad_tensor_is_named() {
    let server = Server::with("linear.onnx", settings());
    let (_port, client) = open(&server).await;
    let mut wrong = asks_raw(&[1.0]);
    wrong.inputs[0].shape = vec![2, 1];
    let text = "Input \"x\": raw_input_contents of size 4, but shape [2,1] of FP32 needs 8";
    is(
        &refused(&client, wrong).await,
        Code::InvalidArgument,
        "bad_tensor",
        text,
    );
    let mut wrong = asks(&[1.0]);
    wrong.inputs[0].name = "é%".to_owned();
    let text = "Unknown input \"é%\"; the model has: x";
    is(
        &refused(&client, wrong).await,
        Code::InvalidArgument,
        "bad_request",
        text,
    );
    let mut wrong = asks(&[1.0]);
    wrong.inputs = vec![wrong.inputs[0].clone(); 300];
    let text = "\"inputs\" has more than 256 entries";
    is(
        &refused(&client, wrong).await,
        Code::InvalidArgument,
        "bad_request",
        text,
    );
}

#[tokio::test]
async fn a_server_that_cannot_answer_says_so() {
    let server = Server::loading(settings());
    let (_port, client) = open(&server).await;
    let text = "Model m is not ready: Loading";
    let status = refused(&client, asks(&[1.0])).await;
    is(&status, Code::Unavailable, "not_ready", text);
    assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
    let path = "inference.GRPCInferenceService/ModelMetadata";
    let asked = ModelMetadataRequest {
        name: "m".to_owned(),
        version: String::new(),
    };
    let status = client
        .call::<ModelMetadataResponse>(path, asked)
        .await
        .unwrap_err();
    is(&status, Code::Unavailable, "not_ready", text);
    server.state.abort();
    let status = refused(&client, asks(&[1.0])).await;
    is(
        &status,
        Code::Unavailable,
        "draining",
        "Server is shutting down",
    );
}

#[tokio::test]
async fn the_engines_failures_are_one_calls_failures() {
    let server = crate::panics::server();
    let (_port, client) = open(&server).await;
    let asks = |value: f32| {
        let mut request = asks(&[value]);
        request.inputs[0].shape = vec![1];
        request
    };
    let status = refused(&client, asks(13.0)).await;
    let id = status
        .metadata()
        .get("x-request-id")
        .unwrap()
        .to_str()
        .unwrap();
    is(
        &status,
        Code::Internal,
        "internal",
        &format!("Internal error, request {id}"),
    );
    let text = "Model execution failed: embed: index 14 is beyond 13";
    is(
        &refused(&client, asks(14.0)).await,
        Code::InvalidArgument,
        "engine_rejected",
        text,
    );
    assert!(
        client
            .call::<ModelInferResponse>(INFER, asks(1.0))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_deadline_is_the_sooner_one_of_head_and_message() {
    // No engine threads: nothing ever runs.
    let server = Server::loading(settings());
    let model = crate::serving::load(&crate::serving::testdata().join("linear.onnx")).unwrap();
    server
        .state
        .set_slot(aimass_server::state::Slot::Ready(model.into()));
    let (_port, client) = open(&server).await;
    let with = |name: &'static str, value: &str| {
        let mut request = tonic::Request::new(asks(&[1.0]));
        request.metadata_mut().insert(name, value.parse().unwrap());
        request
    };
    let call = async |request| {
        client
            .ask::<ModelInferResponse>(INFER, request, None)
            .await
            .unwrap_err()
    };
    let text = "Deadline of 20 ms exceeded";
    is(
        &call(with("grpc-timeout", "20m")).await,
        Code::DeadlineExceeded,
        "deadline",
        text,
    );
    is(
        &call(with("x-request-timeout-ms", "20")).await,
        Code::DeadlineExceeded,
        "deadline",
        text,
    );
    let mut request = with("grpc-timeout", "10S");
    let timeout = InferParameter {
        parameter_choice: Some(ParameterChoice::Int64Param(20_000)),
    };
    request
        .get_mut()
        .parameters
        .insert("timeout".to_owned(), timeout);
    is(
        &call(request).await,
        Code::DeadlineExceeded,
        "deadline",
        text,
    );
    let text = "Invalid grpc-timeout: \"soon\"";
    is(
        &call(with("grpc-timeout", "soon")).await,
        Code::InvalidArgument,
        "bad_request",
        text,
    );
    assert!(server.metrics().contains("aimass_server_queue_rows 0"));
}
