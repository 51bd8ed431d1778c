//! The conformance tables as values, for every place that runs them: the codecs, the app in process, a process on a socket.
//!
//! Included by path, because tests of different crates share nothing else. What the fields mean is in README.md.

use std::collections::BTreeMap;

use serde_json::Value;

/// The number that every server of these cases has as its version.
pub(crate) const VERSION: i64 = 7;

/// All tables.
pub(crate) const TABLES: [&str; 8] = [
    include_str!("tfs/predict.jsonl"),
    include_str!("tfs/json_tensor.jsonl"),
    include_str!("tfs/classify_regress.jsonl"),
    include_str!("tfs/status_and_metadata.jsonl"),
    include_str!("tfs/routes.jsonl"),
    include_str!("tfs/http.jsonl"),
    include_str!("oip/infer.jsonl"),
    include_str!("oip/routes.jsonl"),
];

/// One request and what must come back.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether JSON is read strictly.
    pub(crate) strict: bool,
    /// Where the case makes sense: everywhere if empty, else `codec` or `server`.
    pub(crate) only: String,
    pub(crate) status: u16,
    error_contains: Option<String>,
    body_contains: Option<String>,
    json: Option<Value>,
}

/// The cases of all tables.
///
/// # Panics
/// A line is no case, or two have one name.
pub(crate) fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in TABLES.iter().flat_map(|table| table.lines()) {
        let case = Case::read(line);
        assert!(
            cases.iter().all(|other| other.name != case.name),
            "two cases are named {}",
            case.name
        );
        cases.push(case);
    }
    cases
}

impl Case {
    fn read(line: &str) -> Self {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let Value::Object(mut fields) = value else {
            panic!("no object: {line}")
        };
        let mut text = |name: &str| match fields.remove(name) {
            None => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => panic!("{name} is {other}: {line}"),
        };
        let mut needed = |name: &str| text(name).unwrap_or_else(|| panic!("no {name}: {line}"));
        let (name, source) = (needed("name"), needed("source"));
        assert!(!source.is_empty(), "{name}: say where the case comes from");
        let (model, method, path) = (needed("model"), needed("method"), needed("path"));
        let plain = text("body").map(String::into_bytes);
        let (only, checks) = (text("only"), text("input_checks"));
        let (error_contains, body_contains) = (text("error_contains"), text("body_contains"));
        let generated = fields.remove("body_gen").map(|parts| generate(&parts));
        let headers = fields.remove("headers").map(|headers| {
            serde_json::from_value(headers).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        let status = fields.remove("status").and_then(|status| status.as_u64());
        let json = fields.remove("json");
        assert!(fields.is_empty(), "{name}: unknown fields {fields:?}");
        Self {
            model,
            method,
            path,
            headers: headers.unwrap_or_default(),
            body: plain.or(generated).unwrap_or_default(),
            strict: checks.as_deref() == Some("strict"),
            only: only.unwrap_or_default(),
            status: status
                .and_then(|status| u16::try_from(status).ok())
                .unwrap_or_else(|| panic!("{name}: no status")),
            error_contains,
            body_contains,
            json,
            name,
        }
    }

    /// What is wrong with this answer, if anything.
    pub(crate) fn judge(&self, status: u16, body: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(body);
        let shown: String = text.chars().take(400).collect();
        if status != self.status {
            return Err(format!(
                "status {status}, expected {}: {shown}",
                self.status
            ));
        }
        if let Some(expected) = &self.body_contains
            && !text.contains(expected.as_str())
        {
            return Err(format!("no {expected:?} in {shown}"));
        }
        if self.error_contains.is_none() && self.json.is_none() {
            return Ok(());
        }
        let found: Value =
            serde_json::from_slice(body).map_err(|error| format!("{error}: {shown}"))?;
        if let Some(expected) = &self.error_contains {
            let error = found.get("error").and_then(Value::as_str);
            if !error.is_some_and(|error| error.contains(expected.as_str())) {
                return Err(format!("no {expected:?} in the error of {shown}"));
            }
        }
        match &self.json {
            Some(expected) if !agree(&found, expected) => {
                Err(format!("{shown}, expected {expected}"))
            }
            _ => Ok(()),
        }
    }
}

/// A list of pieces: a text, or a text and how often it comes, or bytes as numbers.
fn generate(parts: &Value) -> Vec<u8> {
    let parts = parts.as_array().expect("body_gen is a list");
    let piece = |part: &Value| -> Vec<u8> {
        if let Some(text) = part.as_str() {
            return text.as_bytes().to_vec();
        }
        let items = part.as_array().expect("a piece is a text or a list");
        match items.as_slice() {
            [Value::String(text), times] => {
                let times = times.as_u64().expect("a piece comes a number of times");
                text.repeat(usize::try_from(times).expect("it fits into memory"))
                    .into_bytes()
            }
            bytes => {
                let byte = |byte: &Value| byte.as_u64().and_then(|byte| u8::try_from(byte).ok());
                let bytes: Option<Vec<u8>> = bytes.iter().map(byte).collect();
                bytes.expect("bytes are 0 to 255")
            }
        }
    };
    parts.iter().flat_map(piece).collect()
}

/// Equal; numbers with a point within a millionth. An expected object with the key `...` may have more keys than it names.
fn agree(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            if found.is_f64() == expected.is_f64() && !found.is_f64() {
                return found == expected;
            }
            let (Some(found), Some(expected)) = (found.as_f64(), expected.as_f64()) else {
                return false;
            };
            (found - expected).abs() <= 1e-6 * expected.abs().max(1.0)
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| agree(found, expected))
        }
        (Value::Object(found), Value::Object(expected)) => {
            let open = expected.contains_key("...");
            let mut named = expected.iter().filter(|(key, _)| *key != "...");
            (open || found.len() == expected.len())
                && named.all(|(key, expected)| {
                    found.get(key).is_some_and(|found| agree(found, expected))
                })
        }
        _ => found == expected,
    }
}
