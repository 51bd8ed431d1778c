//! TensorFlow Serving's routes, `/v1`.
//!
//! Called by `routes`. Order of checks: route, draining, model and version, ready; the rest in `infer`.

use aimass_protocol::v1::{
    Form, Pick, Predict, Route, State as Life, Target, VersionStatus, metadata_document,
    models_document, parse, parse_path, status_document, unknown_servable, unknown_status, write,
};
use aimass_protocol::ws::Dialect;
use aimass_protocol::{Checks, Error, Nonfinite};
use axum::body::Body;
use axum::http::Request;

use super::infer::{Decoded, check_draining, infer, ready_model};
use super::record::Trace;
use super::reply::Reply;
use super::{caller, ws};
use crate::state::{Settings, Slot, State};

pub(super) async fn answer(
    state: &State,
    request: Request<Body>,
    trace: &mut Trace,
) -> Result<Reply, Error> {
    let settings = state.settings();
    match parse_path(request.method().as_str(), request.uri().path())? {
        Route::Models => {
            trace.method("list");
            Ok(Reply::json(models_document(&[&settings.model_name])))
        }
        Route::Status(target) => {
            trace.method("status");
            if !serves(settings, &target) {
                return Err(unknown_status(&target));
            }
            Ok(Reply::json(status_document(&[status(state)])))
        }
        Route::Metadata(target) => {
            trace.method("metadata");
            check_draining(state)?;
            check_target(settings, &target)?;
            let model = ready_model(state, trace)?;
            let (name, version) = (&settings.model_name, settings.model_version);
            Ok(Reply::json(metadata_document(
                name,
                version,
                model.signature(),
            )))
        }
        Route::Predict(target) => {
            trace.method("predict");
            check_draining(state)?;
            check_target(settings, &target)?;
            predict(state, request, trace).await
        }
        Route::WebSocket(target) => {
            check_draining(state)?;
            check_target(settings, &target)?;
            ws::upgrade(state, request, trace, Dialect::Tfs)
        }
    }
}

async fn predict(state: &State, request: Request<Body>, trace: &mut Trace) -> Result<Reply, Error> {
    let settings = state.settings();
    let checks = settings.checks;
    let default = match checks {
        Checks::Lenient => Nonfinite::Token,
        Checks::Strict => Nonfinite::String,
    };
    let nonfinite = caller::nonfinite(request.headers(), default)?;
    let limit = settings.max_response;
    let read = move |body: &[u8], model: &crate::model::Model| {
        let Predict { form, inputs } = parse(body, model.signature(), checks)?;
        model.signature().fits(&inputs)?;
        Ok(Decoded {
            inputs,
            timeout: None,
            rest: form,
        })
    };
    infer(
        state,
        request,
        trace,
        read,
        move |form: Form, model, outputs| {
            write(form, model.signature(), outputs, nonfinite, limit).map(Reply::json)
        },
    )
    .await
}

/// Whether this process answers for `target`.
fn serves(settings: &Settings, target: &Target) -> bool {
    target.model == settings.model_name
        && match &target.pick {
            Pick::Any => true,
            Pick::Version(version) => *version == settings.model_version,
            Pick::Label(label) => settings.labels.get(label) == Some(&settings.model_version),
        }
}

fn check_target(settings: &Settings, target: &Target) -> Result<(), Error> {
    if serves(settings, target) {
        return Ok(());
    }
    if target.model == settings.model_name {
        return Err(unknown_servable(target));
    }
    // The model's name is wrong: its version does not matter.
    let model = target.model.clone();
    Err(unknown_servable(&Target {
        model,
        pick: Pick::Any,
    }))
}

fn status(state: &State) -> VersionStatus {
    let life = match state.slot() {
        _ if state.is_stopping() => Life::Unloading,
        Slot::Loading | Slot::Quarantined => Life::Loading,
        Slot::Ready(_) => Life::Available,
    };
    VersionStatus {
        version: state.settings().model_version,
        state: life,
        error_code: "OK",
        error_message: String::new(),
    }
}
