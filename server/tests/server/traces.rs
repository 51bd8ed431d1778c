//! Traces: the real binary, and a collector on a port of this process that keeps what it is sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aimass_chassis::tasks::Tasks;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::process::{binary, end, ready_as, ready_with, terminate};

type Spans = Arc<Mutex<Vec<Span>>>;

/// A collector: its port, and the spans that it was sent.
async fn collector() -> (u16, Spans) {
    let spans = Spans::default();
    let keep = |State(spans): State<Spans>, body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let resources = request.resource_spans.into_iter();
        let found = resources.flat_map(|resource| resource.scope_spans);
        let found = found.flat_map(|scope| scope.spans);
        spans.lock().unwrap().extend(found);
    };
    let app = Router::new()
        .route("/v1/traces", post(keep))
        .with_state(Arc::clone(&spans));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    Tasks::new().spawn("collector", async move {
        axum::serve(listener, app).await.unwrap();
    });
    (port, spans)
}

async fn predict(port: u16, traceparent: &str, body: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST /v1/models/default:predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
         traceparent: {traceparent}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_request_is_a_span_of_its_callers_trace_with_the_parts_of_its_way() {
    let (collector, spans) = collector().await;
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("--otlp-endpoint=http://127.0.0.1:{collector}");
    let (mut running, [data, _]) = ready_with(folder.path(), &[&endpoint, "--trace-ratio=0"]).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let body = r#"{"instances":[[1.0],[2.0]]}"#;
    predict(data, &format!("00-{trace}-b7ad6b7169203331-01"), body).await;
    // Its caller does not want a trace, and nobody else does.
    predict(data, &format!("00-{trace}-b7ad6b7169203332-00"), body).await;
    predict(data, "", body).await;
    // What waits is sent when the process ends.
    terminate(&running);
    assert_eq!(end(&mut running.0).await.code(), Some(0));

    let spans = spans.lock().unwrap().clone();
    let mut names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["decode", "encode", "infer", "queue", "tfs predict"]);
    assert!(spans.iter().all(|span| hex(&span.trace_id) == trace));
    let request = spans
        .iter()
        .find(|span| span.name == "tfs predict")
        .unwrap();
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    for span in spans.iter().filter(|span| span.name != "tfs predict") {
        assert_eq!(span.parent_span_id, request.span_id, "{}", span.name);
        assert!(span.start_time_unix_nano >= request.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= request.end_time_unix_nano);
    }
    let rows = request
        .attributes
        .iter()
        .find(|pair| pair.key == "aimass.rows");
    assert!(rows.is_some(), "{:?}", request.attributes);
}

#[tokio::test]
async fn the_access_log_names_the_trace_also_where_none_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let lines = tempfile::NamedTempFile::new().unwrap();
    let mut binary = binary();
    binary.stdout(lines.reopen().unwrap());
    let flags = ["--log-level=aimass_server::access=debug"];
    let (mut running, [data, _]) = ready_as(binary, folder.path(), &flags).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let body = r#"{"instances":[[1.0]]}"#;
    predict(data, &format!("00-{trace}-b7ad6b7169203331-00"), body).await;
    predict(data, "00-nonsense", body).await;
    terminate(&running);
    assert_eq!(end(&mut running.0).await.code(), Some(0));
    let text = std::fs::read_to_string(lines.path()).unwrap();
    let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let requests = text.lines().map(json);
    let requests = requests.filter(|line| line["request.method"] == "predict");
    let traces: Vec<serde_json::Value> = requests.map(|line| line["trace.id"].clone()).collect();
    assert_eq!(traces, [trace.into(), serde_json::Value::Null]);
}

#[tokio::test]
async fn a_collector_that_is_not_there_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--otlp-endpoint=http://127.0.0.1:1", "--trace-ratio=1"];
    let (mut running, [data, _]) = ready_with(folder.path(), &flags).await;
    for _ in 0..3 {
        predict(data, "", r#"{"instances":[[1.0]]}"#).await;
    }
    terminate(&running);
    let ended = tokio::time::timeout(Duration::from_secs(10), end(&mut running.0)).await;
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_collector_that_no_client_can_be_made_for_costs_the_traces_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = binary();
    // As in an image without certificate authorities.
    command.env("SSL_CERT_FILE", folder.path().join("none"));
    command.env("SSL_CERT_DIR", folder.path().join("none"));
    let log = folder.path().join("log");
    command.stdout(std::fs::File::create(&log).unwrap());
    let flags = ["--otlp-endpoint=https://127.0.0.1:1"];
    let (mut running, _) = ready_as(command, folder.path(), &flags).await;
    terminate(&running);
    assert_eq!(end(&mut running.0).await.code(), Some(0));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("no traces are sent"), "{log}");
    assert!(log.contains("certificate"), "{log}");
}
