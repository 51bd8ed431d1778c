//! An answer before its general headers.
//!
//! Pure. Made by the handlers; turned into an HTTP response by `record`.

use aimass_protocol::{Error, Kind};
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::record::Trace;

/// `retry-after` in milliseconds.
pub(super) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// Status, body and the headers that depend on them.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) kind: Option<Kind>,
}

impl Reply {
    /// 200 with JSON.
    pub(super) const fn json(body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            content_type: "application/json",
            headers: Vec::new(),
            kind: None,
        }
    }

    /// 101: the connection goes on as something else than HTTP.
    pub(super) fn switching(headers: HeaderMap) -> Self {
        let named = |(name, value): (Option<HeaderName>, _)| Some((name?, value));
        Self {
            status: StatusCode::SWITCHING_PROTOCOLS,
            headers: headers.into_iter().filter_map(named).collect(),
            ..Self::json(Vec::new())
        }
    }

    /// The answer to a failure.
    pub(super) fn error(error: &Error, trace: &Trace) -> Self {
        let mut reply = Self::json(error.body());
        reply.set_kind(error.kind);
        reply.headers.extend(retry_after(error.kind, trace));
        match error.kind {
            Kind::MethodNotAllowed => {
                let allowed = HeaderValue::from_static(trace.allowed());
                reply.headers.push((ALLOW, allowed));
            }
            Kind::UnsupportedEncoding => {
                let accepted = HeaderValue::from_static("gzip, deflate");
                reply.headers.push((ACCEPT_ENCODING, accepted));
            }
            _ => {}
        }
        reply
    }

    /// Another body with the status and kind of a failure.
    pub(super) fn failed(mut self, kind: Kind) -> Self {
        self.set_kind(kind);
        self.headers.push((RETRY_AFTER, 1.into()));
        self.headers.push((RETRY_AFTER_MS, 1000.into()));
        self
    }

    pub(super) fn with_cors(mut self) -> Self {
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (ACCESS_CONTROL_ALLOW_METHODS, "POST, GET"),
            (ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
        ] {
            self.headers.push((name, HeaderValue::from_static(value)));
        }
        self
    }

    fn set_kind(&mut self, kind: Kind) {
        self.kind = Some(kind);
        // The table has no other statuses than valid ones.
        self.status =
            StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    }
}

/// When to come again, for who was refused for lack of capacity: in whole seconds as HTTP has it, rounded up, and exactly.
pub(super) fn retry_after(kind: Kind, trace: &Trace) -> Vec<(HeaderName, HeaderValue)> {
    if !matches!(kind, Kind::Overloaded | Kind::NotReady | Kind::Draining) {
        return Vec::new();
    }
    let milliseconds = u64::try_from(trace.retry_after().as_millis()).unwrap_or(u64::MAX);
    vec![
        (RETRY_AFTER, milliseconds.div_ceil(1000).into()),
        (RETRY_AFTER_MS, milliseconds.into()),
    ]
}
