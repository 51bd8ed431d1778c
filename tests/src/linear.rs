//! The model that doubles a number, as lane `node` and `cargo xtask bench scale` serve and ask it; and a table of
//! doubles, which callers cannot tell from it. With too few rows the table fails for the numbers that it does not have.

use aimass_onnx::{Element, Model, Node};
use http::StatusCode;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::args::repository;
use crate::client::{Caller, Reply};
use crate::cluster::Namespace;
use crate::models;

/// Numbers that are asked for: the double of each is known.
pub const NUMBERS: u16 = 100;
/// The ConfigMap of a [`table`].
const TABLE: &str = "table-model";

/// The model file of an example.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn file(example: &str) -> Vec<u8> {
    let path = repository().join(format!("examples/{example}/{example}.onnx"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The linear model under this name, small, for everybody to call.
#[must_use]
pub fn public(name: &str, replicas: i32) -> Value {
    let model = models::model(name, replicas);
    let model = models::with(model, "/spec/access", json!({"mode": "Public"}));
    let resources =
        json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}});
    models::with(model, "/spec/runtime/resources", resources)
}

/// The same with as many pods as the load calls for, within `scaling`.
#[must_use]
pub fn scaled(name: &str, scaling: &Value) -> Value {
    let mut model = models::with(public(name, 1), "/spec/scaling", scaling.clone());
    if let Some(spec) = model.pointer_mut("/spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
    model
}

/// Asks a model for the double of a number below [`NUMBERS`]: which one, `request` says.
///
/// # Errors
/// What went wrong before there was an answer.
pub async fn ask(caller: &Caller, model: &str, request: usize) -> Result<Reply, String> {
    let body = json!({"instances": [[within(request)]]});
    let path = format!("/v1/models/{model}:predict");
    caller.post(&path, &body).await
}

/// Complains unless the answer is the double of the number that `request` asked for.
///
/// # Errors
/// What it is.
pub fn check(reply: &Reply, request: usize) -> Result<(), String> {
    if reply.status != StatusCode::OK {
        return Err(format!("{}: {}", reply.status, reply.text()));
    }
    let wanted = 2.0 * f64::from(within(request));
    let json = reply.json();
    match json.pointer("/predictions/0/0").and_then(Value::as_f64) {
        Some(answer) if (answer - wanted).abs() < 0.5 => Ok(()),
        other => Err(format!("{other:?} is not {wanted}")),
    }
}

/// Asks the model `iris` for the double of a number, which must be right.
///
/// # Errors
/// What went wrong.
pub async fn doubled(caller: Caller, request: usize) -> Result<(), String> {
    let reply = ask(&caller, "iris", request).await?;
    check(&reply, request)
}

/// A model that looks up the double of a number in a table of so many rows.
#[must_use]
pub fn table(rows: u16) -> Vec<u8> {
    let doubles = (0..rows).flat_map(|row| (2.0 * f32::from(row)).to_le_bytes());
    let raw: Vec<u8> = doubles.collect();
    let row = Node::new("Cast", &["number"], &["row"]).integer("to", 7);
    let found = Node::new("Gather", &["table", "row"], &["double"]).integer("axis", 0);
    Model::new("table")
        .input("number", Element::Float, &[None, Some(1)])
        .output("double", Element::Float, &[None, Some(1)])
        .initializer("table", Element::Float, &[rows.into()], &raw)
        .node(row)
        .node(found)
        .encode()
}

/// Changes the spec of a model to a table of so many rows: of [`NUMBERS`] it has those below.
///
/// # Panics
/// If the API server refuses the change.
pub async fn change(ns: &Namespace, name: &str, rows: u16) {
    models::files(ns, TABLE, &[("model.onnx", &table(rows))]).await;
    let spec = json!({"model": {"source": {"configMap": {"name": TABLE}}}});
    let changed = models::merge(ns, name, &spec).await;
    changed.expect("the change is valid");
}

/// The share of each revision in the requests.
#[must_use]
pub fn shares(object: &DynamicObject) -> Vec<(String, i64)> {
    let traffic = object.data.pointer("/status/traffic");
    let traffic = traffic.and_then(Value::as_array).into_iter().flatten();
    traffic
        .map(|share| {
            let revision = share["revision"].as_str().unwrap_or_default();
            (revision.to_owned(), share["weight"].as_i64().unwrap_or(0))
        })
        .collect()
}

/// Which number is asked for, by the number of the request; but not in that order: gateways share
/// requests out by turns of a hundred, and a revision would get the same numbers each time.
fn within(request: usize) -> u16 {
    // a step of SplitMix64
    let mut bits = (request as u64)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u16::try_from((bits ^ (bits >> 31)) % u64::from(NUMBERS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn reply(status: StatusCode, body: &'static str) -> Reply {
        Reply {
            status,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn an_answer_is_the_double_of_the_number_asked_for_or_it_is_wrong() {
        let answer = |body| reply(StatusCode::OK, body);
        let right = format!(r#"{{"predictions": [[{}]]}}"#, 2 * within(7));
        let right: &'static str = right.leak();
        assert_eq!(check(&answer(right), 7), Ok(()));
        for wrong in [r#"{"predictions": [[15.0]]}"#, "{}", "no JSON"] {
            assert!(check(&answer(wrong), 7).is_err(), "{wrong}");
        }
        let refused = reply(StatusCode::BAD_REQUEST, "out of range");
        assert!(check(&refused, 7).unwrap_err().contains("out of range"));
    }
    #[test]
    fn numbers_come_in_no_order_whatever_turn_of_a_hundred_somebody_has() {
        let numbers: Vec<u16> = (0..10_000).map(within).collect();
        let high = |numbers: &mut dyn Iterator<Item = &u16>| numbers.filter(|n| **n >= 90).count();
        let of_all = high(&mut numbers.iter());
        assert!((900..1100).contains(&of_all), "{of_all}");
        let of_a_turn = high(&mut numbers.iter().step_by(100));
        assert!((2..25).contains(&of_a_turn), "{of_a_turn}");
    }
}
