//! WebSockets, `/v1/models/{m}[/V]/ws` and `/v2/models/{m}[/V]/ws`: they end here, and pods never see one.
//!
//! Called by `phase` once the caller may call the path's model. The socket itself is the chassis' (`ws`); each message becomes a
//! request to [`app`], with the key and from the address of the upgrade: so it passes every phase by itself, is counted and
//! told by itself, and may be answered by another pod than the one before.

use std::sync::Arc;
use std::time::Duration;

use aimass_chassis::listener::{Connection, Secured};
use aimass_chassis::ws::{
    Asked, Endpoint, Failed, Form, Language, Limits, Outgoing, Refusal as NotUpgraded, Service,
};
use aimass_protocol::ws::{self, Call, Dialect, Refused, SUBPROTOCOL};
use aimass_protocol::{Checks, Error, Kind};
use axum::body::{Body, Bytes};
use axum::http::header::{HOST, SEC_WEBSOCKET_VERSION};
use axum::http::response::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use prometheus_client::metrics::gauge::Gauge;

use super::refusal::Refusal;
use crate::app::{State, app};
use crate::key;

/// Bytes of a message.
const MESSAGE_BYTES: usize = 16 << 20;
/// Bytes of an answer: what servers write at most.
const ANSWER_BYTES: usize = 64 << 20;
/// Bytes of all messages that are on their way.
const UNFINISHED_BYTES: u64 = 256 << 20;
/// Of a connection's id in the ids of its messages: 64 bytes, less a dot and the longest counter.
const MAX_CONNECTION: usize = 43;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout-ms");
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// What a caller, or a proxy before us, says once with the upgrade about all messages.
static PASSED_ON: [HeaderName; 8] = [
    HOST,
    TIMEOUT,
    HeaderName::from_static("aimass-batching"),
    HeaderName::from_static("aimass-json-nonfinite"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// Where WebSockets begin; `open` shows how many there are.
pub(crate) fn endpoint(open: Gauge) -> Endpoint {
    let limits = Limits::new(MESSAGE_BYTES, ANSWER_BYTES, UNFINISHED_BYTES);
    Endpoint::new(limits, SUBPROTOCOL, open)
}

/// Lets the connection of a request go on as a WebSocket: the headers of the answer 101.
pub(super) fn upgrade(
    state: &State,
    head: &Request<()>,
    body: &mut Option<Body>,
    dialect: Dialect,
    id: &str,
) -> Result<HeaderMap, Refusal> {
    let language = Words {
        dialect,
        stem: stem(head.uri().path()).to_owned(),
        connection: id.get(..MAX_CONNECTION).unwrap_or(id).to_owned(),
        line: head.extensions().get().copied(),
        secured: head.extensions().get().cloned(),
        headers: passed_on(head.headers()),
    };
    let service = Service {
        app: app(state.clone()),
        language: Arc::new(language),
    };
    let mut request = head.clone().map(|()| body.take().unwrap_or_default());
    let upgraded = state.websockets().upgrade(&mut request, service);
    upgraded.map_err(refuse)
}

fn refuse(refused: NotUpgraded) -> Refusal {
    let text = match refused {
        NotUpgraded::Full => {
            let text = "This gateway has as many WebSockets as it may have";
            return Error::new(Kind::Overloaded, text).into();
        }
        NotUpgraded::Draining => return Error::draining().into(),
        NotUpgraded::NotAsked => "This path is for WebSockets: ask for an upgrade of HTTP/1.1",
        NotUpgraded::Version => "Sec-WebSocket-Version must be 13",
        NotUpgraded::Key => "Sec-WebSocket-Key must be 16 bytes in base64",
        NotUpgraded::Body => "An upgrade to a WebSocket has no body",
        NotUpgraded::Subprotocol => "Sec-WebSocket-Protocol must offer aimass.v1",
    };
    let refusal = Refusal::from(Error::new(Kind::BadRequest, text));
    if refused == NotUpgraded::Version {
        let version = HeaderValue::from_static("13");
        return refusal.with(vec![(SEC_WEBSOCKET_VERSION, version)]);
    }
    refusal
}

/// The path without its last segment, `/ws`.
fn stem(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(stem, _)| stem)
}

/// The headers of every message: the credential in one place, wherever the upgrade had it.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in &PASSED_ON {
        for value in headers.get_all(name) {
            passed.append(name.clone(), value.clone());
        }
    }
    // It was known a moment ago; whether it still is, is asked for each message.
    if let Ok(Some(credential)) = key::credential(headers)
        && let Ok(mut value) = HeaderValue::from_str(credential)
    {
        value.set_sensitive(true);
        passed.insert(key::API_KEY, value);
    }
    passed
}

/// The messages of one WebSocket.
struct Words {
    dialect: Dialect,
    /// The path of the model.
    stem: String,
    /// What the ids of its messages begin with.
    connection: String,
    line: Option<Connection>,
    secured: Option<Secured>,
    headers: HeaderMap,
}

impl Language for Words {
    fn read(&self, form: Form, message: Bytes, number: u64) -> Asked {
        let form = match (form, self.dialect) {
            (Form::Binary, Dialect::Tfs) => return Asked::Unsupported,
            (Form::Binary, Dialect::Oip) => ws::Form::Binary,
            (Form::Text, _) => ws::Form::Text,
        };
        // What the message must be besides, its pod judges.
        let refused = match ws::read(self.dialect, form, &message, Checks::Lenient) {
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
            let length = header(JSON_LENGTH.as_str());
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
        let kind = header("aimass-error").unwrap_or(Kind::UpstreamBroken.name());
        let retry_after_ms = header("retry-after-ms").and_then(|ms| ms.parse().ok());
        let status = head.status.as_u16();
        Outgoing {
            malformed: kind == Kind::BadJson.name(),
            ..failure(ws::failure(id, status, kind, retry_after_ms, &body))
        }
    }

    fn failed(&self, id: &str, _number: u64, failed: Failed) -> Outgoing {
        let error = match failed {
            Failed::Duplicate => Error::new(Kind::BadRequest, format!("Duplicate id \"{id}\"")),
            Failed::Cancelled => Error::cancelled(),
            Failed::Broken => Error::upstream_broken(),
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
        let extensions = request.extensions_mut()?;
        if let Some(line) = self.line {
            extensions.insert(line);
        }
        if let Some(secured) = &self.secured {
            extensions.insert(secured.clone());
        }
        let headers = request.headers_mut()?;
        *headers = self.headers.clone();
        headers.insert(REQUEST_ID, self.request_id(number).try_into().ok()?);
        if let Some(ms) = call.timeout_ms {
            let ms = self.shorter(Duration::from_millis(ms)).as_millis();
            headers.insert(TIMEOUT, u64::try_from(ms).ok()?.into());
        }
        if let Some(length) = call.json_length {
            headers.insert(JSON_LENGTH, length.into());
        }
        request.body(Body::from(body)).ok()
    }

    /// The time that the upgrade allows each message, if that is shorter than `wanted`.
    fn shorter(&self, wanted: Duration) -> Duration {
        let own = self.headers.get(TIMEOUT);
        let own = own.and_then(|own| own.to_str().ok()?.parse().ok());
        own.map_or(wanted, |own| wanted.min(Duration::from_millis(own)))
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

    fn words(dialect: Dialect, headers: &[(&'static str, &'static str)]) -> Words {
        let pair = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        Words {
            dialect,
            stem: "/projects/shop/v9/models/m".to_owned(),
            connection: "conn".to_owned(),
            line: None,
            secured: None,
            headers: passed_on(&headers.iter().map(pair).collect()),
        }
    }

    fn asked(words: &Words, form: Form, message: &[u8]) -> Request<Body> {
        let message = Bytes::copy_from_slice(message);
        let Asked::Call { id, request } = words.read(form, message, 3) else {
            panic!("a call")
        };
        assert_eq!(id, "a");
        assert_eq!(request.headers()["x-request-id"], "conn.3");
        request
    }

    #[test]
    fn a_message_becomes_a_request_to_the_model_of_its_path() {
        let tfs = words(Dialect::Tfs, &[]);
        let request = asked(&tfs, Form::Text, br#"{"id":"a","instances":[]}"#);
        assert_eq!(request.uri(), "/projects/shop/v9/models/m:predict");
        assert!(!request.headers().contains_key(TIMEOUT));
        let oip = words(Dialect::Oip, &[]);
        let request = asked(&oip, Form::Binary, b"\x0a\0\0\0{\"id\":\"a\"}rest");
        assert_eq!(request.uri(), "/projects/shop/v9/models/m/infer");
        assert_eq!(request.headers()[JSON_LENGTH], "10");
        assert_eq!(
            stem("/V1/models/a%20b/versions/7/WS"),
            "/V1/models/a%20b/versions/7"
        );
    }

    #[test]
    fn of_two_times_the_shorter_holds() {
        let half = words(Dialect::Oip, &[("x-request-timeout-ms", "500")]);
        for (message, expect) in [
            (&br#"{"id":"a","timeout_ms":900}"#[..], "500"),
            (br#"{"id":"a","timeout_ms":20}"#, "20"),
            (br#"{"id":"a"}"#, "500"),
        ] {
            assert_eq!(asked(&half, Form::Text, message).headers()[TIMEOUT], expect);
        }
    }

    #[test]
    fn every_message_is_asked_with_the_key_of_the_upgrade_and_nothing_else_of_it() {
        for key in [
            ("authorization", "Bearer k"),
            ("x-api-key", "k"),
            ("sec-websocket-protocol", "aimass.v1, aimass.key.k"),
        ] {
            let words = words(
                Dialect::Oip,
                &[key, ("host", "a"), ("cookie", "c"), ("x-other", "o")],
            );
            let request = asked(&words, Form::Text, br#"{"id":"a"}"#);
            let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["host", "x-api-key", "x-request-id"]);
            assert_eq!(request.headers()["x-api-key"], "k");
        }
    }
}
