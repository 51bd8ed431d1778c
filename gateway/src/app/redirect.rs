//! What plain HTTP answers beside HTTPS: the same address there, for good.
//!
//! Nothing else is served, so that nobody gets used to sending keys in the clear.

use aimass_protocol::{Error, Kind};
use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST, LOCATION};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, Response, StatusCode};

/// The application of the port for plain HTTP, where that only redirects.
pub fn redirect() -> Router {
    Router::new().fallback(async |request: Request<Body>| answer(&request))
}

fn answer<B>(request: &Request<B>) -> Response<Body> {
    let Some(location) = location(request) else {
        let error = Error::new(
            Kind::BadRequest,
            "Only HTTPS is served; the request names no host to redirect to",
        );
        let mut response = Response::new(Body::from(error.body()));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        return response;
    };
    let mut response = Response::new(Body::empty());
    // 308 and not 301: the method stays what it is.
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    response
}

/// The same address with https, on its own port: whatever this one was, that one is 443 to callers.
fn location<B>(request: &Request<B>) -> Option<HeaderValue> {
    let uri = request.uri();
    let header = request.headers().get(HOST);
    let header = header.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = uri.authority().cloned().or(header)?;
    let host = authority.host();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    HeaderValue::try_from(format!("https://{host}{path}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, host: Option<&str>, expect: Option<&str>) {
        let mut request = Request::post(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let response = answer(&request.body(()).unwrap());
        let location = response.headers().get(LOCATION);
        let location = location.map(|location| location.to_str().unwrap());
        assert_eq!(location, expect, "{uri} {host:?}");
        let status = if expect.is_some() { 308 } else { 400 };
        assert_eq!(response.status(), status);
    }

    #[test]
    fn the_same_address_is_named_with_https() {
        let there = "https://a.example/v1/models/m:predict?x=1";
        check("/v1/models/m:predict?x=1", Some("a.example"), Some(there));
        check(
            "/v1/models/m:predict?x=1",
            Some("a.example:80"),
            Some(there),
        );
        check("/", Some("[::1]:8080"), Some("https://[::1]/"));
        check("*", Some("a"), Some("https://a/"));
        check(
            "http://b.example/x",
            Some("b.example"),
            Some("https://b.example/x"),
        );
    }

    #[test]
    fn without_a_host_there_is_nowhere_to_go() {
        check("/", None, None);
        check("/", Some("a b"), None);
        check("/", Some(""), None);
    }

    #[test]
    fn an_address_cannot_lead_elsewhere() {
        check(
            "//evil.example/x",
            Some("a"),
            Some("https://a//evil.example/x"),
        );
        check("/\\evil", Some("a"), Some("https://a/\\evil"));
    }
}
