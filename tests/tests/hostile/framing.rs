//! Requests whose framing is doubtful are refused, never guessed at (reliability: below the routes).

use std::io::Write as _;

use crate::process::Server;
use crate::wire;

/// What it is, the bytes, and the statuses that are right (0 = closed without an answer).
type Row = (&'static str, &'static str, &'static [u16]);

const ROWS: &[Row] = &[
    (
        "two hosts",
        "GET /v2 HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        &[400],
    ),
    ("no host", "GET /v2 HTTP/1.1\r\n\r\n", &[400]),
    (
        "an authority that is not the host",
        "GET http://a/v2 HTTP/1.1\r\nhost: b\r\n\r\n",
        &[400],
    ),
    (
        "gzip, chunked",
        "POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "chunked twice",
        "POST /v2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "two lengths",
        "POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        &[400],
    ),
    (
        "a length that is no number",
        "POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        &[400],
    ),
    (
        "a negative length",
        "POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        &[400],
    ),
    (
        "CONNECT",
        "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n",
        &[400],
    ),
    ("TRACE", "TRACE /v2 HTTP/1.1\r\nhost: a\r\n\r\n", &[400]),
    (
        "an unknown expectation",
        "POST /v2 HTTP/1.1\r\nhost: a\r\nexpect: magic\r\ncontent-length: 0\r\n\r\n",
        &[400],
    ),
    (
        "a bad chunk size",
        "POST /v1/models/my_model:predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        &[400],
    ),
    (
        "not HTTP",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03",
        &[400, 0],
    ),
    (
        "a space in a header name",
        "GET /v2 HTTP/1.1\r\nhost : a\r\n\r\n",
        &[400],
    ),
    (
        "a NUL in a header",
        "GET /v2 HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
        &[400],
    ),
];

#[test]
fn doubtful_framing_is_refused() {
    let server = Server::ready("linear");
    let mut wrong = Vec::new();
    for &(name, bytes, statuses) in ROWS {
        let answer = wire::exchange(server.data, bytes.as_bytes());
        if !statuses.contains(&answer.status) {
            wrong.push(format!("{name}: expected {statuses:?}, got {answer:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        ROWS.len(),
        wrong.join("\n")
    );
    server.assert_serves();
}

#[test]
fn a_smuggled_second_request_is_never_answered() {
    let server = Server::ready("linear");
    let mut stream = wire::connect(server.data);
    let bytes = "POST /v2 HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n";
    stream
        .write_all(bytes.as_bytes())
        .expect("the server reads");
    let first = wire::read_answer(&mut stream);
    let second = wire::read_answer(&mut stream);
    assert!(first.status >= 400, "{first:?}");
    assert_eq!(
        second.status, 0,
        "the connection must be closed, not reused: {second:?}"
    );
}

#[test]
fn heads_and_targets_are_bounded() {
    let server = Server::ready("linear");
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(9 << 10));
    assert_eq!(wire::exchange(server.data, long.as_bytes()).status, 414);
    let many = format!(
        "GET /v2 HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x-a: b\r\n".repeat(65)
    );
    assert_eq!(wire::exchange(server.data, many.as_bytes()).status, 431);
    let large = format!(
        "GET /v2 HTTP/1.1\r\nhost: a\r\nx-a: {}\r\n\r\n",
        "b".repeat(64 << 10)
    );
    assert_eq!(wire::exchange(server.data, large.as_bytes()).status, 431);
    server.assert_serves();
}
