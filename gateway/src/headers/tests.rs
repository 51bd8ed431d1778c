//! Tables of headers: what callers and pods send, and what arrives.

use std::net::IpAddr;

use super::*;

type Lines<'a> = &'a [(&'a str, &'a str)];

fn map(lines: Lines<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// Sorted by name; values of one name in their order.
fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}

fn owned(lines: Lines<'_>) -> Vec<(String, String)> {
    self::lines(&map(lines))
}

fn facts() -> Facts<'static> {
    Facts {
        origin: Origin {
            address: IpAddr::from([192, 0, 2, 1]),
            scheme: Scheme::Https,
        },
        host: Some("gateway.example.com"),
        request_id: "r1",
        project: "shop",
        caller: Some("abcDEF123456"),
        time_left: Duration::from_millis(29_999),
    }
}

/// What is set on every request.
const SET: Lines<'_> = &[
    ("aimass-caller", "abcDEF123456"),
    ("aimass-project", "shop"),
    ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-host", "gateway.example.com"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "r1"),
    ("x-request-timeout-ms", "29999"),
];

/// Of these headers these arrive, besides those that are set.
#[track_caller]
fn arrives(sent: Lines<'_>, expect: Lines<'_>) {
    let expect = owned(&[SET, expect].concat());
    assert_eq!(lines(&to_pod(&map(sent), &facts())), expect);
}

#[track_caller]
fn nothing_arrives(sent: Lines<'_>) {
    arrives(sent, &[]);
}

#[track_caller]
fn all_arrives(sent: Lines<'_>) {
    arrives(sent, sent);
}

#[test]
fn what_says_how_to_read_the_body_goes_to_the_pod() {
    all_arrives(&[("content-type", "application/json")]);
    all_arrives(&[("content-length", "17"), ("content-encoding", "gzip")]);
    all_arrives(&[("inference-header-content-length", "157")]);
    all_arrives(&[("accept", "application/json"), ("accept-encoding", "gzip")]);
    all_arrives(&[("user-agent", "curl"), ("origin", "https://example.com")]);
    all_arrives(&[("x-own", "a"), ("x-own", "b")]);
    all_arrives(&[
        ("aimass-batching", "off"),
        ("aimass-json-nonfinite", "null"),
    ]);
}

#[test]
fn what_is_of_the_connection_stays_here() {
    nothing_arrives(&[("connection", "keep-alive"), ("keep-alive", "timeout=5")]);
    nothing_arrives(&[("transfer-encoding", "chunked"), ("te", "trailers")]);
    nothing_arrives(&[("trailer", "x-checksum"), ("upgrade", "websocket")]);
    nothing_arrives(&[("proxy-authorization", "Basic dTpw")]);
    nothing_arrives(&[
        ("proxy-authenticate", "Basic"),
        ("proxy-connection", "close"),
    ]);
    nothing_arrives(&[("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA")]);
    nothing_arrives(&[("expect", "100-continue"), ("host", "iris.example.com")]);
}

#[test]
fn what_connection_names_stays_here() {
    nothing_arrives(&[("connection", "close, X-Own"), ("x-own", "a")]);
    nothing_arrives(&[
        ("connection", "a"),
        ("connection", "b"),
        ("a", "1"),
        ("b", "2"),
    ]);
    nothing_arrives(&[("connection", " x-own ,,"), ("x-own", "a"), ("x-own", "b")]);
    arrives(
        &[("connection", "not a name"), ("x-own", "a")],
        &[("x-own", "a")],
    );
}

#[test]
fn connection_cannot_name_what_is_set_here() {
    nothing_arrives(&[("connection", "x-request-id, aimass-project, aimass-caller")]);
    nothing_arrives(&[
        ("connection", "x-forwarded-for"),
        ("x-forwarded-for", "1.1.1.1"),
    ]);
}

#[test]
fn credentials_stay_here() {
    nothing_arrives(&[("authorization", "Bearer t")]);
    nothing_arrives(&[("x-api-key", "t")]);
    nothing_arrives(&[("cookie", "session=1")]);
}

#[test]
fn what_could_be_said_in_our_name_is_replaced() {
    nothing_arrives(&[
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
    ]);
    nothing_arrives(&[("x-forwarded-host", "a"), ("x-forwarded-proto", "http")]);
    nothing_arrives(&[("x-forwarded-port", "1"), ("x-forwarded-prefix", "/a")]);
    nothing_arrives(&[("forwarded", "for=1.1.1.1")]);
    nothing_arrives(&[("aimass-caller", "admin"), ("aimass-project", "other")]);
    nothing_arrives(&[("aimass-sticky", "a"), ("aimass-anything", "b")]);
    nothing_arrives(&[("x-request-id", "spoofed"), ("x-request-id", "again")]);
    nothing_arrives(&[("x-request-timeout-ms", "1"), ("grpc-timeout", "1H")]);
}

#[test]
fn names_with_underscores_are_dropped() {
    nothing_arrives(&[("x_request_id", "a"), ("aimass_caller", "admin")]);
    nothing_arrives(&[("x_forwarded_for", "1.1.1.1"), ("x-own_header", "a")]);
}

#[test]
fn a_valid_trace_goes_on_with_its_state() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    all_arrives(&[("traceparent", parent)]);
    all_arrives(&[
        ("traceparent", parent),
        ("tracestate", "a=1"),
        ("tracestate", "b=2"),
    ]);
    nothing_arrives(&[("tracestate", "a=1")]);
    nothing_arrives(&[("traceparent", parent), ("traceparent", parent)]);
    nothing_arrives(&[
        ("connection", "traceparent"),
        ("traceparent", parent),
        ("tracestate", "a=1"),
    ]);
    for invalid in [
        "",
        "00",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-a",
        "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
    ] {
        nothing_arrives(&[("traceparent", invalid), ("tracestate", "a=1")]);
    }
}

#[test]
fn what_is_not_known_is_not_said() {
    let facts = Facts {
        host: None,
        caller: None,
        time_left: Duration::ZERO,
        ..facts()
    };
    let sent = map(&[("aimass-caller", "admin"), ("x-forwarded-host", "a")]);
    let expect = owned(&[
        ("aimass-project", "shop"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "r1"),
        ("x-request-timeout-ms", "1"),
    ]);
    assert_eq!(lines(&to_pod(&sent, &facts)), expect);
}

/// Of a pod's headers these go back.
#[track_caller]
fn goes_back(sent: Lines<'_>, expect: Lines<'_>) {
    assert_eq!(lines(&from_pod(&map(sent))), owned(expect));
}

#[test]
fn what_a_pod_says_of_its_answer_goes_back() {
    for sent in [
        &[
            ("content-type", "application/json"),
            ("content-length", "17"),
        ][..],
        &[
            ("aimass-model-version", "7"),
            ("aimass-revision", "iris-7f3k2q5d"),
        ],
        &[
            ("server-timing", "infer;dur=0.003"),
            ("aimass-batch-rows", "8"),
        ],
        &[("aimass-error", "overloaded"), ("retry-after", "1")],
        &[("aimass-error", "bad_route")],
        &[("x-own", "a"), ("x-own", "b")],
    ] {
        goes_back(sent, sent);
    }
}

#[test]
fn what_is_the_gateways_own_does_not_go_back() {
    goes_back(&[("server", "nginx"), ("connection", "close")], &[]);
    goes_back(&[("transfer-encoding", "chunked"), ("trailer", "a")], &[]);
    goes_back(&[("keep-alive", "timeout=5"), ("upgrade", "h2c")], &[]);
    goes_back(&[("connection", "x-own"), ("x-own", "a")], &[]);
    goes_back(
        &[
            ("ratelimit", "\"a\";r=1"),
            ("ratelimit-policy", "\"a\";q=1;w=1"),
        ],
        &[],
    );
    goes_back(&[("aimass-error", "invented"), ("aimass-error", "")], &[]);
}

#[test]
fn the_revision_is_named_once() {
    let named = |sent: Lines<'_>| {
        let mut headers = map(sent);
        identify(&mut headers, "iris", "7f3k2q5d", 7);
        lines(&headers)
    };
    let expect = owned(&[
        ("aimass-model-version", "7"),
        ("aimass-revision", "iris-7f3k2q5d"),
    ]);
    assert_eq!(named(&[]), expect);
    let said = [("aimass-model-version", "8"), ("aimass-revision", "pod")];
    assert_eq!(named(&said), owned(&said));
}

#[test]
fn an_id_is_short_and_plain() {
    let longest = "a".repeat(64);
    for id in ["r1", "A.b_c-9", longest.as_str()] {
        assert_eq!(request_id(&map(&[("x-request-id", id)])), Some(id));
    }
    let longer = "a".repeat(65);
    let huge = "a".repeat(65_536);
    for id in [
        "",
        "a b",
        "a/b",
        "ü",
        "a\"b",
        longer.as_str(),
        huge.as_str(),
    ] {
        assert_eq!(request_id(&map(&[("x-request-id", id)])), None);
    }
    assert_eq!(request_id(&map(&[])), None);
}
