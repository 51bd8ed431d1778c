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

/// Asks a model for the double of `number`, of which the last two digits count.
///
/// # Errors
/// What went wrong before there was an answer.
pub async fn ask(caller: &Caller, model: &str, number: usize) -> Result<Reply, String> {
    let body = json!({"instances": [[within(number)]]});
    let path = format!("/v1/models/{model}:predict");
    caller.post(&path, &body).await
}

/// Complains unless the answer is the double of `number`.
///
/// # Errors
/// What it is.
pub fn check(reply: &Reply, number: usize) -> Result<(), String> {
    if reply.status != StatusCode::OK {
        return Err(format!("{}: {}", reply.status, reply.text()));
    }
    let wanted = 2.0 * f64::from(within(number));
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
pub async fn doubled(caller: Caller, number: usize) -> Result<(), String> {
    let reply = ask(&caller, "iris", number).await?;
    check(&reply, number)
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

fn within(number: usize) -> u16 {
    u16::try_from(number % usize::from(NUMBERS)).unwrap_or_default()
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
    fn an_answer_is_the_double_of_the_last_two_digits_or_it_is_wrong() {
        let answer = |body| reply(StatusCode::OK, body);
        assert_eq!(check(&answer(r#"{"predictions": [[14.0]]}"#), 707), Ok(()));
        for wrong in [r#"{"predictions": [[15.0]]}"#, "{}", "no JSON"] {
            assert!(check(&answer(wrong), 7).is_err(), "{wrong}");
        }
        let refused = reply(StatusCode::BAD_REQUEST, "out of range");
        assert!(check(&refused, 7).unwrap_err().contains("out of range"));
    }
}
