//! Requests whose framing is doubtful are refused before any route: 400 (or 414, 431), empty, close.
//!
//! hyper lets `gzip, chunked` and two `Transfer-Encoding` fields pass, and knows nothing of hosts.

use axum::body::Body;
use http::header::{CONNECTION, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};

use super::Limits;

/// The refusal, if the request is to be refused.
pub(super) fn refuse<B>(request: &Request<B>, limits: &Limits) -> Option<Response<Body>> {
    let status = judge(request, limits).err()?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if request.version() < Version::HTTP_2 {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Some(response)
}

fn judge<B>(request: &Request<B>, limits: &Limits) -> Result<(), StatusCode> {
    if target_bytes(request) > limits.target_bytes {
        return Err(StatusCode::URI_TOO_LONG);
    }
    if headers_bytes(request) > limits.headers_bytes {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let sound = !matches!(*request.method(), Method::CONNECT | Method::TRACE)
        && has_one_host(request)
        && has_plain_transfer_encoding(request)
        && expects_nothing_else(request);
    if sound {
        Ok(())
    } else {
        Err(StatusCode::BAD_REQUEST)
    }
}

fn target_bytes<B>(request: &Request<B>) -> usize {
    request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len())
}

fn headers_bytes<B>(request: &Request<B>) -> usize {
    request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// One `Host`, equal to the target's authority if there is one; HTTP/1.0 and HTTP/2 may lack it.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    match (hosts.next(), hosts.next()) {
        (None, None) => request.version() != Version::HTTP_11,
        (Some(host), None) => {
            authority.is_none_or(|authority| authority.eq_ignore_ascii_case(host.as_bytes()))
        }
        _ => false,
    }
}

fn has_plain_transfer_encoding<B>(request: &Request<B>) -> bool {
    let mut values = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, None) => true,
        (Some(value), None) => value.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

fn expects_nothing_else<B>(request: &Request<B>) -> bool {
    request
        .headers()
        .get_all(EXPECT)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &str)], uri: &str, expect: Result<(), StatusCode>) {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("the request is well formed");
        assert_eq!(
            judge(&request, &Limits::default()),
            expect,
            "{headers:?} {uri}"
        );
    }

    const BAD: Result<(), StatusCode> = Err(StatusCode::BAD_REQUEST);

    #[test]
    fn one_host_that_agrees_is_needed() {
        check(&[("host", "a")], "/", Ok(()));
        check(&[], "/", BAD);
        check(&[("host", "a"), ("host", "a")], "/", BAD);
        check(&[("host", "b")], "http://a/", BAD);
        check(&[("host", "A:80")], "http://a:80/", Ok(()));
    }

    #[test]
    fn a_transfer_encoding_is_chunked_once_or_absent() {
        check(
            &[("host", "a"), ("transfer-encoding", "chunked")],
            "/",
            Ok(()),
        );
        check(
            &[("host", "a"), ("transfer-encoding", "gzip, chunked")],
            "/",
            BAD,
        );
        let twice = [
            ("host", "a"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ];
        check(&twice, "/", BAD);
    }

    #[test]
    fn an_unknown_expectation_is_refused() {
        check(&[("host", "a"), ("expect", "100-continue")], "/", Ok(()));
        check(&[("host", "a"), ("expect", "magic")], "/", BAD);
    }

    #[test]
    fn targets_and_headers_are_bounded() {
        let long = format!("/{}", "a".repeat(8 << 10));
        check(&[("host", "a")], &long, Err(StatusCode::URI_TOO_LONG));
        let large = "b".repeat(33 << 10);
        let status = Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        check(&[("host", "a"), ("x", &large)], "/", status);
    }
}
