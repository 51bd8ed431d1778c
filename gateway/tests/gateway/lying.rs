//! Pods that lie, break or babble: what they cut is never made whole, and what they add is nobody's answer.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::Client;
use crate::pod::{OK, Pod, forever};
use crate::world::{Gateway, Setup, in_flight, model, ms, table};

/// A gateway before one pod that sends these bytes to every request, and then closes.
async fn before(answer: impl Into<Vec<u8>>) -> (Gateway, Pod) {
    let answer: std::sync::Arc<[u8]> = answer.into().into();
    let pod = Pod::new(move |mut peer| {
        let answer = std::sync::Arc::clone(&answer);
        async move {
            peer.request().await;
            peer.send(&answer).await;
        }
    })
    .await;
    (Gateway::to(&[pod.address]).await, pod)
}

/// What the caller of such a pod is told.
#[track_caller]
fn is_broken(answer: &crate::client::Answer, what: &str) {
    assert_eq!(
        answer.verdict(),
        (502, "upstream_broken".to_owned()),
        "{what}: {answer:?}"
    );
    assert_eq!(answer.error(), "The model server broke the connection");
}

#[tokio::test]
async fn what_is_no_answer_is_a_broken_connection() {
    let many = "x: y\r\n".repeat(200);
    let endless = format!("x: {}\r\n", "y".repeat(200 << 10));
    for (answer, what) in [
        (String::new(), "nothing"),
        ("HTTP/1.1 200 O".to_owned(), "half a head"),
        ("hello\r\n\r\n".to_owned(), "no HTTP"),
        ("HTTP/1.1 999999 OK\r\n\r\n".to_owned(), "no status"),
        (format!("HTTP/1.1 200 OK\r\n{many}\r\n"), "200 headers"),
        (
            format!("HTTP/1.1 200 OK\r\n{endless}\r\n"),
            "a head of 200 KiB",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(),
            "two lengths",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n".to_owned(),
            "a length that is none",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: foo\r\nconnection: upgrade\r\n\r\n"
                .to_owned(),
            "another protocol",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n{\"whole\":true}".to_owned(),
            "a body until the end of the connection",
        ),
        (
            "HTTP/1.0 200 OK\r\n\r\n{}".to_owned(),
            "the same in HTTP/1.0",
        ),
    ] {
        let (gateway, _pod) = before(answer).await;
        is_broken(&Client::ask(gateway.address, "").await, what);
        let lines = gateway.lines(1).await;
        assert_eq!(lines[0]["http.status"], 502, "{what}");
        assert_eq!(in_flight(&gateway.state), 0, "{what}");
    }
}

#[tokio::test]
async fn heads_that_only_inform_are_borne_for_a_while() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(3);
    let (gateway, _pod) = before(format!("HTTP/1.1 100 Continue\r\n\r\n{hints}{OK}")).await;
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
}

#[tokio::test]
async fn heads_that_only_inform_are_not_borne_for_ever() {
    let pod = Pod::new(|mut peer| async move {
        peer.request().await;
        let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
        while tokio::time::timeout(ms(1000), peer.send(&hints))
            .await
            .is_ok()
        {
            if peer.stream.peer_addr().is_err() {
                break;
            }
        }
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let begun = Instant::now();
    is_broken(&Client::ask(gateway.address, "").await, "a flood");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_answer_that_is_cut_is_never_whole() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for (answer, what) in [
        (
            format!("{head}content-length: 100\r\n\r\n{{\"half\":"),
            "a length that is not met",
        ),
        (
            format!("{head}transfer-encoding: chunked\r\n\r\n7\r\n{{\"half\"\r\n"),
            "no last chunk",
        ),
        (
            format!("{head}transfer-encoding: chunked\r\n\r\n7\r\n{{\"h"),
            "half a chunk",
        ),
        (
            format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n{{\"half\""),
            "no chunk",
        ),
    ] {
        let (gateway, _pod) = before(answer).await;
        let answer = Client::ask(gateway.address, "").await;
        assert!(!answer.whole, "{what}: {answer:?}");
        let lines = gateway.lines(1).await;
        let told = (&lines[0]["http.status"], &lines[0]["error.kind"]);
        assert_eq!(told, (&502.into(), &"upstream_broken".into()), "{what}");
        assert_eq!(gateway.metric("aimass_gateway_requests_total"), 1.0);
    }
}

#[tokio::test]
async fn a_reset_in_the_middle_of_an_answer_is_passed_on() {
    let pod = Pod::new(|mut peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            .await;
        tokio::time::sleep(ms(50)).await;
        peer.reset();
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!((answer.status, answer.whole), (200, false));
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn a_second_answer_is_nobodys() {
    for answer in [
        format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen"),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}trash".to_owned(),
    ] {
        let pod = Pod::answering(answer).await;
        let gateway = Gateway::to(&[pod.address]).await;
        let mut client = gateway.connect().await;
        for _ in 0..5 {
            client.predict("").await;
            let answer = client.answer().await;
            // A connection that turned out to be unusable is no answer either; but never is it the wrong one.
            assert_ne!(answer.text(), "stolen");
            assert!(matches!(answer.status, 200 | 502), "{answer:?}");
            if answer.status == 200 {
                assert_eq!(answer.text(), "{}");
            }
            tokio::time::sleep(ms(20)).await;
        }
    }
}

#[tokio::test]
async fn callers_get_our_framing_whatever_the_pods_was() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (gateway, _pod) = before(answer).await;
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!((answer.text().as_str(), answer.whole), ("hello", true));
    assert_eq!(answer.header("transfer-encoding"), "chunked");
    assert_eq!(answer.header("content-length"), "");
}

#[tokio::test]
async fn pods_do_not_speak_in_the_gateways_name() {
    let answer = "HTTP/1.1 400 Bad Request\r\nserver: pod/1\r\nconnection: x-hop\r\nx-hop: a\r\nkeep-alive: timeout=5\r\n\
        aimass-error: made_up\r\nratelimit: \"a\";r=1\r\nx-own: b\r\naimass-revision: iris-aaaaaaaa\r\n\
        x-request-id: pods\r\nstrict-transport-security: max-age=1\r\ncontent-length: 0\r\n\r\n";
    let (gateway, _pod) = before(answer).await;
    let answer = Client::ask(gateway.address, "x-request-id: mine\r\n").await;
    assert_eq!(answer.status, 400);
    for name in ["server", "x-hop", "keep-alive", "aimass-error", "ratelimit"] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert_eq!(answer.header("x-own"), "b");
    assert_eq!(answer.header("aimass-revision"), "iris-aaaaaaaa");
    assert_eq!(answer.header("aimass-model-version"), "7");
    assert_eq!(answer.header("x-request-id"), "mine");
}

#[tokio::test]
async fn an_early_answer_is_passed_on_while_the_body_still_comes() {
    let pod = Pod::new(|mut peer| async move {
        peer.head().await;
        let text = "{\"error\":\"no\"}";
        let length = text.len();
        peer.send(format!(
            "HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\naimass-error: body_too_large\r\ncontent-length: {length}\r\n\r\n{text}"
        ))
        .await;
        peer.closed().await;
    })
    .await;
    let mut model = model(&[pod.address]);
    model.max_request_bytes = 64 << 20;
    let gateway = Gateway::with(model).await;
    let mut client = gateway.connect().await;
    let head = format!(
        "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        8 << 20
    );
    client.send(head).await;
    client.send(vec![b'x'; 100_000]).await;
    let answer = client.answer().await;
    assert_eq!(answer.verdict(), (413, "body_too_large".to_owned()));
    // Nothing of the request is left, although its body never ended.
    gateway.lines(1).await;
    assert_eq!(in_flight(&gateway.state), 0);
    client.rest().await;
}

#[tokio::test]
async fn a_pod_that_answers_and_stops_reading_keeps_nobody() {
    let pod = Pod::new(|mut peer| async move {
        peer.head().await;
        peer.send(OK).await;
        // Neither read nor closed.
        forever().await;
    })
    .await;
    let mut model = model(&[pod.address]);
    model.max_request_bytes = 64 << 20;
    let gateway = Setup::of(table(vec![model], None)).start().await;
    let mut client = gateway.connect().await;
    let head = format!(
        "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        64 << 20
    );
    client.send(head).await;
    let mut sending = client;
    let write = async {
        let piece = vec![b'x'; 64 << 10];
        for _ in 0..1024 {
            sending.send(&piece).await;
        }
        sending.rest().await
    };
    // The caller's connection ends, because its request was not read: it is not kept for the pod's sake.
    let rest = tokio::time::timeout(Duration::from_secs(8), write).await;
    assert!(rest.is_ok());
    assert_eq!(in_flight(&gateway.state), 0);
}
