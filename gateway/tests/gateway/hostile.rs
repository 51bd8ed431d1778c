//! Hostile heads and bodies: what two readers could read differently is refused or framed anew, and never another request.

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::world::{Gateway, Setup, eventually, model, ms, table};

/// A request that must not be taken out of the one before it.
const SMUGGLED: &str = "GET /v1/models/iris HTTP/1.1\r\nhost: a\r\nx-smuggled: 1\r\n\r\n";
const POST: &str = "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\n";

/// Sends a request and a smuggled one behind it; the first is refused and the connection closed, so that the second is none.
async fn refused(gateway: &Gateway, pod: &Pod, request: &str, status: &str) {
    let mut client = gateway.connect().await;
    client.send(format!("{request}{SMUGGLED}")).await;
    let answer = client.rest().await;
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status}")),
        "{request:?}: {answer}"
    );
    assert_eq!(
        answer.matches("HTTP/1.1 ").count(),
        1,
        "{request:?}: {answer}"
    );
    assert_eq!(smuggled(pod), 0, "{request:?}");
}

fn smuggled(pod: &Pod) -> usize {
    let asked = pod.asked.lock().unwrap();
    asked
        .iter()
        .filter(|asked| asked.head.contains("x-smuggled"))
        .count()
}

#[tokio::test]
async fn doubtful_framing_is_refused_before_any_pod_is_asked() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    for head in [
        "content-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "content-length: +1\r\n\r\na",
        "content-length: 0x1\r\n\r\na",
        "content-length: -1\r\n\r\n",
        "content-length: 1, 2\r\n\r\nab",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        "expect: magic\r\n\r\n",
        "host: b\r\n\r\n",
        " folded: a\r\n\r\n",
        "no colon\r\n\r\n",
        "na\0me: a\r\n\r\n",
    ] {
        refused(&gateway, &pod, &format!("{POST}{head}"), "400").await;
    }
    for request in [
        "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
        "TRACE /v1/models/iris HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /v1/models/iris HTTP/1.1\r\n\r\n",
        "GET http://b/v1/models/iris HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /v1/models/iris:predict HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        refused(&gateway, &pod, request, "400").await;
    }
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn length_and_chunks_together_are_one_request_of_our_own_framing() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    let head = format!("{POST}content-length: 60\r\ntransfer-encoding: chunked\r\n\r\n");
    client
        .send(format!("{head}2\r\n{{}}\r\n0\r\n\r\n{SMUGGLED}"))
        .await;
    let answer = client.rest().await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    let asked = pod.last();
    assert_eq!((pod.count(), asked.body.as_slice()), (1, b"{}".as_slice()));
    assert_eq!(asked.header("transfer-encoding"), Some("chunked"));
    assert_eq!(asked.header("content-length"), None);
}

#[tokio::test]
async fn a_body_that_breaks_is_never_a_whole_request() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    for body in [
        "z\r\nab\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "-1\r\nab\r\n0\r\n\r\n",
        "0x2\r\nab\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nab",
        "2\r\nab\r\nz\r\n",
    ] {
        let request = format!("{POST}transfer-encoding: chunked\r\n\r\n{body}");
        refused(&gateway, &pod, &request, "400").await;
    }
    eventually(|| async {
        let asked = pod.asked.lock().unwrap().clone();
        asked
            .iter()
            .all(|asked| !asked.whole)
            .then_some(())
            .ok_or(asked)
    })
    .await;
}

#[tokio::test]
async fn chunks_with_extensions_go_on_without_them() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let request = format!("{POST}transfer-encoding: chunked\r\n\r\n2;a=b\r\n{{}}\r\n0;c\r\n\r\n");
    let answer = Client::talk(gateway.address, request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(pod.last().body, b"{}");
    let long = format!(
        "{POST}transfer-encoding: chunked\r\n\r\n2;{}\r\n{{}}\r\n0\r\n\r\n",
        "x".repeat(64 << 10)
    );
    let answer = Client::talk(gateway.address, long).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn other_protocols_are_not_tunnelled() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    for upgrade in [
        "upgrade: foo\r\nconnection: upgrade\r\n",
        "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n",
        "upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    ] {
        let request = format!("{POST}{upgrade}content-length: 2\r\n\r\n{{}}");
        let mut client = gateway.connect().await;
        client.send(format!("{request}{SMUGGLED}")).await;
        // A request as any other, and so is what comes after it.
        assert_eq!(client.answer().await.status, 200, "{upgrade}");
        assert_eq!(client.answer().await.status, 200, "{upgrade}");
    }
    let asked = pod.asked.lock().unwrap();
    assert!(asked.iter().all(|asked| asked.header("upgrade").is_none()));
    assert!(
        asked
            .iter()
            .all(|asked| asked.header("http2-settings").is_none())
    );
    assert_eq!(asked.len(), 6);
}

#[tokio::test]
async fn heads_and_targets_are_bounded() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let many: String = (0..65).map(|number| format!("x-{number}: a\r\n")).collect();
    refused(&gateway, &pod, &format!("{POST}{many}\r\n"), "431").await;
    let large = format!("x: {}\r\n", "a".repeat(33 << 10));
    refused(&gateway, &pod, &format!("{POST}{large}\r\n"), "431").await;
    let target = format!("/v1/models/{}:predict", "a".repeat(9 << 10));
    refused(
        &gateway,
        &pod,
        &format!("POST {target} HTTP/1.1\r\nhost: a\r\n\r\n"),
        "414",
    )
    .await;
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn no_path_leads_to_another_project() {
    let pod = Pod::answering(OK).await;
    let mut other = model(&[pod.address]);
    (other.uid, other.namespace) = ("2".into(), "bank".into());
    let own = model(&[pod.address]);
    let gateway = Setup::of(table(vec![other, own], None)).start().await;
    let mut client = gateway.connect().await;
    for path in [
        "/projects/shop/../bank/v1/models/iris:predict",
        "/projects/shop/%2e%2e/bank/v1/models/iris:predict",
        "/projects/shop/%2E%2E/bank/v1/models/iris:predict",
        "/projects/shop%2f..%2fbank/v1/models/iris:predict",
        "/projects//bank/v1/models/iris:predict",
        "//projects/bank/v1/models/iris:predict",
        "/projects/bank;x=1/v1/models/iris:predict",
        "/projects/bank/v1/models/iris:predict;x=1",
        "/projects/%62ank/v1/models/iris:predict",
        "/projects/bank%00/v1/models/iris:predict",
        "/projects/./bank/v1/models/iris:predict",
        "/projects/BANK/v1/models/iris:predict",
        "/projects/shop/projects/bank/v1/models/iris:predict",
        "/v1/models/../../projects/bank/v1/models/iris:predict",
        "/v1/models/iris%2f..%2f..:predict",
        "/v1/models/%252e%252e:predict",
        "/v1/models/iris:predict/",
        "/v1\\models\\iris:predict",
    ] {
        client
            .send(format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
            ))
            .await;
        let answer = client.answer().await;
        assert!(
            matches!(answer.status, 400 | 401 | 404),
            "{path}: {answer:?}"
        );
    }
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn a_refused_caller_gets_its_answer_although_its_body_was_not_read() {
    let pod = Pod::answering(OK).await;
    let mut closed = model(&[pod.address]);
    closed.access.public = false;
    closed.max_request_bytes = 64 << 20;
    let gateway = Gateway::with(closed).await;
    let size = 4 << 20;
    let head = format!("{POST}content-length: {size}\r\n\r\n");
    let mut client = gateway.connect().await;
    client.send(head).await;
    // Writes before it reads, as most clients do.
    client.send(vec![b'x'; size]).await;
    let answer = client.answer().await;
    assert_eq!(answer.verdict(), (401, "unauthenticated".to_owned()));
    client.rest().await;
    assert_eq!(pod.count(), 0);
}

#[tokio::test]
async fn a_refused_caller_with_a_small_body_keeps_its_connection() {
    let pod = Pod::answering(OK).await;
    let mut closed = model(&[pod.address]);
    closed.access.public = false;
    let gateway = Gateway::with(closed).await;
    let mut client = gateway.connect().await;
    for size in [10, 1000, 30_000] {
        client.post("", &vec![b'x'; size]).await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status, answer.header("connection")),
            (401, String::new())
        );
    }
}

#[tokio::test]
async fn slow_heads_are_let_go_and_others_are_served() {
    let pod = Pod::answering(OK).await;
    let mut setup = Setup::of(table(vec![model(&[pod.address])], None));
    (setup.limits.start, setup.limits.head) = (ms(300), ms(300));
    let gateway = setup.start().await;
    let mut slow = gateway.connect().await;
    slow.send("POST /v1/models/iris:pre").await;
    assert_eq!(Client::ask(gateway.address, "").await.status, 200);
    assert_eq!(slow.rest().await, "");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let pod = Pod::new(|mut peer| async move {
        while let Some(asked) = peer.request().await {
            let body = String::from_utf8(asked.body).unwrap();
            if body == "1" {
                tokio::time::sleep(ms(100)).await;
            }
            peer.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{body}"
            ))
            .await;
        }
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    let requests: String = (1..=5)
        .map(|n| format!("{POST}content-length: 1\r\n\r\n{n}"))
        .collect();
    client.send(requests).await;
    for number in 1..=5 {
        assert_eq!(client.answer().await.text(), number.to_string());
    }
}
