//! The OpenAPI description of the REST routes.
//!
//! Pure. `cargo xtask codegen` writes [`document`] to `protocol/openapi/aimass.json`; a test fails when that is stale.

mod answers;
mod schemas;

use serde_json::{Map, Value, json};

use answers::{Group, answers};

use crate::v2::HEADER_LENGTH;
use crate::ws::SUBPROTOCOL;

/// The document, OpenAPI 3.1.
pub fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "aimass model server",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Predictions over TensorFlow Serving REST (/v1) and the Open Inference Protocol (/v2).",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "tags": [
            { "name": "v1", "description": "TensorFlow Serving REST" },
            { "name": "v2", "description": "Open Inference Protocol" },
        ],
        "paths": paths(),
        "components": {
            "schemas": schemas::schemas(),
            "responses": answers::responses(),
            "headers": answers::all_headers(),
            "parameters": parameters(),
        },
    })
}

/// Each group of routes exists for the model alone and for one of its versions; `/v1` also for a label.
fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for (path, method, operation) in fixed() {
        paths.insert(path.to_owned(), json!({ method: operation }));
    }
    let v1 = [
        ("", None),
        ("/versions/{version}", Some("version")),
        ("/labels/{label}", Some("label")),
    ];
    for (pick, parameter) in v1 {
        let suffix = parameter
            .map(|name| format!("Of{}", capital(name)))
            .unwrap_or_default();
        for (tail, method, operation) in v1_model(&suffix) {
            let path = format!("/v1/models/{{model}}{pick}{tail}");
            paths.insert(path, item(method, &operation, parameter));
        }
    }
    for (pick, parameter) in [("", None), ("/versions/{version}", Some("version"))] {
        let suffix = parameter
            .map(|name| format!("Of{}", capital(name)))
            .unwrap_or_default();
        for (tail, method, operation) in v2_model(&suffix) {
            let path = format!("/v2/models/{{model}}{pick}{tail}");
            paths.insert(path, item(method, &operation, parameter));
        }
    }
    paths
}

fn item(method: &str, operation: &Value, parameter: Option<&str>) -> Value {
    let names = std::iter::once("model").chain(parameter);
    let parameters: Vec<Value> = names
        .map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }))
        .collect();
    json!({ "parameters": parameters, method: operation })
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn fixed() -> [(&'static str, &'static str, Value); 5] {
    [
        (
            "/v1/models",
            "get",
            get(Group::Fixed, "v1", "v1Models", "Models"),
        ),
        ("/v2", "get", get(Group::Fixed, "v2", "v2Server", "Server")),
        (
            "/v2/models",
            "get",
            get(Group::Fixed, "v2", "v2Models", "Models"),
        ),
        (
            "/v2/health/live",
            "get",
            get(Group::Fixed, "v2", "v2Live", "Live"),
        ),
        (
            "/v2/health/ready",
            "get",
            ready(Group::Fixed, "v2Ready", "Ready"),
        ),
    ]
}

fn v1_model(suffix: &str) -> [(&'static str, &'static str, Value); 6] {
    let post = |name: &str, summary: &str, request: &str, response: &str| {
        json!({
            "tags": ["v1"],
            "operationId": format!("v1{name}{suffix}"),
            "summary": summary,
            "parameters": steering(&["nonfinite", "timeout"]),
            "requestBody": body(&json!({ "application/json": schema(request) })),
            "responses": answers(Group::Inference, &json!({ "application/json": schema(response) })),
        })
    };
    let predict = post(
        "Predict",
        "Predict, by rows (`instances`) or by columns (`inputs`)",
        "PredictRequest",
        "PredictResponse",
    );
    let classify = post(
        "Classify",
        "Labels and scores for each example",
        "ExamplesRequest",
        "ClassifyResponse",
    );
    let regress = post(
        "Regress",
        "A number for each example",
        "ExamplesRequest",
        "RegressResponse",
    );
    let status = get(
        Group::Model,
        "v1",
        &format!("v1Status{suffix}"),
        "ModelStatus",
    );
    let metadata = get(
        Group::Model,
        "v1",
        &format!("v1Metadata{suffix}"),
        "ModelMetadata",
    );
    [
        ("", "get", status),
        ("/metadata", "get", metadata),
        (":predict", "post", predict),
        ("/ws", "get", websocket("v1", suffix)),
        (":classify", "post", classify),
        (":regress", "post", regress),
    ]
}

fn v2_model(suffix: &str) -> [(&'static str, &'static str, Value); 4] {
    let binary = json!({ "type": "string", "contentMediaType": "application/octet-stream" });
    let with = |name: &str| json!({ "application/json": schema(name), "application/octet-stream": { "schema": binary } });
    let infer = json!({
        "tags": ["v2"],
        "operationId": format!("v2Infer{suffix}"),
        "summary": "Infer",
        "description": format!("Binary tensors follow the JSON; the header {HEADER_LENGTH} tells where."),
        "parameters": steering(&["headerLength", "nonfinite", "timeout"]),
        "requestBody": body(&with("InferRequest")),
        "responses": answers(Group::Inference, &with("InferResponse")),
    });
    let metadata = get(Group::Model, "v2", &format!("v2Metadata{suffix}"), "Model");
    let ready = ready(Group::Model, &format!("v2ModelReady{suffix}"), "ModelReady");
    [
        ("", "get", metadata),
        ("/ready", "get", ready),
        ("/infer", "post", infer),
        ("/ws", "get", websocket("v2", suffix)),
    ]
}

fn steering(names: &[&str]) -> Vec<Value> {
    let reference = |name: &&str| json!({ "$ref": format!("#/components/parameters/{name}") });
    names.iter().map(reference).collect()
}

fn get(group: Group, tag: &str, id: &str, answer: &str) -> Value {
    let content = json!({ "application/json": schema(answer) });
    json!({
        "tags": [tag],
        "operationId": id,
        "summary": summary(answer),
        "responses": answers(group, &content),
    })
}

/// An upgrade; what follows it, OpenAPI cannot say.
fn websocket(tag: &str, suffix: &str) -> Value {
    json!({
        "tags": [tag],
        "operationId": format!("{tag}WebSocket{suffix}"),
        "summary": "Become a WebSocket, over which requests and answers are messages",
        "description": format!(
            "An upgrade of HTTP/1.1 that offers the subprotocol {SUBPROTOCOL}; anything else is answered with 400. A message \
             is the body of the path's POST request with members of its own beside it: `id` (its answer has the same), \
             `timeout_ms` and, on /v1, `method`. docs/websocket.md has the whole subprotocol."
        ),
        "responses": {
            "101": { "description": "The connection goes on as a WebSocket" },
            "default": { "$ref": "#/components/responses/Error" },
        },
    })
}

fn summary(answer: &str) -> &'static str {
    match answer {
        "Models" => "The models that are served",
        "Server" => "The server and its extensions",
        "Live" => "Whether the process works",
        "Ready" => "Whether requests are answered",
        "ModelReady" => "Whether the model answers",
        "ModelStatus" => "The state of the model's versions",
        _ => "Names, types and shapes of the model's tensors",
    }
}

/// Readiness answers 503 with a document of its own.
fn ready(group: Group, id: &str, answer: &str) -> Value {
    let mut operation = get(group, "v2", id, answer);
    let content = json!({ "application/json": schema(answer) });
    let answers = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    if let Some(answers) = answers {
        let not_ready = json!({ "description": "Not ready", "content": content });
        answers.insert("503".to_owned(), not_ready);
    }
    operation
}

fn body(content: &Value) -> Value {
    json!({ "required": true, "content": content })
}

fn schema(name: &str) -> Value {
    json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } })
}

fn parameters() -> Value {
    let path = |name: &str, schema: Value, description: &str| {
        json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": description,
            "schema": schema,
        })
    };
    let version = json!({ "type": "integer", "format": "int64", "minimum": 0 });
    json!({
        "model": path("model", json!({ "type": "string", "minLength": 1 }), "The model's name."),
        "version": path("version", version, "One version of the model."),
        "label": path("label", json!({ "type": "string", "minLength": 1 }), "The name of a version."),
        "headerLength": {
            "name": HEADER_LENGTH,
            "in": "header",
            "required": false,
            "description": "Bytes of JSON, if binary tensors follow them.",
            "schema": { "type": "integer", "minimum": 1 },
        },
        "nonfinite": {
            "name": "aimass-json-nonfinite",
            "in": "header",
            "required": false,
            "description": "How NaN and the infinities are written: as words outside JSON, as strings, as null. Without it: words on /v1, strings on /v2.",
            "schema": { "type": "string", "enum": ["token", "string", "null"] },
        },
        "timeout": {
            "name": "x-request-timeout-ms",
            "in": "header",
            "required": false,
            "description": "After how many milliseconds nobody waits for the answer any more.",
            "schema": { "type": "integer", "minimum": 1, "maximum": 3_600_000 },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reference_leads_to_something() {
        let document = document();
        let mut left = vec![&document];
        while let Some(value) = left.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let pointer = reference.trim_start_matches('#');
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    left.extend(members.values());
                }
                Value::Array(items) => left.extend(items),
                _ => {}
            }
        }
    }

    #[test]
    fn every_path_parameter_is_declared_and_every_operation_has_its_own_id() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let declared = item["parameters"].as_array().map_or(0, Vec::len);
            assert_eq!(path.matches('{').count(), declared, "{path}");
            for method in ["get", "post"] {
                if let Some(operation) = item.get(method) {
                    let id = operation["operationId"].as_str().unwrap().to_owned();
                    assert!(ids.insert(id), "{path}");
                }
            }
        }
        assert_eq!(ids.len(), 5 + 3 * 6 + 2 * 4);
    }

    #[test]
    fn every_described_path_is_routed() {
        for (path, item) in document()["paths"].as_object().unwrap() {
            let path = path
                .replace("{model}", "m")
                .replace("{version}", "1")
                .replace("{label}", "l");
            let method = if item.get("post").is_some() {
                "POST"
            } else {
                "GET"
            };
            if path.starts_with("/v1") {
                assert!(crate::v1::parse_path(method, &path).is_ok(), "{path}");
            } else {
                assert!(crate::v2::parse_path(method, &path).is_ok(), "{path}");
            }
        }
    }
}
