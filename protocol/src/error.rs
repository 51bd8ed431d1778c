//! The one table of what can go wrong for a caller: kind, HTTP status, gRPC status, text.
//!
//! Pure. Made by the codecs, by the server's admission and batcher, by the gateway's phases; rendered by the routes of
//! both.
//! Texts hold no paths, addresses or header values but those the caller sent, cut by [`cut`].

mod code;

pub use code::Code;

/// Bytes of a caller's payload that one text may repeat.
pub const MAX_PAYLOAD: usize = 256;

/// What went wrong, as a program reads it: the header `aimass-error`, the label `kind`, the log field.
///
/// [`Kind::BadRoute`], [`Kind::NotFound`] and [`Kind::MethodNotAllowed`] share the name `bad_route`: TensorFlow Serving
/// answers 400 where HTTP has 404 and 405.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No such route below `/v1`.
    BadRoute,
    /// No such route elsewhere.
    NotFound,
    /// The route exists, but not for this method.
    MethodNotAllowed,
    /// The body is not JSON.
    BadJson,
    /// Keys, names or the signature are wrong.
    BadRequest,
    /// The type, shape or a value of a tensor is wrong.
    BadTensor,
    /// No such model.
    UnknownModel,
    /// The model has no such version.
    UnknownVersion,
    /// The model has no such label.
    UnknownLabel,
    /// The engine refused input that passed all checks.
    EngineRejected,
    /// The encoded answer would exceed the limit.
    ResultTooLarge,
    /// No credential, or one that is not known, or no longer. The gateway's.
    Unauthenticated,
    /// A credential that is known, for what it is not allowed. The gateway's.
    Forbidden,
    /// The body came in more slowly than the limit allows.
    BodyTooSlow,
    /// The inflated body exceeds the limit.
    BodyTooLarge,
    /// A `Content-Encoding` other than gzip and deflate.
    UnsupportedEncoding,
    /// The caller's own limit is reached. The gateway's.
    RateLimited,
    /// The caller went away. Never sent; counted and logged.
    Cancelled,
    /// A defect of ours.
    Internal,
    /// A pod broke off, or answered what is no answer. The gateway's.
    UpstreamBroken,
    /// No capacity at the moment.
    Overloaded,
    /// The model is loading, broken or suspended.
    NotReady,
    /// The process is stopping.
    Draining,
    /// The caller's deadline, or ours, has passed.
    Deadline,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 24] = [
        Self::BadRoute,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BadJson,
        Self::BadRequest,
        Self::BadTensor,
        Self::UnknownModel,
        Self::UnknownVersion,
        Self::UnknownLabel,
        Self::EngineRejected,
        Self::ResultTooLarge,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::BodyTooSlow,
        Self::BodyTooLarge,
        Self::UnsupportedEncoding,
        Self::RateLimited,
        Self::Cancelled,
        Self::Internal,
        Self::UpstreamBroken,
        Self::Overloaded,
        Self::NotReady,
        Self::Draining,
        Self::Deadline,
    ];

    /// The value of the header `aimass-error` and of the metric label `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRoute | Self::NotFound | Self::MethodNotAllowed => "bad_route",
            Self::BadJson => "bad_json",
            Self::BadRequest => "bad_request",
            Self::BadTensor => "bad_tensor",
            Self::UnknownModel => "unknown_model",
            Self::UnknownVersion => "unknown_version",
            Self::UnknownLabel => "unknown_label",
            Self::EngineRejected => "engine_rejected",
            Self::ResultTooLarge => "result_too_large",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::BodyTooSlow => "body_too_slow",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::RateLimited => "rate_limited",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
            Self::UpstreamBroken => "upstream_broken",
            Self::Overloaded => "overloaded",
            Self::NotReady => "not_ready",
            Self::Draining => "draining",
            Self::Deadline => "deadline",
        }
    }

    /// The HTTP status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRoute
            | Self::BadJson
            | Self::BadRequest
            | Self::BadTensor
            | Self::UnknownLabel
            | Self::EngineRejected
            | Self::ResultTooLarge => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::UnknownModel | Self::UnknownVersion => 404,
            Self::MethodNotAllowed => 405,
            Self::BodyTooSlow => 408,
            Self::BodyTooLarge => 413,
            Self::UnsupportedEncoding => 415,
            Self::RateLimited => 429,
            Self::Cancelled => 499,
            Self::Internal => 500,
            Self::UpstreamBroken => 502,
            Self::Overloaded | Self::NotReady | Self::Draining => 503,
            Self::Deadline => 504,
        }
    }
}

/// One failure: its kind and the sentence for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    /// What a program needs.
    pub kind: Kind,
    /// What a person needs: one sentence, with at most [`MAX_PAYLOAD`] bytes of what the caller sent.
    pub text: String,
}

/// The texts that both protocols share.
impl Error {
    /// An error of `kind`. Payload inside `text` must have gone through [`cut`].
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// The body of the answer in both protocols: `{"error":"<text>"}`.
    pub fn body(&self) -> Vec<u8> {
        let mut body = b"{\"error\":".to_vec();
        crate::json::write::string(&mut body, &self.text);
        body.push(b'}');
        body
    }

    /// The engine refused valid input at `node` for `reason`.
    pub fn engine_rejected(node: &str, reason: &str) -> Self {
        let text = format!("Model execution failed: {}: {}", cut(node), cut(reason));
        Self::new(Kind::EngineRejected, text)
    }

    /// The encoded answer exceeds `limit` bytes.
    pub fn result_too_large(limit: usize) -> Self {
        Self::new(
            Kind::ResultTooLarge,
            format!("Response exceeds {limit} bytes"),
        )
    }

    /// No credential, or one that is unknown, expired, revoked or used from elsewhere: a caller cannot tell which.
    pub fn unauthenticated() -> Self {
        Self::new(Kind::Unauthenticated, "Missing or unknown API key")
    }

    /// The caller's key does not name `model`, which is in its own project.
    pub fn forbidden(model: &str) -> Self {
        Self::new(
            Kind::Forbidden,
            format!("This key may not call model {}", cut(model)),
        )
    }

    /// The body's rate fell below the limit.
    pub fn body_too_slow() -> Self {
        Self::new(Kind::BodyTooSlow, "Request body arrived too slowly")
    }

    /// The inflated body exceeds `limit` bytes.
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(
            Kind::BodyTooLarge,
            format!("Request body exceeds {limit} bytes"),
        )
    }

    /// The body's `Content-Encoding` is unknown.
    pub fn unsupported_encoding(encoding: &str) -> Self {
        let text = format!("Unsupported Content-Encoding: {}", cut(encoding));
        Self::new(Kind::UnsupportedEncoding, text)
    }

    /// The compressed body does not inflate; `encoding` is `gzip` or `deflate`.
    pub fn corrupt_body(encoding: &str) -> Self {
        Self::new(Kind::BadRequest, format!("Corrupt {} body", cut(encoding)))
    }

    /// A header that steers the request has a value that is not allowed.
    pub fn invalid_header(name: &str, value: &str) -> Self {
        Self::new(
            Kind::BadRequest,
            format!("Invalid {name}: \"{}\"", cut(value)),
        )
    }

    /// More rows than one request may have.
    pub fn too_many_rows(rows: usize, limit: usize) -> Self {
        let text = format!("Request has {rows} rows, at most {limit} are allowed");
        Self::new(Kind::BadRequest, text)
    }

    /// The caller has reached its limit `policy`.
    pub fn rate_limited(policy: &str) -> Self {
        Self::new(
            Kind::RateLimited,
            format!("Rate limit \"{}\" exceeded", cut(policy)),
        )
    }

    /// The caller went away.
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "Cancelled")
    }

    /// A defect of ours; the cause is in the log under `request_id`.
    pub fn internal(request_id: &str) -> Self {
        Self::new(
            Kind::Internal,
            format!("Internal error, request {request_id}"),
        )
    }

    /// A pod reset the connection, or sent what is no HTTP answer.
    pub fn upstream_broken() -> Self {
        Self::new(
            Kind::UpstreamBroken,
            "The model server broke the connection",
        )
    }

    /// No capacity for `model` at the moment.
    pub fn overloaded(model: &str) -> Self {
        Self::new(
            Kind::Overloaded,
            format!("Model {} is overloaded", cut(model)),
        )
    }

    /// `model` cannot answer yet or any more; `reason` is that of the readiness probe.
    pub fn not_ready(model: &str, reason: &str) -> Self {
        Self::new(
            Kind::NotReady,
            format!("Model {} is not ready: {reason}", cut(model)),
        )
    }

    /// `model` is turned off until its owner turns it on again.
    pub fn suspended(model: &str) -> Self {
        Self::new(Kind::NotReady, format!("Model {} is suspended", cut(model)))
    }

    /// The process is stopping.
    pub fn draining() -> Self {
        Self::new(Kind::Draining, "Server is shutting down")
    }

    /// The deadline of `limit_ms` has passed.
    pub fn deadline(limit_ms: u128) -> Self {
        Self::new(
            Kind::Deadline,
            format!("Deadline of {limit_ms} ms exceeded"),
        )
    }

    /// The answer to an `OPTIONS` request without a usable `Origin`.
    pub fn missing_origin() -> Self {
        Self::new(
            Kind::BadRequest,
            "Origin header is missing in CORS preflight",
        )
    }
}

/// The longest prefix of `payload` of at most [`MAX_PAYLOAD`] bytes that ends between two characters.
pub fn cut(payload: &str) -> &str {
    cut_at(payload, MAX_PAYLOAD)
}

/// [`cut`] for texts that repeat two things: half as much of each.
pub(crate) fn cut_half(payload: &str) -> &str {
    cut_at(payload, MAX_PAYLOAD / 2)
}

/// [`cut`] for a method beside a path: the longest registered one, `UPDATEREDIRECTREF`, has 17 letters.
pub(crate) fn cut_method(method: &str) -> &str {
    cut_at(method, 20)
}

fn cut_at(payload: &str, limit: usize) -> &str {
    let end = payload.floor_char_boundary(limit);
    payload.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &Error, kind: &str, status: u16, text: &str) {
        assert_eq!(
            (given.kind.name(), given.kind.status(), given.text.as_str()),
            (kind, status, text)
        );
    }

    #[test]
    fn each_shared_text_has_its_kind_and_status() {
        let conv = Error::engine_rejected("conv1", "bad token");
        check(
            &conv,
            "engine_rejected",
            400,
            "Model execution failed: conv1: bad token",
        );
        let large = Error::result_too_large(67_108_864);
        check(
            &large,
            "result_too_large",
            400,
            "Response exceeds 67108864 bytes",
        );
        let slow = Error::body_too_slow();
        check(
            &slow,
            "body_too_slow",
            408,
            "Request body arrived too slowly",
        );
        let body = Error::body_too_large(16_777_216);
        check(
            &body,
            "body_too_large",
            413,
            "Request body exceeds 16777216 bytes",
        );
        let encoding = Error::unsupported_encoding("br");
        check(
            &encoding,
            "unsupported_encoding",
            415,
            "Unsupported Content-Encoding: br",
        );
        check(
            &Error::corrupt_body("gzip"),
            "bad_request",
            400,
            "Corrupt gzip body",
        );
        let header = Error::invalid_header("x-request-timeout-ms", "abc");
        check(
            &header,
            "bad_request",
            400,
            "Invalid x-request-timeout-ms: \"abc\"",
        );
        let rows = Error::too_many_rows(70_000, 65_536);
        check(
            &rows,
            "bad_request",
            400,
            "Request has 70000 rows, at most 65536 are allowed",
        );
        check(&Error::cancelled(), "cancelled", 499, "Cancelled");
        check(
            &Error::internal("r1"),
            "internal",
            500,
            "Internal error, request r1",
        );
        check(
            &Error::overloaded("m"),
            "overloaded",
            503,
            "Model m is overloaded",
        );
        let loading = Error::not_ready("m", "Loading");
        check(&loading, "not_ready", 503, "Model m is not ready: Loading");
        let suspended = Error::suspended("m");
        check(&suspended, "not_ready", 503, "Model m is suspended");
        check(
            &Error::draining(),
            "draining",
            503,
            "Server is shutting down",
        );
        check(
            &Error::deadline(30_000),
            "deadline",
            504,
            "Deadline of 30000 ms exceeded",
        );
        let origin = "Origin header is missing in CORS preflight";
        check(&Error::missing_origin(), "bad_request", 400, origin);
    }

    #[test]
    fn each_text_of_the_gateway_has_its_kind_and_status() {
        check(
            &Error::unauthenticated(),
            "unauthenticated",
            401,
            "Missing or unknown API key",
        );
        let forbidden = Error::forbidden("m");
        let text = "This key may not call model m";
        check(&forbidden, "forbidden", 403, text);
        let limited = Error::rate_limited("per-minute");
        let text = "Rate limit \"per-minute\" exceeded";
        check(&limited, "rate_limited", 429, text);
        let text = "The model server broke the connection";
        check(&Error::upstream_broken(), "upstream_broken", 502, text);
    }

    #[test]
    fn names_are_labels_and_statuses_are_errors() {
        for kind in Kind::ALL {
            assert!(
                kind.name()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            );
            assert!((400..600).contains(&kind.status()));
        }
    }

    #[test]
    fn the_body_has_one_key_and_is_escaped() {
        let error = Error::new(Kind::BadRequest, "say \"no\"\n\u{1}ü");
        let body = String::from_utf8(error.body()).unwrap();
        assert_eq!(body, "{\"error\":\"say \\\"no\\\"\\n\\u0001ü\"}");
    }

    #[test]
    fn payload_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"a".repeat(300)).len(), 256);
        assert_eq!(cut(&format!("a{}", "ü".repeat(200))).len(), 255);
    }
}
