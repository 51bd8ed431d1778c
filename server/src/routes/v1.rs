//! TensorFlow Serving's routes, `/v1`.
//!
//! Called by `routes`. Order of checks: route, draining, model and version, ready; the rest in `infer`.

use aimass_protocol::v1::{
    Classes, Examples, Form, Pick, Predict, Results, Route, State as Life, Target, VersionStatus,
    classes, metadata_document, models_document, parse, parse_examples, parse_path, regressions,
    status_document, unknown_servable, unknown_status, write, write_classes, write_regressions,
};
use aimass_protocol::ws::Dialect;
use aimass_protocol::{Checks, Error, Nonfinite, Tensor};
use axum::body::Body;
use axum::http::Request;

use super::infer::{Decoded, check_draining, infer, ready_model};
use super::record::Trace;
use super::reply::Reply;
use super::{caller, ws};
use crate::model::Model;
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
        Route::Classify(target) => {
            trace.method("classify");
            check_draining(state)?;
            check_target(settings, &target)?;
            classify(state, request, trace).await
        }
        Route::Regress(target) => {
            trace.method("regress");
            check_draining(state)?;
            check_target(settings, &target)?;
            regress(state, request, trace).await
        }
    }
}

async fn predict(state: &State, request: Request<Body>, trace: &mut Trace) -> Result<Reply, Error> {
    let (checks, nonfinite) = modes(state, &request)?;
    let limit = state.settings().max_response;
    let read = move |body: &[u8], model: &Model| {
        let Predict { form, inputs } = parse(body, model.signature(), checks)?;
        decoded(model, checks, inputs, form)
    };
    let write = move |form: Form, model: &Model, outputs: &[Tensor]| {
        write(form, model.signature(), outputs, nonfinite, limit).map(Reply::json)
    };
    infer(state, request, trace, read, write).await
}

async fn classify(
    state: &State,
    request: Request<Body>,
    trace: &mut Trace,
) -> Result<Reply, Error> {
    let (checks, nonfinite) = modes(state, &request)?;
    let limit = state.settings().max_response;
    let read = move |body: &[u8], model: &Model| {
        let Examples { inputs, count } = parse_examples(body, model.signature(), checks)?;
        let classes = classes(model.signature())?;
        decoded(model, checks, inputs, (classes, count))
    };
    let write = move |(classes, count): (Classes, usize), model: &Model, outputs: &[Tensor]| {
        let results = Results {
            count,
            labels: model.labels(),
            nonfinite,
            limit,
        };
        write_classes(classes, outputs, &results).map(Reply::json)
    };
    infer(state, request, trace, read, write).await
}

async fn regress(state: &State, request: Request<Body>, trace: &mut Trace) -> Result<Reply, Error> {
    let (checks, nonfinite) = modes(state, &request)?;
    let limit = state.settings().max_response;
    let read = move |body: &[u8], model: &Model| {
        let Examples { inputs, count } = parse_examples(body, model.signature(), checks)?;
        let output = regressions(model.signature())?;
        decoded(model, checks, inputs, (output, count))
    };
    let write = move |(output, count): (usize, usize), _: &Model, outputs: &[Tensor]| {
        let results = Results {
            count,
            labels: &[],
            nonfinite,
            limit,
        };
        write_regressions(output, outputs, &results).map(Reply::json)
    };
    infer(state, request, trace, read, write).await
}

/// How the body is read, and how numbers are written that JSON cannot express.
fn modes(state: &State, request: &Request<Body>) -> Result<(Checks, Nonfinite), Error> {
    let checks = state.settings().checks;
    let default = match checks {
        Checks::Lenient => Nonfinite::Token,
        Checks::Strict => Nonfinite::String,
    };
    Ok((checks, caller::nonfinite(request.headers(), default)?))
}

/// Declared shapes bind under strict checks, else they are advice.
fn decoded<R>(
    model: &Model,
    checks: Checks,
    inputs: Vec<Tensor>,
    rest: R,
) -> Result<Decoded<R>, Error> {
    let misfit = model.signature().fits(&inputs).err();
    match (checks, misfit) {
        (Checks::Strict, Some(misfit)) => Err(misfit),
        (_, misfit) => Ok(Decoded {
            inputs,
            misfit,
            timeout: None,
            rest,
        }),
    }
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
