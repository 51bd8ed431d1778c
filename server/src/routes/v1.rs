//! TensorFlow Serving's routes, `/v1`.
//!
//! Called by `routes`. Order of checks: route, draining, model and version, ready; the rest in `infer`.

use aimass_protocol::v1::{
    Classes, Examples, Form, Pick, Predict, Results, Route, Target, VersionStatus, classes,
    metadata_document, models_document, parse, parse_examples, parse_path, regressions,
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
use crate::state::{Settings, State};

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
            let known = versions(state, &target);
            if known.is_empty() {
                return Err(unknown_status(&target));
            }
            Ok(Reply::json(status_document(&known)))
        }
        Route::Metadata(target) => {
            trace.method("metadata");
            check_draining(state)?;
            check_target(state, trace, &target)?;
            let model = ready_model(state, trace)?;
            Ok(Reply::json(metadata_document(
                &settings.model_name,
                model.version(),
                model.signature(),
            )))
        }
        Route::Predict(target) => {
            trace.method("predict");
            check_draining(state)?;
            check_target(state, trace, &target)?;
            predict(state, request, trace).await
        }
        Route::WebSocket(target) => {
            check_draining(state)?;
            check_target(state, trace, &target)?;
            ws::upgrade(state, request, trace, Dialect::Tfs)
        }
        Route::Classify(target) => {
            trace.method("classify");
            check_draining(state)?;
            check_target(state, trace, &target)?;
            classify(state, request, trace).await
        }
        Route::Regress(target) => {
            trace.method("regress");
            check_draining(state)?;
            check_target(state, trace, &target)?;
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

/// The version that `target` names; `Err` if it names one that nothing has.
fn named(settings: &Settings, target: &Target) -> Result<Option<i64>, Error> {
    match &target.pick {
        Pick::Any => Ok(None),
        Pick::Version(version) => Ok(Some(*version)),
        Pick::Label(label) => match settings.labels.get(label) {
            Some(version) => Ok(Some(*version)),
            None => Err(unknown_servable(target)),
        },
    }
}

fn check_target(state: &State, trace: &Trace, target: &Target) -> Result<(), Error> {
    let settings = state.settings();
    if target.model != settings.model_name {
        // The model's name is wrong: its version does not matter.
        let model = target.model.clone();
        return Err(unknown_servable(&Target {
            model,
            pick: Pick::Any,
        }));
    }
    // Before any version is known, all are as unready as the model.
    match (named(settings, target)?, trace.serving().version) {
        (Some(version), Some(served)) if version != served => Err(unknown_servable(target)),
        _ => Ok(()),
    }
}

/// What is known of the versions that `target` names, the highest first.
fn versions(state: &State, target: &Target) -> Vec<VersionStatus> {
    let settings = state.settings();
    let Ok(named) = named(settings, target) else {
        return Vec::new();
    };
    if target.model != settings.model_name {
        return Vec::new();
    }
    let mut versions = state.versions();
    versions.retain(|status| named.is_none_or(|version| version == status.version));
    versions
}
