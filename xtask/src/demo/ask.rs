//! Requests to the models, their answers, and whether those are right.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::demo::entrance::Entrance;
use crate::demo::key::Tool;
use crate::places::Places;
use crate::{clock, http, step};

/// The request of the reference example, as clients of TensorFlow Serving send it.
const REFERENCE: &str = r#"{"signature_name": "serving_default", "instances": [[1],[2],[3]]}"#;
/// What the line was learnt from; rounding is all that may be left.
const EXPECTED: [f64; 3] = [2.0, 4.0, 6.0];
const TOLERANCE: f64 = 0.01;

/// An answer to `:predict`.
#[derive(Deserialize)]
struct Predictions {
    predictions: Vec<Vec<f64>>,
}

/// Asks both models, prints and checks what they say: one as published clients do, one over HTTPS with a key.
///
/// # Errors
/// If one does not answer, or wrongly.
pub(super) fn run(places: &Places, entrance: &Entrance, tool: &Tool<'_>) -> Result<()> {
    let answer = ask(entrance, REFERENCE)?;
    let values: Vec<f64> = answer.predictions.iter().flatten().copied().collect();
    let is_right = values.len() == EXPECTED.len()
        && values
            .iter()
            .zip(EXPECTED)
            .all(|(value, expected)| (value - expected).abs() < TOLERANCE);
    ensure!(is_right, "my-model learnt y = 2x, but answers {values:?}");

    let path = places.repository().join("examples/digits/seven.json");
    let token = tool.key("digits")?;
    let at = format!("https://localhost:{}", entrance.secure);
    step::say(&format!(
        "\nThe key demo opens digits: {token}\nAIMASS_KEY=… aimass predict digits @examples/digits/seven.json --url {at}"
    ));
    let answer = tool.predict("digits", &path, &at, &token)?;
    step::say(answer.trim());
    let answer: Vec<Vec<f64>> =
        serde_json::from_str(&answer).context("digits answers strangely")?;
    let [probabilities] = answer.as_slice() else {
        let times = answer.len();
        bail!("digits was shown one picture, but answers {times} times");
    };
    let best = probabilities
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1));
    let Some((digit, probability)) = best else {
        bail!("digits answers without a probability");
    };
    step::say(&format!(
        "The picture is a {digit}, with a probability of {probability:.4}."
    ));
    ensure!(digit == 7, "the picture shows a 7");
    Ok(())
}

fn ask(entrance: &Entrance, body: &str) -> Result<Predictions> {
    let (address, path) = (entrance.address(), "/v1/models/my_model:predict");
    let port = entrance.plain;
    step::say(&format!("\nPOST http://localhost:{port}{path}\n{body}"));
    // The gateway may learn of the pods a moment after the condition.
    let mut last = None;
    let answer = clock::wait_for(Duration::from_secs(10), || {
        let answer = http::post(address, path, body).and_then(|answer| {
            ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
            Ok(answer)
        });
        answer.map_err(|error| last = Some(error)).ok()
    });
    let Some(answer) = answer else {
        let error = last.context("a failed attempt has an error")?;
        return Err(error.context("my-model is Ready but does not answer"));
    };
    step::say(&format!("{} {}", answer.status, answer.body.trim()));
    serde_json::from_str(&answer.body).context("my-model answers strangely")
}
