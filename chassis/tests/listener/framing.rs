//! Requests that two readers could read differently: refused, and the connection closed, so that
//! what follows on it is never taken for a request.

use crate::server::{Server, limits};

/// Sends the request and, right behind it, one that must not be answered if the first is refused.
async fn refused(server: &Server, request: &str, status: &str) {
    let smuggled = "GET /fast HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = server.talk(&format!("{request}{smuggled}")).await;
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status}")),
        "{request}: {answer}"
    );
    assert_eq!(
        answer.matches("HTTP/1.1 ").count(),
        1,
        "{request}: {answer}"
    );
    assert!(!answer.ends_with("fast"), "{request}: {answer}");
}

#[tokio::test]
async fn doubtful_framing_is_refused_and_closed() {
    let server = Server::start(limits()).await;
    let post = "POST /body HTTP/1.1\r\nhost: a\r\n";
    for request in [
        "GET /fast HTTP/1.1\r\n\r\n".to_owned(),
        "GET /fast HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".to_owned(),
        "GET /fast HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(),
        "GET http://a/fast HTTP/1.1\r\nhost: b\r\n\r\n".to_owned(),
        "TRACE /fast HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n".to_owned(),
        "GET /fast HTTP/1.1\r\nhost: a\r\nexpect: magic\r\n\r\n".to_owned(),
        format!("{post}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n"),
        format!("{post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!("{post}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        format!("{post}content-length: +1\r\n\r\na"),
        format!("{post}content-length: -1\r\n\r\n"),
    ] {
        refused(&server, &request, "400").await;
    }
}

#[tokio::test]
async fn length_and_chunks_together_end_the_connection() {
    let server = Server::start(limits()).await;
    let head = "POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 30\r\n";
    let answer = server
        .talk(&format!(
            "{head}transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /fast HTTP/1.1\r\nhost: a\r\n\r\n"
        ))
        .await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(!answer.contains("fast"), "{answer}");
}

#[tokio::test]
async fn a_broken_body_is_never_a_success() {
    let server = Server::start(limits()).await;
    let head = "POST /body HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in [
        "z\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nabc",
    ] {
        refused(&server, &format!("{head}{body}"), "400").await;
    }
}

#[tokio::test]
async fn targets_and_headers_are_bounded() {
    let server = Server::start(limits()).await;
    let target = "a".repeat(8 << 10);
    refused(
        &server,
        &format!("GET /{target} HTTP/1.1\r\nhost: a\r\n\r\n"),
        "414",
    )
    .await;
    let value = "b".repeat(33 << 10);
    refused(
        &server,
        &format!("GET /fast HTTP/1.1\r\nhost: a\r\nx: {value}\r\n\r\n"),
        "431",
    )
    .await;
    let value = "b".repeat(64 << 10);
    refused(
        &server,
        &format!("GET /fast HTTP/1.1\r\nhost: a\r\nx: {value}\r\n\r\n"),
        "431",
    )
    .await;
    let fields: String = (0..64).map(|number| format!("x-{number}: y\r\n")).collect();
    refused(
        &server,
        &format!("GET /fast HTTP/1.1\r\nhost: a\r\n{fields}\r\n"),
        "431",
    )
    .await;
}

#[tokio::test]
async fn plain_requests_pass() {
    let server = Server::start(limits()).await;
    for request in [
        "GET /fast HTTP/1.0\r\n\r\n",
        "GET http://a/fast HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ] {
        assert!(server.talk(request).await.contains("200 OK"), "{request}");
    }
    let head = "POST /body HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
    let chunks = "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = server.talk(&format!("{head}{chunks}")).await;
    assert!(answer.ends_with("\r\n\r\n5"), "{answer}");
    let request = format!("{head}expect: 100-continue\r\ncontent-length: 1\r\n\r\na");
    let answer = server.talk(&request).await;
    assert!(
        answer.starts_with("HTTP/1.1 100") && answer.ends_with("\r\n\r\n1"),
        "{answer}"
    );
}
