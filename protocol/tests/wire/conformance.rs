//! The conformance tables against the codecs alone: routes, requests, answers. What needs headers, compression or a server
//! is left to the other places that run them.

use aimass_protocol::v1::{
    Pick, Results, Route, State, Target, VersionStatus, classes, metadata_document,
    models_document, parse, parse_examples, parse_path, regressions, status_document,
    unknown_servable, unknown_status, write, write_classes, write_regressions,
};
use aimass_protocol::{Checks, Error, Nonfinite, v2};

use crate::cases::{self, Case, VERSION};
use crate::twins::{Twin, twin};

const LIMIT: usize = 1 << 24;

#[test]
fn every_case_is_answered_as_its_table_says() {
    let mut failures = Vec::new();
    let mut count = 0;
    for case in cases::all() {
        if case.only == "server" {
            continue;
        }
        count += 1;
        let (status, body) = match answer(&case) {
            Ok(body) => (200, body),
            Err(error) => (error.kind.status(), error.body()),
        };
        if let Err(difference) = case.judge(status, &body) {
            failures.push(format!("{}: {difference}", case.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count > 300, "only {count} cases were found");
}

fn answer(case: &Case) -> Result<Vec<u8>, Error> {
    if case.path.starts_with("/v2") {
        infer(case)
    } else {
        tensorflow_serving(case)
    }
}

fn tensorflow_serving(case: &Case) -> Result<Vec<u8>, Error> {
    let twin = twin(&case.model);
    let route = parse_path(&case.method, &case.path)?;
    match &route {
        Route::Status(target) if !serves(case, target) => return Err(unknown_status(target)),
        Route::Metadata(target)
        | Route::Predict(target)
        | Route::Classify(target)
        | Route::Regress(target)
            if !serves(case, target) =>
        {
            return Err(unknown_servable(&known_model(case, target)));
        }
        _ => {}
    }
    match route {
        Route::Models => Ok(models_document(&[&case.model])),
        Route::Status(_) => Ok(status_document(&[VersionStatus {
            version: VERSION,
            state: State::Available,
            error_code: "OK",
            error_message: String::new(),
        }])),
        Route::Metadata(_) => Ok(metadata_document(&case.model, VERSION, &twin.signature)),
        Route::WebSocket(_) => panic!("{}: no case of TensorFlow Serving's", case.name),
        Route::Predict(_) => predict(case, &twin),
        Route::Classify(_) => classify(case, &twin),
        Route::Regress(_) => regress(case, &twin),
    }
}

fn serves(case: &Case, target: &Target) -> bool {
    target.model == case.model
        && match &target.pick {
            Pick::Any => true,
            Pick::Version(version) => *version == VERSION,
            Pick::Label(label) => label == "canary",
        }
}

/// Of a model that is not there nobody asks the version.
fn known_model(case: &Case, target: &Target) -> Target {
    let mut target = target.clone();
    if target.model != case.model {
        target.pick = Pick::Any;
    }
    target
}

fn predict(case: &Case, twin: &Twin) -> Result<Vec<u8>, Error> {
    let predict = parse(&case.body, &twin.signature, checks(case))?;
    if case.strict {
        twin.signature.fits(&predict.inputs)?;
    }
    let outputs = twin.run(&predict.inputs);
    write(
        predict.form,
        &twin.signature,
        &outputs,
        nonfinite(case),
        LIMIT,
    )
}

fn classify(case: &Case, twin: &Twin) -> Result<Vec<u8>, Error> {
    let examples = parse_examples(&case.body, &twin.signature, checks(case))?;
    let classes = classes(&twin.signature)?;
    let outputs = twin.run(&examples.inputs);
    write_classes(classes, &outputs, &results(case, twin, examples.count))
}

fn regress(case: &Case, twin: &Twin) -> Result<Vec<u8>, Error> {
    let examples = parse_examples(&case.body, &twin.signature, checks(case))?;
    let output = regressions(&twin.signature)?;
    let outputs = twin.run(&examples.inputs);
    write_regressions(output, &outputs, &results(case, twin, examples.count))
}

fn infer(case: &Case) -> Result<Vec<u8>, Error> {
    let twin = twin(&case.model);
    let v2::Route::Infer(target) = v2::parse_path(&case.method, &case.path)? else {
        panic!("{}: only a server answers {}", case.name, case.path)
    };
    let known = target.version.is_none_or(|version| version == VERSION);
    if target.model != case.model || !known {
        let version = target.version.filter(|_| target.model == case.model);
        return Err(v2::unknown_model(&v2::Target { version, ..target }));
    }
    let length = case.headers.get(v2::HEADER_LENGTH);
    let length = length.map(String::as_str);
    let infer = v2::parse(&case.body, length, &twin.signature, checks(case))?;
    let outputs = twin.run(&infer.inputs);
    let answer = v2::Answer {
        model: &case.model,
        version: VERSION,
        id: infer.id.as_deref(),
        nonfinite: nonfinite(case),
        limit: LIMIT,
    };
    let response = v2::write(&answer, &twin.signature, &infer.outputs, &outputs)?;
    Ok(response.body)
}

fn results<'a>(case: &Case, twin: &Twin, count: usize) -> Results<'a> {
    Results {
        count,
        labels: twin.labels,
        nonfinite: nonfinite(case),
        limit: LIMIT,
    }
}

const fn checks(case: &Case) -> Checks {
    if case.strict {
        Checks::Strict
    } else {
        Checks::Lenient
    }
}

fn nonfinite(case: &Case) -> Nonfinite {
    let asked = case.headers.get("aimass-json-nonfinite");
    let asked = asked.and_then(|value| Nonfinite::from_header(value));
    let default = if case.strict || case.path.starts_with("/v2") {
        Nonfinite::String
    } else {
        Nonfinite::Token
    };
    asked.unwrap_or(default)
}
