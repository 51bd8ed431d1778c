//! What is different about a call of gRPC: how it is told apart, what its answers say of themselves, and how it is refused.
//!
//! Pure. Asked by the phases; which model a call is about is read by `route::grpc` and `message`. A status stands in the
//! trailers of an answer, or in its head if that is all there is; the status of HTTP says nothing. Metrics, log and retries
//! go by the one that HTTP would have.

use std::time::Duration;

use aimass_protocol::grpc::{status_message, timeout_text};
use aimass_protocol::{Error, Kind};
use axum::http::header::{CONTENT_TYPE, TE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version};

/// The beginning of every content type of gRPC.
const MEDIA_TYPE: &[u8] = b"application/grpc";
/// Bytes in front of a message, which do not count as its own.
const PREFIX: u64 = aimass_protocol::grpc::PREFIX_BYTES as u64;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ERROR: HeaderName = HeaderName::from_static("aimass-error");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// Its body is the message.
    Plain,
    /// Its body is a prefix and the message; its answer ends with trailers.
    Grpc,
}

impl Wire {
    /// Judged by version and content type, as servers do: gRPC needs the trailers of HTTP/2.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let content_type = request.headers().get(CONTENT_TYPE);
        let is_grpc = content_type.is_some_and(|value| value.as_bytes().starts_with(MEDIA_TYPE));
        match is_grpc && request.version() == Version::HTTP_2 {
            true => Self::Grpc,
            false => Self::Plain,
        }
    }

    /// The label `protocol` of requests that are about nothing known.
    pub(super) const fn protocol(self) -> &'static str {
        match self {
            Self::Plain => "other",
            Self::Grpc => "grpc",
        }
    }

    /// Bytes of a body whose message has as many as a model takes.
    pub(super) const fn body_limit(self, message: u64) -> u64 {
        match self {
            Self::Plain => message,
            Self::Grpc => message.saturating_add(PREFIX),
        }
    }
}

/// Adds to a request's headers what a pod must know of a call: that trailers reach its caller, and what time is left.
pub(super) fn to_pod(headers: &mut HeaderMap, time_left: Duration) {
    headers.insert(TE, TRAILERS);
    if let Ok(time) = timeout_text(time_left).parse() {
        headers.insert(TIMEOUT, time);
    }
}

/// What says that a call has failed: as trailers, or as the head of an answer that has none.
pub(super) fn failure(error: &Error) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(8);
    map.insert(STATUS, u64::from(error.kind.code().number()).into());
    // Whatever is no header byte is percent-encoded: there always is a value.
    if let Ok(text) = status_message(&error.text).parse() {
        map.insert(MESSAGE, text);
    }
    map.insert(ERROR, HeaderValue::from_static(error.kind.name()));
    map
}

/// The head of an answer that is nothing but a failure.
pub(super) fn refusal(error: &Error) -> HeaderMap {
    let mut head = failure(error);
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if error.kind == Kind::UnsupportedEncoding {
        let accepted = HeaderValue::from_static("identity,deflate,gzip");
        head.insert(ACCEPT_ENCODING, accepted);
    }
    head
}

/// Whether a pod's answer is one of gRPC.
pub(super) fn is_answer(status: StatusCode, head: &HeaderMap) -> bool {
    let content_type = head.get(CONTENT_TYPE);
    status == StatusCode::OK
        && content_type.is_some_and(|value| value.as_bytes().starts_with(MEDIA_TYPE))
}

/// How a call ended, by trailers or by a head that is all there is; `None`: that is not said there.
pub(super) fn status(map: &HeaderMap) -> Option<(u16, Option<Kind>)> {
    let code = map.get(STATUS)?.to_str().ok()?.parse::<u32>().ok();
    let kind = kind(map);
    Some(match (code, kind) {
        (Some(0), _) => (200, None),
        (_, Some(kind)) => (kind.status(), Some(kind)),
        (code, None) => (of_code(code), None),
    })
}

/// What a pod says of its own refusal.
pub(super) fn kind(map: &HeaderMap) -> Option<Kind> {
    let name = map.get(ERROR)?.as_bytes();
    let mut kinds = Kind::ALL.into_iter();
    kinds.find(|kind| kind.name().as_bytes() == name)
}

/// The status of HTTP that comes nearest. Source: google.rpc.Code, whose comments name them.
const fn of_code(code: Option<u32>) -> u16 {
    match code {
        Some(1) => 499,
        // Invalid, out of range, not in this state.
        Some(3 | 9 | 11) => 400,
        Some(4) => 504,
        Some(5) => 404,
        // There already, aborted.
        Some(6 | 10) => 409,
        Some(7) => 403,
        Some(8) => 429,
        Some(12) => 501,
        Some(14) => 503,
        Some(16) => 401,
        // Unknown, internal, data loss, and what there is not.
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_call_is_http_2_with_a_content_type_of_grpc() {
        let wire = |version, content_type: Option<&str>| {
            let mut request = Request::builder().version(version);
            if let Some(content_type) = content_type {
                request = request.header(CONTENT_TYPE, content_type);
            }
            Wire::of(&request.body(()).unwrap())
        };
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        assert_eq!(wire(two, Some("application/grpc")), Wire::Grpc);
        assert_eq!(wire(two, Some("application/grpc+proto")), Wire::Grpc);
        assert_eq!(wire(two, Some("application/grpc-web")), Wire::Grpc);
        assert_eq!(wire(one, Some("application/grpc")), Wire::Plain);
        assert_eq!(wire(two, Some("application/json")), Wire::Plain);
        assert_eq!(wire(two, None), Wire::Plain);
    }

    #[test]
    fn the_prefix_of_a_message_does_not_count() {
        assert_eq!(Wire::Plain.body_limit(10), 10);
        assert_eq!(Wire::Grpc.body_limit(10), 15);
        assert_eq!(Wire::Grpc.body_limit(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_refusal_is_a_head_with_status_text_and_kind() {
        let head = refusal(&Error::forbidden("ü"));
        let expect = map(&[
            ("grpc-status", "7"),
            ("grpc-message", "This key may not call model %C3%BC"),
            ("aimass-error", "forbidden"),
            ("content-type", "application/grpc"),
        ]);
        assert_eq!(head, expect);
        let head = refusal(&Error::unsupported_encoding("br"));
        assert_eq!(head["grpc-accept-encoding"], "identity,deflate,gzip");
    }

    #[test]
    fn every_kind_is_told_with_its_own_status() {
        for kind in Kind::ALL {
            let told = status(&failure(&Error::new(kind, "text")));
            let (code, told) = told.unwrap();
            assert_eq!(told.map(Kind::name), Some(kind.name()));
            // The three kinds named bad_route are one for whoever reads the name.
            assert!(code == kind.status() || kind.name() == "bad_route");
        }
    }

    #[test]
    fn the_status_of_a_pod_becomes_one_of_http() {
        for (given, expect) in [
            (&[][..], None),
            (&[("grpc-status", "0")], Some((200, None))),
            (
                &[("grpc-status", "0"), ("aimass-error", "draining")],
                Some((200, None)),
            ),
            (&[("grpc-status", "5")], Some((404, None))),
            (&[("grpc-status", "14")], Some((503, None))),
            (
                &[("grpc-status", "14"), ("aimass-error", "draining")],
                Some((503, Some(Kind::Draining))),
            ),
            (
                &[("grpc-status", "14"), ("aimass-error", "made_up")],
                Some((503, None)),
            ),
            (&[("grpc-status", "2")], Some((500, None))),
            (&[("grpc-status", "99")], Some((500, None))),
            (&[("grpc-status", "ok")], Some((500, None))),
        ] {
            assert_eq!(status(&map(given)), expect, "{given:?}");
        }
    }

    #[test]
    fn an_answer_of_another_kind_is_none() {
        let answer = |status, content_type| {
            let status = StatusCode::from_u16(status).unwrap();
            is_answer(status, &map(&[("content-type", content_type)]))
        };
        assert!(answer(200, "application/grpc"));
        assert!(answer(200, "application/grpc+proto"));
        assert!(!answer(200, "text/html"));
        assert!(!answer(503, "application/grpc"));
        assert!(!is_answer(StatusCode::OK, &HeaderMap::new()));
    }

    #[test]
    fn a_pod_is_told_that_trailers_pass_and_what_time_is_left() {
        let mut headers = map(&[("grpc-timeout", "9H")]);
        to_pod(&mut headers, Duration::from_millis(1500));
        let expect = map(&[("grpc-timeout", "1500m"), ("te", "trailers")]);
        assert_eq!(headers, expect);
    }
}
