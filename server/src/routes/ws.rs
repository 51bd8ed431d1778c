//! WebSockets, `/v1/models/{m}[/V]/ws` and `/v2/models/{m}[/V]/ws`: who gets one, and what its messages mean here.
//!
//! Called by `v1` and `v2` once the path's model is known to be ours. The socket itself is the chassis' (`ws`); each message
//! becomes a request to [`crate::app`], so its checks, limits, counts and errors are those of REST.

use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::listener::Connection;
use aimass_chassis::ws::{Asked, Failed, Form, Language, Outgoing, Refusal, Service};
use aimass_protocol::ws::{self, Call, Dialect, Refused, SUBPROTOCOL};
use aimass_protocol::{Checks, Error, Kind};
use axum::body::Body;
use axum::http::header::{ORIGIN, SEC_WEBSOCKET_VERSION};
use axum::http::response::Parts;
use axum::http::{HeaderMap, HeaderValue, Request, Uri};
use bytes::Bytes;

use super::caller;
use super::record::Trace;
use super::reply::{RETRY_AFTER_MS, Reply};
use crate::app;
use crate::state::State;

/// What a caller says once, with the upgrade, about all messages.
const PASSED_ON: [&str; 4] = [
    "aimass-batching",
    "aimass-json-nonfinite",
    "traceparent",
    "tracestate",
];
/// Of a connection's id in the ids of its messages: 64 bytes, less a dot and the longest counter.
const MAX_CONNECTION: usize = 43;

/// Lets the connection of `request` go on as a WebSocket about the model in its path.
pub(super) fn upgrade(
    state: &State,
    mut request: Request<Body>,
    trace: &Trace,
    dialect: Dialect,
) -> Result<Reply, Error> {
    let settings = state.settings();
    if request.headers().contains_key(ORIGIN) && !settings.cors {
        // A page of any site could reach a server inside its visitor's network.
        let text = "WebSockets of web pages need --rest_api_enable_cors_support, which is off";
        return Err(Error::new(Kind::BadRequest, text));
    }
    let language = Words {
        dialect,
        checks: settings.checks,
        stem: stem(request.uri().path()).to_owned(),
        connection: connection(trace.id()).to_owned(),
        line: request.extensions().get().copied(),
        timeout: caller::timeout(request.headers())?,
        headers: passed_on(request.headers()),
    };
    let service = Service {
        app: app(state.clone()),
        language: Arc::new(language),
    };
    match state.websockets().upgrade(&mut request, service) {
        Ok(headers) => Ok(Reply::switching(headers)),
        Err(refusal) => refuse(refusal, &settings.model_name, trace),
    }
}

fn refuse(refusal: Refusal, model: &str, trace: &Trace) -> Result<Reply, Error> {
    let text = match refusal {
        Refusal::Full => return Err(Error::overloaded(model)),
        Refusal::Draining => return Err(Error::draining()),
        Refusal::NotAsked => "This path is for WebSockets: ask for an upgrade of HTTP/1.1",
        Refusal::Version => "Sec-WebSocket-Version must be 13",
        Refusal::Key => "Sec-WebSocket-Key must be 16 bytes in base64",
        Refusal::Body => "An upgrade to a WebSocket has no body",
        Refusal::Subprotocol => {
            let text = format!("Sec-WebSocket-Protocol must offer {SUBPROTOCOL}");
            return Err(Error::new(Kind::BadRequest, text));
        }
    };
    let mut reply = Reply::error(&Error::new(Kind::BadRequest, text), trace);
    if refusal == Refusal::Version {
        let version = HeaderValue::from_static("13");
        reply.headers.push((SEC_WEBSOCKET_VERSION, version));
    }
    Ok(reply)
}

/// The path without its last segment, `/ws`.
fn stem(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(stem, _)| stem)
}

/// What the ids of a connection's messages begin with. Ids are ASCII.
fn connection(id: &str) -> &str {
    id.get(..MAX_CONNECTION).unwrap_or(id)
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in PASSED_ON {
        if let Some(value) = headers.get(name) {
            passed.insert(name, value.clone());
        }
    }
    passed
}

/// The messages of one WebSocket.
struct Words {
    dialect: Dialect,
    checks: Checks,
    /// The path of the model.
    stem: String,
    connection: String,
    /// The connection as the queue knows it: all messages of a WebSocket take turns as one caller.
    line: Option<Connection>,
    /// The deadline of every message that has no shorter one.
    timeout: Option<Duration>,
    headers: HeaderMap,
}

impl Language for Words {
    fn read(&self, form: Form, message: Bytes, number: u64) -> Asked {
        let form = match (form, self.dialect) {
            (Form::Binary, Dialect::Tfs) => return Asked::Unsupported,
            (Form::Binary, Dialect::Oip) => ws::Form::Binary,
            (Form::Text, _) => ws::Form::Text,
        };
        let refused = match ws::read(self.dialect, form, &message, self.checks) {
            Ok(ws::Asked::Cancel(id)) => return Asked::Cancel { id },
            Ok(ws::Asked::Call(call)) => match self.request(&call, &message, number) {
                Some(request) => {
                    let id = call.id;
                    return Asked::Call { id, request };
                }
                None => Refused {
                    id: Some(call.id),
                    error: Error::internal(&self.request_id(number)),
                },
            },
            Err(refused) => refused,
        };
        Asked::Malformed(Outgoing {
            malformed: true,
            ..failure(ws::error(refused.id.as_deref(), &refused.error))
        })
    }

    fn answer(&self, id: &str, head: &Parts, body: Bytes) -> Outgoing {
        let header = |name: &str| head.headers.get(name)?.to_str().ok();
        if !head.status.is_client_error() && !head.status.is_server_error() {
            let length = header("inference-header-content-length");
            let length = length.and_then(|length| length.parse().ok());
            let answer = ws::success(self.dialect, id, length, &body);
            return Outgoing {
                form: match answer.form {
                    ws::Form::Text => Form::Text,
                    ws::Form::Binary => Form::Binary,
                },
                head: answer.head.into(),
                body: body.slice(answer.body),
                malformed: false,
            };
        }
        let kind = header("aimass-error").unwrap_or(Kind::Internal.name());
        let retry_after_ms = header(RETRY_AFTER_MS.as_str()).and_then(|ms| ms.parse().ok());
        let status = head.status.as_u16();
        Outgoing {
            malformed: kind == Kind::BadJson.name(),
            ..failure(ws::failure(id, status, kind, retry_after_ms, &body))
        }
    }

    fn failed(&self, id: &str, number: u64, failed: Failed) -> Outgoing {
        let error = match failed {
            Failed::Duplicate => Error::new(Kind::BadRequest, format!("Duplicate id \"{id}\"")),
            Failed::Cancelled => Error::cancelled(),
            Failed::Broken => Error::internal(&self.request_id(number)),
        };
        failure(ws::error(Some(id), &error))
    }
}

impl Words {
    /// The request that a message stands for. `None`: its path is none, though the upgrade's was.
    fn request(&self, call: &Call, message: &Bytes, number: u64) -> Option<Request<Body>> {
        let path = match self.dialect {
            Dialect::Tfs => format!("{}:{}", self.stem, call.method),
            Dialect::Oip => format!("{}/{}", self.stem, call.method),
        };
        let body = match call.rewritten(message) {
            Some(body) => body.into(),
            None => message.slice(call.start..),
        };
        let mut request = Request::post(Uri::try_from(path).ok()?);
        if let Some(line) = self.line {
            request.extensions_mut()?.insert(line);
        }
        let headers = request.headers_mut()?;
        headers.extend(self.headers.clone());
        headers.insert("x-request-id", self.request_id(number).try_into().ok()?);
        let timeout = call.timeout_ms.map(Duration::from_millis);
        if let Some(timeout) = timeout.into_iter().chain(self.timeout).min() {
            let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            headers.insert("x-request-timeout-ms", ms.into());
        }
        if let Some(length) = call.json_length {
            headers.insert("inference-header-content-length", length.into());
        }
        request.body(Body::from(body)).ok()
    }

    fn request_id(&self, number: u64) -> String {
        format!("{}.{number}", self.connection)
    }
}

fn failure(text: Vec<u8>) -> Outgoing {
    Outgoing {
        form: Form::Text,
        head: text.into(),
        body: Bytes::new(),
        malformed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_model_is_that_of_the_upgrade_without_its_end() {
        assert_eq!(stem("/v1/models/half/ws"), "/v1/models/half");
        assert_eq!(
            stem("/V1/models/a%20b/versions/7/WS"),
            "/V1/models/a%20b/versions/7"
        );
    }

    fn words(dialect: Dialect) -> Words {
        let batching = ("aimass-batching", "off");
        Words {
            dialect,
            checks: Checks::Lenient,
            stem: "/v9/models/m".to_owned(),
            connection: "conn".to_owned(),
            line: None,
            timeout: Some(Duration::from_millis(500)),
            headers: HeaderMap::from_iter([(
                batching.0.parse().unwrap(),
                HeaderValue::from_static(batching.1),
            )]),
        }
    }

    #[test]
    fn a_message_becomes_a_request_to_the_model_of_its_path() {
        let read = |dialect, form, message: &[u8]| {
            let message = Bytes::copy_from_slice(message);
            let Asked::Call { id, request } = words(dialect).read(form, message, 3) else {
                panic!("a call")
            };
            assert_eq!(id, "a");
            assert_eq!(request.headers()["x-request-id"], "conn.3");
            assert_eq!(request.headers()["aimass-batching"], "off");
            request
        };
        let message = br#"{"id":"a","method":"regress","timeout_ms":20,"examples":[]}"#;
        let request = read(Dialect::Tfs, Form::Text, message);
        assert_eq!(request.uri(), "/v9/models/m:regress");
        assert_eq!(request.headers()["x-request-timeout-ms"], "20");
        let request = read(Dialect::Oip, Form::Text, br#"{"id":"a","timeout_ms":900}"#);
        assert_eq!(request.uri(), "/v9/models/m/infer");
        assert_eq!(request.headers()["x-request-timeout-ms"], "500");
        let request = read(Dialect::Oip, Form::Binary, b"\x0a\0\0\0{\"id\":\"a\"}rest");
        assert_eq!(request.headers()["inference-header-content-length"], "10");
    }

    #[test]
    fn the_id_of_a_message_is_never_too_long_to_be_kept() {
        let id = format!("{}.{}", connection(&"a".repeat(64)), u64::MAX);
        assert_eq!(id.len(), 64);
        assert_eq!(connection("short"), "short");
    }
}
