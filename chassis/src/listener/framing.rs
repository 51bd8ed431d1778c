//! Requests whose framing is doubtful are refused before any route. Pure. Called by `front`.
//!
//! hyper lets `gzip, chunked` and two `Transfer-Encoding` fields pass, and knows nothing of hosts;
//! whatever stands between a client and us may read such a request in another way than we do.

use axum::body::Body;
use http::header::{CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};

use super::Limits;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    LongTarget,
    ManyHeaders,
    LargeHeaders,
    Method,
    Host,
    TransferEncoding,
    Expect,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::LongTarget => StatusCode::URI_TOO_LONG,
            Self::ManyHeaders | Self::LargeHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Method | Self::Host | Self::TransferEncoding | Self::Expect => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::LongTarget => "the request target is too long",
            Self::ManyHeaders => "there are too many header fields",
            Self::LargeHeaders => "the header fields are too large",
            Self::Method => "CONNECT and TRACE are not served",
            Self::Host => {
                "there must be exactly one Host, equal to the request target's if it has one"
            }
            Self::TransferEncoding => "Transfer-Encoding must be absent or exactly chunked",
            Self::Expect => "Expect must be absent or 100-continue",
        }
    }
}

/// An answer in the form that all our protocols share.
pub(super) fn refusal(status: StatusCode, text: &str) -> Response<Body> {
    let body = serde_json::json!({ "error": text }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Whether a request may pass.
///
/// # Errors
/// The first rule that it breaks.
pub(super) fn judge<B>(request: &Request<B>, limits: &Limits) -> Result<(), Refusal> {
    let rules = [
        (
            target_bytes(request) <= limits.target_bytes,
            Refusal::LongTarget,
        ),
        (
            request.headers().len() <= limits.headers,
            Refusal::ManyHeaders,
        ),
        (
            headers_bytes(request) <= limits.headers_bytes,
            Refusal::LargeHeaders,
        ),
        (
            !matches!(*request.method(), Method::CONNECT | Method::TRACE),
            Refusal::Method,
        ),
        (has_one_host(request), Refusal::Host),
        (
            has_plain_transfer_encoding(request),
            Refusal::TransferEncoding,
        ),
        (expects_nothing_else(request), Refusal::Expect),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, refusal)) => Err(refusal),
    }
}

fn target_bytes<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    authority
        + uri
            .path_and_query()
            .map_or(0, |target| target.as_str().len())
}

fn headers_bytes<B>(request: &Request<B>) -> usize {
    // As on the wire: two bytes for the colon and its space, two for the line's end.
    request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}

/// One `Host`, equal to the target's authority if there is one. HTTP/1.0 may lack it, HTTP/2 has
/// the authority instead.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let authority = request.uri().authority();
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => match request.version() {
            Version::HTTP_2 => authority.is_some(),
            version => version < Version::HTTP_11,
        },
        (Some(host), None) => {
            let same = |authority: &Authority| {
                authority
                    .as_str()
                    .as_bytes()
                    .eq_ignore_ascii_case(host.as_bytes())
            };
            is_host(host) && authority.is_none_or(same)
        }
        (Some(_), Some(_)) => false,
    }
}

fn is_host(value: &HeaderValue) -> bool {
    let authority = Authority::try_from(value.as_bytes());
    authority
        .is_ok_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
}

/// Exactly `chunked`, as every client writes it: other spellings exist to be read differently.
fn has_plain_transfer_encoding<B>(request: &Request<B>) -> bool {
    let mut values = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) => {
            value.as_bytes() == b"chunked" && request.version() == Version::HTTP_11
        }
        (Some(_), Some(_)) => false,
    }
}

fn expects_nothing_else<B>(request: &Request<B>) -> bool {
    let mut values = request.headers().get_all(EXPECT).iter();
    values.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Version, uri: &str, headers: &[(&str, &str)], expect: Result<(), Refusal>) {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        assert_eq!(
            judge(&request, &Limits::default()),
            expect,
            "{version:?} {uri} {headers:?}"
        );
    }

    const ONE: Version = Version::HTTP_11;

    #[test]
    fn one_host_that_agrees_is_needed() {
        let bad = Err(Refusal::Host);
        check(ONE, "/", &[("host", "a")], Ok(()));
        check(ONE, "/", &[("host", "a.b_c:8501")], Ok(()));
        check(ONE, "/", &[("host", "[::1]:8501")], Ok(()));
        check(ONE, "http://a:80/", &[("host", "A:80")], Ok(()));
        check(ONE, "/", &[], bad);
        check(ONE, "/", &[("host", "")], bad);
        check(ONE, "/", &[("host", "a b")], bad);
        check(ONE, "/", &[("host", "user@a")], bad);
        check(ONE, "/", &[("host", "a/b")], bad);
        check(ONE, "/", &[("host", "a"), ("host", "a")], bad);
        check(ONE, "http://a/", &[("host", "b")], bad);
        check(ONE, "http://a/", &[], bad);
        check(Version::HTTP_10, "/", &[], Ok(()));
        check(Version::HTTP_10, "/", &[("host", "a"), ("host", "b")], bad);
        check(Version::HTTP_2, "http://a/", &[], Ok(()));
        check(Version::HTTP_2, "/", &[("host", "a")], Ok(()));
        check(Version::HTTP_2, "http://a/", &[("host", "b")], bad);
        check(Version::HTTP_2, "/", &[], bad);
    }

    #[test]
    fn a_transfer_encoding_is_chunked_once_or_absent() {
        let bad = Err(Refusal::TransferEncoding);
        let check = |version, values: &[&str], expect| {
            let mut headers = vec![("host", "a")];
            headers.extend(values.iter().map(|value| ("transfer-encoding", *value)));
            check(version, "/", &headers, expect);
        };
        check(ONE, &["chunked"], Ok(()));
        for values in [
            &["gzip, chunked"],
            &["chunked, chunked"],
            &["identity"],
            &["Chunked"],
        ] {
            check(ONE, values, bad);
        }
        check(ONE, &["\"chunked\""], bad);
        check(ONE, &["chunked", "chunked"], bad);
        check(ONE, &["gzip", "chunked"], bad);
        check(Version::HTTP_10, &["chunked"], bad);
    }

    #[test]
    fn an_unknown_expectation_is_refused() {
        check(
            ONE,
            "/",
            &[("host", "a"), ("expect", "100-Continue")],
            Ok(()),
        );
        check(
            ONE,
            "/",
            &[("host", "a"), ("expect", "magic")],
            Err(Refusal::Expect),
        );
    }

    #[test]
    fn some_methods_are_not_served() {
        for method in [Method::CONNECT, Method::TRACE] {
            let request = Request::builder()
                .method(method)
                .uri("/")
                .header("host", "a");
            let request = request.body(()).unwrap();
            assert_eq!(judge(&request, &Limits::default()), Err(Refusal::Method));
        }
    }

    #[test]
    fn targets_and_headers_are_bounded() {
        let target = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
        check(ONE, &target(8 << 10), &[("host", "a")], Ok(()));
        check(
            ONE,
            &target((8 << 10) + 1),
            &[("host", "a")],
            Err(Refusal::LongTarget),
        );
        let large = "b".repeat(32 << 10);
        check(
            ONE,
            "/",
            &[("host", "a"), ("x", &large)],
            Err(Refusal::LargeHeaders),
        );
        let names: Vec<String> = (0..64).map(|number| format!("x-{number}")).collect();
        let mut headers: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        headers.push(("host", "a"));
        check(ONE, "/", &headers, Err(Refusal::ManyHeaders));
        check(ONE, "/", headers.get(1..).unwrap(), Ok(()));
    }
}
