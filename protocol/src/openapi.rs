//! The OpenAPI description of the REST routes.
//!
//! Pure. `cargo xtask codegen` writes [`document`] to `protocol/openapi/aimass.json`; a test fails when that is stale.

mod schemas;

use serde_json::{Map, Value, json};

use crate::error::Kind;
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
            "responses": responses(),
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
            get("v1", "v1Models", "The models that are served", "Models"),
        ),
        (
            "/v2",
            "get",
            get("v2", "v2Server", "The server and its extensions", "Server"),
        ),
        (
            "/v2/models",
            "get",
            get("v2", "v2Models", "The models that are served", "Models"),
        ),
        (
            "/v2/health/live",
            "get",
            get("v2", "v2Live", "Whether the process works", "Live"),
        ),
        (
            "/v2/health/ready",
            "get",
            ready("v2Ready", "Whether requests are answered", "Ready"),
        ),
    ]
}

fn v1_model(suffix: &str) -> [(&'static str, &'static str, Value); 4] {
    let predict = json!({
        "tags": ["v1"],
        "operationId": format!("v1Predict{suffix}"),
        "summary": "Predict, by rows (`instances`) or by columns (`inputs`)",
        "requestBody": body(&json!({ "application/json": schema("PredictRequest") })),
        "responses": answers(&ok(&json!({ "application/json": schema("PredictResponse") }))),
    });
    let id = format!("v1Status{suffix}");
    let status = get(
        "v1",
        &id,
        "The state of the model's versions",
        "ModelStatus",
    );
    let id = format!("v1Metadata{suffix}");
    let metadata = get(
        "v1",
        &id,
        "Names, types and shapes of the model's tensors",
        "ModelMetadata",
    );
    [
        ("", "get", status),
        ("/metadata", "get", metadata),
        (":predict", "post", predict),
        ("/ws", "get", websocket("v1", suffix)),
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
        "parameters": [{ "$ref": "#/components/parameters/headerLength" }],
        "requestBody": body(&with("InferRequest")),
        "responses": answers(&ok(&with("InferResponse"))),
    });
    let id = format!("v2Metadata{suffix}");
    let metadata = get(
        "v2",
        &id,
        "Names, types and shapes of the model's tensors",
        "Model",
    );
    let id = format!("v2ModelReady{suffix}");
    let ready = ready(&id, "Whether the model answers", "ModelReady");
    [
        ("", "get", metadata),
        ("/ready", "get", ready),
        ("/infer", "post", infer),
        ("/ws", "get", websocket("v2", suffix)),
    ]
}

fn get(tag: &str, id: &str, summary: &str, answer: &str) -> Value {
    let content = json!({ "application/json": schema(answer) });
    json!({
        "tags": [tag],
        "operationId": id,
        "summary": summary,
        "responses": answers(&ok(&content)),
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
            "default": error(),
        },
    })
}

/// Readiness answers 503 with a document of its own.
fn ready(id: &str, summary: &str, answer: &str) -> Value {
    let content = json!({ "application/json": schema(answer) });
    let not = json!({ "description": "Not ready", "content": content });
    json!({
        "tags": ["v2"],
        "operationId": id,
        "summary": summary,
        "responses": { "200": ok(&content), "503": not, "default": error() },
    })
}

fn body(content: &Value) -> Value {
    json!({ "required": true, "content": content })
}

fn ok(content: &Value) -> Value {
    json!({ "description": "The answer", "content": content })
}

fn answers(ok: &Value) -> Value {
    json!({ "200": ok, "default": error() })
}

fn error() -> Value {
    json!({ "$ref": "#/components/responses/Error" })
}

fn schema(name: &str) -> Value {
    json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } })
}

fn responses() -> Value {
    let mut kinds: Vec<&str> = Kind::ALL.map(Kind::name).to_vec();
    kinds.dedup();
    json!({
        "Error": {
            "description": "Every status from 400 on. The header names the kind of error for programs.",
            "headers": {
                "aimass-error": { "schema": { "type": "string", "enum": kinds } },
                "retry-after": {
                    "description": "With 503: seconds after which another attempt makes sense.",
                    "schema": { "type": "integer", "minimum": 1 },
                },
            },
            "content": { "application/json": schema("Error") },
        },
    })
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
        assert_eq!(ids.len(), 5 + 3 * 4 + 2 * 4);
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
