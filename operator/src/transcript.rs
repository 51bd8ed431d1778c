//! For tests only: a context whose API server answers from a list, and remembers what it was asked.
//!
//! Not a model of the API server: it knows no rules. What is tested with it is what we send and
//! what we make of an answer; whether the real one answers so is the api lane's business.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aimass_plan::model::Platform;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use crate::cache::Key;
use crate::config::{Config, Election};
use crate::context::Context;

/// The place of an object in namespace `a`.
pub(crate) fn key(name: &str) -> Key {
    Key {
        namespace: "a".to_owned(),
        name: name.to_owned(),
    }
}

/// One request as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// `PATCH /api/v1/…`, without the query.
    pub(crate) line: String,
    pub(crate) query: String,
    /// Its body; null if it had none.
    pub(crate) body: Value,
}

/// What was asked so far.
#[derive(Clone, Default)]
pub(crate) struct Transcript(Arc<Mutex<Vec<Asked>>>);

impl Transcript {
    pub(crate) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    /// Method and path of each request.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.all().into_iter().map(|asked| asked.line).collect()
    }
}

/// A context that is answered `answers` (status, body), one after the other.
pub(crate) fn context(answers: impl IntoIterator<Item = (u16, Value)>) -> (Context, Transcript) {
    let (client, transcript) = client(answers);
    let config = Config {
        watch_namespace: None,
        election: Election::Off,
        gateways: None,
        platform: platform(),
    };
    (Context::new(client, config), transcript)
}

/// An installation that allows nothing beyond the least.
pub(crate) fn platform() -> Platform {
    Platform {
        server_image: "server:1".to_owned(),
        onnxruntime_image: None,
        allow_http: false,
        allow_hosts: Vec::new(),
        traces: None,
        gateway_url: None,
        gateway_namespace: None,
        operator_namespace: None,
    }
}

/// A client that is answered likewise.
pub(crate) fn client(answers: impl IntoIterator<Item = (u16, Value)>) -> (Client, Transcript) {
    let answers: Arc<Mutex<VecDeque<(u16, Value)>>> =
        Arc::new(Mutex::new(answers.into_iter().collect()));
    let transcript = Transcript::default();
    let asked = transcript.clone();
    let service = service_fn(move |request: Request<Body>| {
        let (answers, asked) = (Arc::clone(&answers), asked.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            asked.0.lock().unwrap().push(Asked {
                line: format!("{} {}", parts.method, parts.uri.path()),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            });
            let (status, body) = answers
                .lock()
                .unwrap()
                .pop_front()
                .expect("one request more");
            let body = Body::from(serde_json::to_vec(&body)?);
            Ok::<_, BoxError>(Response::builder().status(status).body(body)?)
        }
    });
    (Client::new(service, "default"), transcript)
}

/// The answer that says no.
pub(crate) fn refused(code: u16, message: &str) -> (u16, Value) {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
        "reason": reason, "code": code,
    });
    (code, status)
}
