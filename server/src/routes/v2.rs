//! The Open Inference Protocol's routes, `/v2`.
//!
//! Called by `routes`. Order of checks: route, draining, model and version, ready; the rest in `infer`.

use std::time::Duration;

use aimass_protocol::v2::{
    Answer, HEADER_LENGTH, Model as ModelDocument, Route, Target, allowed_methods, model_document,
    parse, parse_path, server_document, unknown_model, write,
};
use aimass_protocol::ws::Dialect;
use aimass_protocol::{Error, Nonfinite};
use axum::body::Body;
use axum::http::{HeaderName, Request};

use super::infer::{Decoded, check_draining, infer, ready_model};
use super::record::Trace;
use super::reply::Reply;
use super::{caller, health, ws};
use crate::state::State;

pub(super) async fn answer(
    state: &State,
    request: Request<Body>,
    trace: &mut Trace,
) -> Result<Reply, Error> {
    let settings = state.settings();
    let path = request.uri().path();
    if let Some(allowed) = allowed_methods(path) {
        trace.set_allowed(allowed);
    }
    match parse_path(request.method().as_str(), path)? {
        Route::Server => {
            trace.method("metadata");
            Ok(Reply::json(server_document(env!("CARGO_PKG_VERSION"))))
        }
        Route::Live => Ok(health::live(trace)),
        Route::Ready => Ok(health::ready(state, trace)),
        Route::Models => {
            trace.method("list");
            let names = [settings.model_name.as_str()];
            Ok(Reply::json(aimass_protocol::v1::models_document(&names)))
        }
        Route::Metadata(target) => {
            trace.method("metadata");
            check_draining(state)?;
            check_target(state, trace.serving().version, &target)?;
            metadata(state, trace)
        }
        Route::ModelReady(target) => {
            check_target(state, trace.serving().version, &target)?;
            Ok(health::model_ready(state, trace))
        }
        Route::Infer(target) => {
            trace.method("infer");
            check_draining(state)?;
            check_target(state, trace.serving().version, &target)?;
            run(state, request, trace).await
        }
        Route::WebSocket(target) => {
            check_draining(state)?;
            check_target(state, trace.serving().version, &target)?;
            ws::upgrade(state, request, trace, Dialect::Oip)
        }
    }
}

/// Whether `target` is what answers here, in version `served` if that is known.
pub(super) fn check_target(
    state: &State,
    served: Option<i64>,
    target: &Target,
) -> Result<(), Error> {
    if target.model != state.settings().model_name {
        // The model's name is wrong: its version does not matter.
        let model = target.model.clone();
        return Err(unknown_model(&Target {
            model,
            version: None,
        }));
    }
    // Before any version is known, all are as unready as the model.
    match (target.version, served) {
        (Some(version), Some(served)) if version != served => Err(unknown_model(target)),
        _ => Ok(()),
    }
}

fn metadata(state: &State, trace: &mut Trace) -> Result<Reply, Error> {
    let model = ready_model(state, trace)?;
    let settings = state.settings();
    let rows = model.max_rows_at_once().to_string();
    let mut properties = vec![("digest", model.digest())];
    properties.extend(
        settings
            .revision
            .as_deref()
            .map(|revision| ("revision", revision)),
    );
    properties.extend([
        ("engine", model.engine()),
        ("engine_reason", model.because().word()),
        ("max_batch_size", rows.as_str()),
    ]);
    Ok(Reply::json(model_document(&ModelDocument {
        name: &settings.model_name,
        version: model.version(),
        signature: model.signature(),
        properties: &properties,
    })))
}

async fn run(state: &State, request: Request<Body>, trace: &mut Trace) -> Result<Reply, Error> {
    let settings = state.settings();
    let nonfinite = caller::nonfinite(request.headers(), Nonfinite::String)?;
    let header = request.headers().get(HEADER_LENGTH);
    let length = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let checks = settings.checks;
    let read = move |body: &[u8], model: &crate::model::Model| {
        let infer = parse(body, length.as_deref(), model.signature(), checks)?;
        Ok(Decoded {
            inputs: infer.inputs,
            misfit: None,
            timeout: infer.timeout_us.map(Duration::from_micros),
            rest: (infer.id, infer.outputs),
        })
    };
    let serving = state.clone();
    infer(
        state,
        request,
        trace,
        read,
        move |(id, requested), model, outputs| {
            let id: Option<String> = id;
            let settings = serving.settings();
            let answer = Answer {
                model: &settings.model_name,
                version: model.version(),
                id: id.as_deref(),
                nonfinite,
                limit: settings.max_response,
            };
            let response = write(&answer, model.signature(), &requested, outputs)?;
            let mut reply = Reply::json(response.body);
            if let Some(length) = response.header_length {
                reply.content_type = "application/octet-stream";
                let name = HeaderName::from_static("inference-header-content-length");
                reply.headers.push((name, length.into()));
            }
            Ok(reply)
        },
    )
    .await
}
