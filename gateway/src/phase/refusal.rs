//! A refusal before its general headers: status, text, and the headers that belong to it.
//!
//! Pure. Made by the phases, turned into a response by `record`.

use std::time::Duration;

use aimass_protocol::{Error, Kind};
use axum::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};

use crate::limit;

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// When to come again where nothing better is known.
const LATER: Duration = Duration::from_secs(1);

/// Why a request is not answered by a pod.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: Error,
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The connection is not to be used again.
    pub(super) close: bool,
}

impl Refusal {
    /// The gateway has just started, and knows of no model yet.
    pub(super) fn starting() -> Self {
        Error::new(Kind::NotReady, "The gateway is starting; try again").into()
    }

    /// The connection was made for another host, and its certificate may be another one's.
    pub(super) fn misdirected() -> Self {
        let text = "This connection was made for another host; make one for this host";
        Self {
            status: StatusCode::MISDIRECTED_REQUEST,
            ..Error::new(Kind::NotFound, text).into()
        }
    }

    /// Names the methods that there are, where the method was the fault.
    pub(super) fn with_allow(mut self, methods: Option<&'static str>) -> Self {
        if let (Kind::MethodNotAllowed, Some(methods)) = (self.error.kind, methods) {
            let methods = HeaderValue::from_static(methods);
            self.headers.push((ALLOW, methods));
        }
        self
    }

    /// Says when to come again, instead of what was said.
    pub(super) fn later(mut self, pause: Duration) -> Self {
        let is_old = |name: &HeaderName| *name == RETRY_AFTER || *name == RETRY_AFTER_MS;
        self.headers.retain(|(name, _)| !is_old(name));
        self.headers.extend(later(pause));
        self
    }

    /// Adds headers.
    pub(super) fn with(mut self, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        self.headers.extend(headers);
        self
    }
}

fn later(pause: Duration) -> [(HeaderName, HeaderValue); 2] {
    let milliseconds = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    [
        (RETRY_AFTER, milliseconds.div_ceil(1000).into()),
        (RETRY_AFTER_MS, milliseconds.into()),
    ]
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let headers = match error.kind {
            Kind::Unauthenticated => {
                vec![(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))]
            }
            Kind::Overloaded | Kind::NotReady | Kind::Draining => later(LATER).into(),
            _ => Vec::new(),
        };
        // The table has no other statuses than valid ones.
        let status = StatusCode::from_u16(error.kind.status());
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            close: matches!(error.kind, Kind::BodyTooSlow | Kind::Draining),
            error,
            headers,
        }
    }
}

impl From<limit::Refusal> for Refusal {
    fn from(refusal: limit::Refusal) -> Self {
        Self::from(refusal.error()).with(refusal.headers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(refusal: &Refusal) -> Vec<String> {
        let line = |(name, value): &(HeaderName, HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        refusal.headers.iter().map(line).collect()
    }

    #[test]
    fn each_kind_has_the_headers_that_say_what_to_do() {
        let of = |error: Error| headers(&error.into());
        assert_eq!(of(Error::unauthenticated()), ["www-authenticate: Bearer"]);
        let later = ["retry-after: 1", "retry-after-ms: 1000"];
        assert_eq!(of(Error::overloaded("m")), later);
        assert_eq!(of(Error::not_ready("m", "Starting")), later);
        assert_eq!(of(Error::forbidden("m")), [""; 0]);
        let starting = Refusal::starting();
        assert_eq!(starting.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(headers(&starting), later);
    }

    #[test]
    fn when_to_come_again_is_said_once() {
        let refusal = Refusal::from(Error::overloaded("m")).later(Duration::from_secs(7));
        assert_eq!(
            headers(&refusal),
            ["retry-after: 7", "retry-after-ms: 7000"]
        );
    }

    #[test]
    fn allow_is_said_where_the_method_was_wrong() {
        let wrong = Error::new(Kind::MethodNotAllowed, "");
        let wrong = Refusal::from(wrong).with_allow(Some("GET, HEAD"));
        assert_eq!(headers(&wrong), ["allow: GET, HEAD"]);
        let other = Refusal::from(Error::forbidden("m")).with_allow(Some("GET"));
        assert_eq!(headers(&other), [""; 0]);
    }
}
