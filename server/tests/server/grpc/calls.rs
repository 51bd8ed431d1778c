//! Calls that succeed.

use aimass_protocol::grpc::health::{HealthCheckRequest, HealthCheckResponse};
use aimass_protocol::grpc::model_infer_request::InferInputTensor;
use aimass_protocol::grpc::{
    InferTensorContents, ModelInferRequest, ModelInferResponse, ModelMetadataRequest,
    ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse, ServerLiveRequest,
    ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse,
};
use tonic::Request;
use tonic::codec::CompressionEncoding;

use super::port::{Client, Port, framed};
use crate::serving::{Server, settings};

pub(crate) const INFER: &str = "inference.GRPCInferenceService/ModelInfer";

/// What the linear model doubles.
pub(crate) fn asks(values: &[f32]) -> ModelInferRequest {
    let contents = InferTensorContents {
        fp32_contents: values.to_vec(),
        ..InferTensorContents::default()
    };
    ModelInferRequest {
        model_name: "m".to_owned(),
        id: "42".to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![i64::try_from(values.len()).unwrap(), 1],
            contents: Some(contents),
            ..InferInputTensor::default()
        }],
        ..ModelInferRequest::default()
    }
}

/// [`asks`], as bytes.
pub(crate) fn asks_raw(values: &[f32]) -> ModelInferRequest {
    let mut request = asks(values);
    request.inputs[0].contents = None;
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    request.raw_input_contents = vec![bytes.into()];
    request
}

async fn linear() -> (Server, Port, Client) {
    let server = Server::with("linear.onnx", settings());
    let port = Port::open(&server).await;
    let client = port.client().await;
    (server, port, client)
}

#[tokio::test]
async fn typed_requests_get_typed_answers_and_raw_ones_raw() {
    let (_server, _port, client) = linear().await;
    let answer: ModelInferResponse = client
        .call(INFER, asks(&[1.0, 2.0]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            answer.model_name.as_str(),
            answer.model_version.as_str(),
            answer.id.as_str()
        ),
        ("m", "7", "42")
    );
    let output = &answer.outputs[0];
    assert_eq!(
        (output.datatype.as_str(), output.shape.as_slice()),
        ("FP32", [2, 1].as_slice())
    );
    assert_eq!(output.contents.as_ref().unwrap().fp32_contents, [2.0, 4.0]);
    let answer: ModelInferResponse = client
        .call(INFER, asks_raw(&[1.0, 2.0]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.outputs[0].contents, None);
    assert_eq!(
        answer.raw_output_contents,
        [[2.0_f32.to_le_bytes(), 4.0_f32.to_le_bytes()].concat()]
    );
}

#[tokio::test]
async fn an_answer_says_who_made_it_and_is_counted() {
    let (server, _port, client) = linear().await;
    let mut request = Request::new(asks(&[1.0, 2.0, 3.0]));
    request
        .metadata_mut()
        .insert("x-request-id", "call-1".parse().unwrap());
    let answer = client
        .ask::<ModelInferResponse>(INFER, request, None)
        .await
        .unwrap();
    let metadata = answer.metadata();
    let header = |name| metadata.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("x-request-id"), "call-1");
    assert_eq!(header("aimass-model-version"), "7");
    assert_eq!(header("aimass-revision"), "m-abc");
    assert!(header("aimass-model-digest").starts_with("sha256:"));
    // Rows run one by one until batches are measured.
    assert_eq!(header("aimass-batch-rows"), "1");
    assert!(header("server-timing").starts_with("decode;dur="));
    let line =
        r#"aimass_server_requests_total{protocol="grpc",method="infer",code="200",kind="ok"} 1"#;
    assert!(server.metrics().contains(line), "{}", server.metrics());
    assert!(server.metrics().contains("aimass_server_buffered_bytes 0"));
}

#[tokio::test]
async fn a_success_ends_with_a_status_in_its_trailers() {
    let (_server, _port, client) = linear().await;
    let headers = [
        ("content-type", "application/grpc+proto"),
        ("te", "trailers"),
    ];
    let answer = client
        .raw("POST", INFER, &headers, framed(&asks(&[1.0])))
        .await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/grpc")
    );
    let trailers = answer.trailers.unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert!(!answer.headers.contains_key("grpc-status"));
}

#[tokio::test]
async fn large_messages_are_read_and_written_whole() {
    let (_server, _port, client) = linear().await;
    let values: Vec<f32> = (1..=50_000_u16).map(f32::from).collect();
    let doubled: Vec<f32> = values.iter().map(|value| value * 2.0).collect();
    let answer: ModelInferResponse = client
        .call(INFER, asks(&values))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        answer.outputs[0].contents.as_ref().unwrap().fp32_contents,
        doubled
    );
    let gzip = Some(CompressionEncoding::Gzip);
    let answer = client
        .ask::<ModelInferResponse>(INFER, Request::new(asks_raw(&values)), gzip)
        .await
        .unwrap();
    let expect: Vec<u8> = doubled
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    assert_eq!(answer.into_inner().raw_output_contents, [expect]);
}

#[tokio::test]
async fn metadata_names_server_model_and_tensors() {
    let (_server, _port, client) = linear().await;
    let path = "inference.GRPCInferenceService/ServerMetadata";
    let server: ServerMetadataResponse = client
        .call(path, ServerMetadataRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (server.name.as_str(), server.version.as_str()),
        ("aimass", env!("CARGO_PKG_VERSION"))
    );
    let path = "inference.GRPCInferenceService/ModelMetadata";
    let asked = ModelMetadataRequest {
        name: "m".to_owned(),
        version: "7".to_owned(),
    };
    let answer = client
        .call::<ModelMetadataResponse>(path, asked)
        .await
        .unwrap();
    assert_eq!(answer.metadata().get("aimass-revision").unwrap(), "m-abc");
    let model = answer.into_inner();
    assert_eq!(model.versions, ["7"]);
    let input = &model.inputs[0];
    assert_eq!(
        (
            input.name.as_str(),
            input.datatype.as_str(),
            input.shape.as_slice()
        ),
        ("x", "FP32", [-1, 1].as_slice())
    );
}

/// Live, ready, ready by name, and health as gRPC has it.
async fn health(client: &Client) -> (bool, bool, bool, i32) {
    let service = |method: &str| format!("inference.GRPCInferenceService/{method}");
    let live = client
        .call::<ServerLiveResponse>(&service("ServerLive"), ServerLiveRequest {})
        .await;
    let ready = client
        .call::<ServerReadyResponse>(&service("ServerReady"), ServerReadyRequest {})
        .await;
    let asked = ModelReadyRequest {
        name: "m".to_owned(),
        version: String::new(),
    };
    let model = client
        .call::<ModelReadyResponse>(&service("ModelReady"), asked)
        .await;
    let asked = HealthCheckRequest {
        service: "inference.GRPCInferenceService".to_owned(),
    };
    let check = client
        .call::<HealthCheckResponse>("grpc.health.v1.Health/Check", asked)
        .await;
    let whole = HealthCheckRequest::default();
    let all = client
        .call::<HealthCheckResponse>("grpc.health.v1.Health/Check", whole)
        .await;
    let status = check.unwrap().into_inner().status;
    assert_eq!(all.unwrap().into_inner().status, status);
    (
        live.unwrap().into_inner().live,
        ready.unwrap().into_inner().ready,
        model.unwrap().into_inner().ready,
        status,
    )
}

#[tokio::test]
async fn health_is_told_before_while_and_after_the_model_answers() {
    let server = Server::loading(settings());
    let port = Port::open(&server).await;
    let client = port.client().await;
    assert_eq!(health(&client).await, (true, false, false, 2));
    let (server, _port, client) = linear().await;
    assert_eq!(health(&client).await, (true, true, true, 1));
    server.state.stop();
    assert_eq!(health(&client).await, (true, false, false, 2));
    // Who was sent here is served to the end.
    assert!(
        client
            .call::<ModelInferResponse>(INFER, asks(&[1.0]))
            .await
            .is_ok()
    );
}
