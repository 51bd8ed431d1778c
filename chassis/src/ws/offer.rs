//! Judges a request to become a WebSocket: RFC 6455 §4.2. Pure. Called by `endpoint`.

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use http_body::Body as _;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Why a request does not become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not ask for it, or not by HTTP/1.1.
    NotAsked,
    /// Not version 13 of the protocol.
    Version,
    /// Not exactly one `Sec-WebSocket-Key` of 16 bytes in base64.
    Key,
    /// It has a body.
    Body,
    /// Our subprotocol is not among those offered.
    Subprotocol,
    /// There are as many WebSockets as there may be.
    Full,
    /// The listener ends.
    Draining,
}

/// The headers of the answer 101, if `request` may become a WebSocket that speaks `subprotocol`.
pub(super) fn judge(
    request: &Request<axum::body::Body>,
    subprotocol: &'static str,
) -> Result<HeaderMap, Refusal> {
    let headers = request.headers();
    let asked = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_token(headers, &UPGRADE, |token| {
            token.eq_ignore_ascii_case("websocket")
        })
        && has_token(headers, &CONNECTION, |token| {
            token.eq_ignore_ascii_case("upgrade")
        });
    let key = only(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
    let rules = [
        (asked, Refusal::NotAsked),
        (
            only(headers, &SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13"),
            Refusal::Version,
        ),
        (request.body().size_hint().exact() == Some(0), Refusal::Body),
        (
            has_token(headers, &SEC_WEBSOCKET_PROTOCOL, |token| {
                token == subprotocol
            }),
            Refusal::Subprotocol,
        ),
    ];
    if let Some((_, refusal)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(refusal);
    }
    let accept = derive_accept_key(key.ok_or(Refusal::Key)?.as_bytes());
    let accept = HeaderValue::try_from(accept).map_err(|_not_ascii| Refusal::Key)?;
    Ok(HeaderMap::from_iter([
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
        (
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(subprotocol),
        ),
    ]))
}

/// Whether a header that is a list has a token.
fn has_token(headers: &HeaderMap, name: &HeaderName, is: impl Fn(&str) -> bool) -> bool {
    let lists = headers
        .get_all(name)
        .iter()
        .filter_map(|list| list.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .any(|token| is(token.trim()))
}

/// The value of a header that must occur once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// 16 bytes in base64: 22 letters, of which the last holds four unused bits, and `==`.
fn is_key(value: &HeaderValue) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let letters = value.as_bytes().strip_suffix(b"==");
    letters.is_some_and(|letters| letters.len() == 22 && letters.iter().all(letter))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    // The example of RFC 6455 §1.3.
    const GOOD: [(&str, &str); 5] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "chat, words.v1"),
    ];

    fn request(headers: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    /// The good request with the header `name` as `values`.
    #[track_caller]
    fn check(name: &str, values: &[&str], expect: Result<(), Refusal>) {
        let mut headers: Vec<_> = GOOD.into_iter().filter(|(key, _)| *key != name).collect();
        headers.extend(values.iter().map(|value| (name, *value)));
        let judged = judge(&request(&headers), "words.v1").map(drop);
        assert_eq!(judged, expect, "{name}: {values:?}");
    }

    #[test]
    fn a_good_request_gets_its_accept_key_and_its_subprotocol() {
        let headers = judge(&request(&GOOD), "words.v1").unwrap();
        assert_eq!(
            headers["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(headers["sec-websocket-protocol"], "words.v1");
        assert_eq!(
            (headers["upgrade"].as_bytes(), headers.len()),
            (&b"websocket"[..], 4)
        );
    }

    #[test]
    fn each_header_must_be_right() {
        check("upgrade", &["websocket"], Ok(()));
        check("upgrade", &["h2c, websocket"], Ok(()));
        check("upgrade", &[], Err(Refusal::NotAsked));
        check("upgrade", &["h2c"], Err(Refusal::NotAsked));
        check("connection", &["upgrade"], Ok(()));
        check("connection", &["close"], Err(Refusal::NotAsked));
        check("sec-websocket-version", &[], Err(Refusal::Version));
        check("sec-websocket-version", &["8"], Err(Refusal::Version));
        check(
            "sec-websocket-version",
            &["13", "13"],
            Err(Refusal::Version),
        );
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        check("sec-websocket-key", &[], Err(Refusal::Key));
        check("sec-websocket-key", &[key, key], Err(Refusal::Key));
        check(
            "sec-websocket-key",
            &["dGhlIHNhbXBsZSBub25jZQ"],
            Err(Refusal::Key),
        );
        check(
            "sec-websocket-key",
            &["dGhlIHNhbXBsZSBub25jZQAA"],
            Err(Refusal::Key),
        );
        check(
            "sec-websocket-key",
            &["dGhl HNhbXBsZSBub25jZQ=="],
            Err(Refusal::Key),
        );
        check("sec-websocket-protocol", &["words.v1"], Ok(()));
        check("sec-websocket-protocol", &["other", "words.v1"], Ok(()));
        check("sec-websocket-protocol", &[], Err(Refusal::Subprotocol));
        check(
            "sec-websocket-protocol",
            &["words.v2"],
            Err(Refusal::Subprotocol),
        );
        check(
            "sec-websocket-protocol",
            &["Words.v1"],
            Err(Refusal::Subprotocol),
        );
    }

    #[test]
    fn only_a_get_by_http_1_1_without_a_body_is_an_upgrade() {
        let judge = |change: fn(&mut Request<Body>)| {
            let mut request = request(&GOOD);
            change(&mut request);
            judge(&request, "words.v1").map(drop)
        };
        let not = Err(Refusal::NotAsked);
        assert_eq!(judge(|request| *request.method_mut() = Method::HEAD), not);
        assert_eq!(
            judge(|request| *request.version_mut() = Version::HTTP_10),
            not
        );
        assert_eq!(
            judge(|request| *request.version_mut() = Version::HTTP_2),
            not
        );
        let body = judge(|request| *request.body_mut() = Body::from("a"));
        assert_eq!(body, Err(Refusal::Body));
    }
}
