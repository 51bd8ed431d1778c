//! gRPC's routes: the Open Inference Protocol's service and the health service.
//!
//! Called by `routes` for HTTP/2 requests of content type `application/grpc`. Order of checks: route, draining, ready; then
//! in `infer` as for every protocol, but for model and version, which stand inside the message.

pub(super) mod message;
mod reply;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aimass_protocol::error::cut;
use aimass_protocol::grpc::health::health_check_response::ServingStatus;
use aimass_protocol::grpc::health::{
    self as health_protocol, HealthCheckRequest, HealthCheckResponse,
};
use aimass_protocol::grpc::{
    self as protocol, Answer, ModelInferRequest, ModelMetadataRequest, ModelMetadataResponse,
    ModelReadyRequest, ModelReadyResponse, ServerLiveRequest, ServerLiveResponse,
    ServerMetadataRequest, ServerReadyRequest, ServerReadyResponse,
};
use aimass_protocol::v2::Requested;
use aimass_protocol::{Error, Kind, Tensor};
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, Request, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use prost::Message;

use super::health::problem;
use super::infer::{Deadline, Decoded, LARGE_BYTES, check_draining, infer_owned, ready_model};
use super::record::Trace;
use super::v2::check_target;
use super::wire::Wire;
use crate::model::Model;
use crate::state::State;

/// Answers one call.
pub(super) async fn answer(state: &State, request: Request<Body>) -> Response<Body> {
    let mut trace = Trace::begin(state, &request);
    trace.protocol("grpc");
    // A panic ends this request alone.
    let result = AssertUnwindSafe(route(state, request, &mut trace))
        .catch_unwind()
        .await;
    let result = result.unwrap_or_else(|_| Err(Error::internal(trace.id())));
    reply::respond(trace, result)
}

async fn route(state: &State, request: Request<Body>, trace: &mut Trace) -> Result<Vec<u8>, Error> {
    check_content_type(request.headers())?;
    let path = request.uri().path().to_owned();
    let (service, method) = path
        .strip_prefix('/')
        .and_then(|path| path.split_once('/'))
        .unwrap_or_default();
    if request.method() != Method::POST {
        let shown = cut(&path);
        let text = format!(
            "Method {} not allowed: {shown}",
            cut(request.method().as_str())
        );
        return Err(Error::new(Kind::MethodNotAllowed, text));
    }
    match (service, method) {
        (protocol::SERVICE, "ServerLive") => {
            trace.method("ready");
            small(state, request, trace, |_: ServerLiveRequest, _| {
                Ok(ServerLiveResponse { live: true })
            })
            .await
        }
        (protocol::SERVICE, "ServerReady") => {
            trace.method("ready");
            small(state, request, trace, |_: ServerReadyRequest, _| {
                let ready = problem(state).is_none();
                Ok(ServerReadyResponse { ready })
            })
            .await
        }
        (protocol::SERVICE, "ModelReady") => {
            trace.method("ready");
            small(state, request, trace, |asked: ModelReadyRequest, trace| {
                check_model(state, trace.serving().version, asked.name, &asked.version)?;
                let ready = problem(state).is_none();
                Ok(ModelReadyResponse { ready })
            })
            .await
        }
        (protocol::SERVICE, "ServerMetadata") => {
            trace.method("metadata");
            small(state, request, trace, |_: ServerMetadataRequest, _| {
                Ok(protocol::server_metadata(env!("CARGO_PKG_VERSION")))
            })
            .await
        }
        (protocol::SERVICE, "ModelMetadata") => {
            trace.method("metadata");
            check_draining(state)?;
            small(state, request, trace, |asked, trace| {
                metadata(state, asked, trace)
            })
            .await
        }
        (protocol::SERVICE, "ModelInfer") => {
            trace.method("infer");
            check_draining(state)?;
            infer(state, request, trace).await
        }
        (health_protocol::SERVICE, "Check") => {
            trace.method("ready");
            small(state, request, trace, |asked, _| {
                check_health(state, &asked)
            })
            .await
        }
        _ => {
            let text = format!("Not found: POST {}", cut(&path));
            Err(Error::new(Kind::NotFound, text))
        }
    }
}

/// Messages are in the encoding of protocol buffers, which needs not be named.
fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    let value = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let text = String::from_utf8_lossy(value.unwrap_or_default());
    let media = text.split(';').next().unwrap_or_default().trim_end();
    if matches!(media, "application/grpc" | "application/grpc+proto") {
        return Ok(());
    }
    let text = format!("Unsupported Content-Type: {}", cut(&text));
    Err(Error::new(Kind::UnsupportedEncoding, text))
}

/// A call whose message has a name or two.
async fn small<Q: Message + Default, A: Message>(
    state: &State,
    request: Request<Body>,
    trace: &mut Trace,
    handle: impl FnOnce(Q, &mut Trace) -> Result<A, Error>,
) -> Result<Vec<u8>, Error> {
    let (head, body) = request.into_parts();
    Wire::Grpc.check_head(state, &head.headers)?;
    let deadline = Deadline::of(state, Wire::Grpc.timeout(&head.headers)?, trace);
    let limit = state.settings().max_body.min(LARGE_BYTES);
    let read = Wire::Grpc.read(state, &head.headers, body, limit);
    let received = deadline.bound(state, read).await?;
    trace.request_bytes = received.bytes.len();
    let (bytes, _reservation) = received.into_parts();
    let message = handle(protocol::decode(bytes)?, trace)?;
    framed(state, &message)
}

fn framed(state: &State, message: &impl Message) -> Result<Vec<u8>, Error> {
    let too_large = || Error::result_too_large(state.settings().max_response);
    protocol::frame(message).ok_or_else(too_large)
}

fn check_model(
    state: &State,
    served: Option<i64>,
    name: String,
    version: &str,
) -> Result<(), Error> {
    check_target(state, served, &protocol::target(name, version)?)
}

fn metadata(
    state: &State,
    asked: ModelMetadataRequest,
    trace: &mut Trace,
) -> Result<ModelMetadataResponse, Error> {
    check_model(state, trace.serving().version, asked.name, &asked.version)?;
    let model = ready_model(state, trace)?;
    let (name, version) = (&state.settings().model_name, model.version());
    Ok(protocol::model_metadata(name, version, model.signature()))
}

fn check_health(state: &State, asked: &HealthCheckRequest) -> Result<HealthCheckResponse, Error> {
    let known = ["", protocol::SERVICE, health_protocol::SERVICE];
    if !known.contains(&asked.service.as_str()) {
        // Clients know NOT_FOUND, whatever it is that was not found.
        let text = format!("Service {} not found", cut(&asked.service));
        return Err(Error::new(Kind::UnknownModel, text));
    }
    let status = match problem(state) {
        None => ServingStatus::Serving,
        Some(_) => ServingStatus::NotServing,
    };
    Ok(HealthCheckResponse {
        status: status.into(),
    })
}

/// What the answer needs to know of the request.
struct Asked {
    id: Option<String>,
    outputs: Vec<Requested>,
}

async fn infer(state: &State, request: Request<Body>, trace: &mut Trace) -> Result<Vec<u8>, Error> {
    let (reading, writing) = (state.clone(), state.clone());
    let read = move |bytes: Bytes, model: &Model| read(&reading, bytes, model);
    let write = move |asked: Asked, model: &Model, outputs: &[Tensor]| {
        write(&writing, &asked, model, outputs)
    };
    infer_owned(state, request, trace, read, write).await
}

fn read(state: &State, bytes: Bytes, model: &Model) -> Result<Decoded<Asked>, Error> {
    let memory = protocol::survey(&bytes)?;
    // Numbers of one byte become eight: they count like a body as long as they are held.
    let mut decoded = state.reserve();
    if !decoded.grow(memory) {
        return Err(Error::overloaded(&state.settings().model_name));
    }
    let mut message: ModelInferRequest = protocol::decode(bytes)?;
    let name = std::mem::take(&mut message.model_name);
    check_model(state, Some(model.version()), name, &message.model_version)?;
    let infer = protocol::parse(message, model.signature())?;
    Ok(Decoded {
        inputs: infer.inputs,
        misfit: None,
        timeout: infer.timeout_us.map(Duration::from_micros),
        rest: Asked {
            id: infer.id,
            outputs: infer.outputs,
        },
    })
}

fn write(
    state: &State,
    asked: &Asked,
    model: &Model,
    outputs: &[Tensor],
) -> Result<Vec<u8>, Error> {
    let settings = state.settings();
    let answer = Answer {
        model: &settings.model_name,
        version: model.version(),
        id: asked.id.as_deref(),
        limit: settings.max_response,
    };
    let message = protocol::answer(&answer, model.signature(), &asked.outputs, outputs)?;
    framed(state, &message)
}
