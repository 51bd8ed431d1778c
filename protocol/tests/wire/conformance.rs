//! Cases of TensorFlow Serving's own tests, in our words, against the codecs of `/v1`.
//!
//! One JSON object a line in `testdata/tfs/*.jsonl`: `name, source, model, method, path, body?, status, error_contains?|json?`.
//! The models are computed here, in one line each. JSON is compared structurally, texts by substring.

use aimass_protocol::v1::{
    Form, Pick, Predict, Route, State, Target, VersionStatus, metadata_document, models_document,
    parse, parse_path, status_document, unknown_servable, unknown_status, write,
};
use aimass_protocol::{Checks, Data, Error, Nonfinite, Signature, Tensor};
use serde::Deserialize;
use serde_json::Value;

use crate::models::{half, iris, pair};

const VERSION: i64 = 7;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    source: String,
    model: String,
    method: String,
    path: String,
    #[serde(default)]
    body: String,
    status: u16,
    error_contains: Option<String>,
    json: Option<Value>,
}

#[test]
fn predict() {
    run(include_str!("../../testdata/tfs/predict.jsonl"));
}

#[test]
fn status_and_metadata() {
    run(include_str!("../../testdata/tfs/status_and_metadata.jsonl"));
}

fn run(cases: &str) {
    let mut failures = Vec::new();
    for (number, line) in cases.lines().enumerate() {
        let case: Case = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("line {}: {error}", number + 1));
        assert!(
            !case.source.is_empty(),
            "{}: say where the case comes from",
            case.name
        );
        if let Err(difference) = agrees(&case) {
            failures.push(format!("{}: {difference}", case.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn agrees(case: &Case) -> Result<(), String> {
    let (status, body) = match answer(case) {
        Ok(body) => (200, body),
        Err(error) => (error.kind.status(), error.body()),
    };
    let text = String::from_utf8_lossy(&body);
    if status != case.status {
        return Err(format!("status {status}, expected {}: {text}", case.status));
    }
    let body: Value = serde_json::from_slice(&body).map_err(|error| format!("{error}: {text}"))?;
    if let Some(expected) = &case.error_contains {
        let found = body
            .get("error")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !found.contains(expected.as_str()) {
            return Err(format!(
                "the error is {found:?}, expected {expected:?} in it"
            ));
        }
    }
    match &case.json {
        Some(expected) if *expected != body => Err(format!("{body}, expected {expected}")),
        _ => Ok(()),
    }
}

fn answer(case: &Case) -> Result<Vec<u8>, Error> {
    let signature = match case.model.as_str() {
        "half" => half(),
        "iris" => iris(),
        "pair" => pair(),
        other => panic!("there is no test model {other}"),
    };
    let known = |target: &Target| {
        target.model == case.model && matches!(target.pick, Pick::Any | Pick::Version(VERSION))
    };
    match parse_path(&case.method, &case.path)? {
        Route::Models => Ok(models_document(&[&case.model])),
        Route::Status(target) if !known(&target) => Err(unknown_status(&target)),
        Route::Status(_) => Ok(status_document(&[VersionStatus {
            version: VERSION,
            state: State::Available,
            error_code: "OK",
            error_message: String::new(),
        }])),
        Route::Metadata(target) | Route::Predict(target) if !known(&target) => {
            Err(unknown_servable(&target))
        }
        Route::Metadata(_) => Ok(metadata_document(&case.model, VERSION, &signature)),
        Route::WebSocket(_) => panic!("{}: no case of TensorFlow Serving's", case.name),
        Route::Predict(_) => {
            let Predict { form, inputs } =
                parse(case.body.as_bytes(), &signature, Checks::Lenient)?;
            run_model(form, &signature, &case.model, &inputs)
        }
    }
}

fn run_model(
    form: Form,
    signature: &Signature,
    model: &str,
    inputs: &[Tensor],
) -> Result<Vec<u8>, Error> {
    let strings = |shape: &[usize], all: Vec<&[u8]>| {
        Tensor::new(shape.to_vec(), Data::Bytes(all.into_iter().collect())).expect("one shape")
    };
    let outputs = match (model, inputs) {
        ("half", [x]) => {
            let Data::Fp32(values) = x.data() else {
                panic!("x is a float")
            };
            let values = values.iter().map(|value| value / 2.0 + 2.0).collect();
            vec![Tensor::new(x.shape().to_vec(), Data::Fp32(values)).expect("x's own shape")]
        }
        ("pair", [_, s]) => {
            let Data::Bytes(values) = s.data() else {
                panic!("s is a string")
            };
            let same = || strings(s.shape(), values.iter().collect());
            vec![same(), same()]
        }
        _ => panic!("the model {model} is not computed here"),
    };
    write(form, signature, &outputs, Nonfinite::Token, 1 << 20)
}
