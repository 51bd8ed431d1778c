//! Data. The answers of all routes, by status: headers and bodies, for the OpenAPI document.

use serde_json::{Map, Value, json};

use crate::error::Kind;

/// What a group of routes can fail with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Lists and metadata of the server: nothing but a wrong method.
    Fixed,
    /// Status and metadata of a model.
    Model,
    /// Everything that reads a body and runs the model.
    Inference,
}

impl Group {
    fn statuses(self) -> &'static [u16] {
        match self {
            Self::Fixed => &[400, 405, 431],
            Self::Model => &[400, 404, 405, 431, 503],
            Self::Inference => &[400, 404, 405, 408, 413, 415, 431, 500, 503, 504],
        }
    }
}

/// The answers of one operation: `content` if it succeeds, else by status. `default` stands for statuses of whatever is in
/// between.
pub(super) fn answers(group: Group, content: &Value) -> Value {
    let mut answers = Map::new();
    let headers = match group {
        Group::Fixed => headers(&["x-request-id"]),
        Group::Model => headers(&IDENTITY),
        Group::Inference => headers(&[&IDENTITY[..], &RUN[..]].concat()),
    };
    let ok = json!({ "description": "The answer", "headers": headers, "content": content });
    answers.insert("200".to_owned(), ok);
    for status in group.statuses() {
        let reference = format!("#/components/responses/{}", name(*status));
        answers.insert(status.to_string(), json!({ "$ref": reference }));
    }
    let other = json!({ "$ref": "#/components/responses/Error" });
    answers.insert("default".to_owned(), other);
    Value::Object(answers)
}

/// The answers that operations refer to.
pub(super) fn responses() -> Value {
    let mut responses = Map::new();
    for (status, description, more) in FAILURES {
        let names = [&["x-request-id", "aimass-error"], &IDENTITY[1..], more].concat();
        let mut response = json!({ "description": description, "headers": headers(&names) });
        // A head that is too large is refused by the HTTP layer, before there is a request.
        if status == 431 {
            response = json!({ "description": description });
        } else if let Some(fields) = response.as_object_mut() {
            fields.insert("content".to_owned(), error_content());
        }
        responses.insert(name(status).to_owned(), response);
    }
    let error = json!({
        "description": "Every other status from 400 on.",
        "headers": headers(&["x-request-id", "aimass-error"]),
        "content": error_content(),
    });
    responses.insert("Error".to_owned(), error);
    Value::Object(responses)
}

/// The headers that answers refer to.
pub(super) fn all_headers() -> Value {
    let mut kinds: Vec<&str> = Kind::ALL.map(Kind::name).to_vec();
    kinds.dedup();
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    let count = |description: &str, minimum: u32| json!({ "description": description, "schema": { "type": "integer", "minimum": minimum } });
    json!({
        "x-request-id": text("The id of the request: the caller's, or a new one. It is in the log, too."),
        "aimass-error": {
            "description": "The kind of error, for programs.",
            "schema": { "type": "string", "enum": kinds },
        },
        "aimass-model-version": count("The version that answered.", 0),
        "aimass-model-digest": text("The digest of the model's files: sha256:…"),
        "aimass-revision": text("The revision that answered, if the server was told its name."),
        "aimass-batch-rows": count("The rows that ran together.", 0),
        "server-timing": text("What took how many milliseconds: decode, queue, infer, encode."),
        "retry-after": count("Seconds after which another attempt makes sense.", 1),
        "retry-after-ms": count("The same in milliseconds, and not rounded.", 1),
        "allow": text("The methods that the route has."),
        "accept-encoding": text("The encodings that a body may have: gzip, deflate."),
    })
}

/// Headers of every answer that is about a model.
const IDENTITY: [&str; 4] = [
    "x-request-id",
    "aimass-model-version",
    "aimass-model-digest",
    "aimass-revision",
];
/// Headers of an answer that the model gave.
const RUN: [&str; 2] = ["aimass-batch-rows", "server-timing"];

/// Status, what it means, headers that only it has.
const FAILURES: [(u16, &str, &[&str]); 10] = [
    (
        400,
        "The request is wrong: its route (/v1), JSON, keys, tensors, or a header; or the engine refused it.",
        &["server-timing"],
    ),
    (404, "There is no such model, version, or route (/v2).", &[]),
    (405, "The route has other methods.", &["allow"]),
    (408, "The body came too slowly.", &[]),
    (413, "The body, once inflated, is too large.", &[]),
    (
        415,
        "The body's encoding is not supported.",
        &["accept-encoding"],
    ),
    (431, "The head of the request is too large.", &[]),
    (500, "A defect of the server or of the engine.", &[]),
    (
        503,
        "No capacity, or the model is not ready, or the server is stopping.",
        &["retry-after", "retry-after-ms"],
    ),
    (504, "The deadline has passed.", &[]),
];

fn name(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        408 => "BodyTooSlow",
        413 => "BodyTooLarge",
        415 => "UnsupportedEncoding",
        431 => "HeadersTooLarge",
        500 => "Internal",
        503 => "Unavailable",
        _ => "Deadline",
    }
}

fn headers(names: &[&str]) -> Value {
    let reference = |name: &&str| {
        let reference = format!("#/components/headers/{name}");
        ((*name).to_owned(), json!({ "$ref": reference }))
    };
    Value::Object(names.iter().map(reference).collect())
}

fn error_content() -> Value {
    json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } })
}
