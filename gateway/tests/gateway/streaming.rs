//! Both bodies are streams: what has come goes on, and nobody is read faster than the other side takes it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

use crate::client::Client;
use crate::pod::{OK, Pod, forever};
use crate::world::{Gateway, PATIENCE, in_flight, model, ms};

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn an_answer_goes_on_piece_by_piece() {
    let next = Arc::new(Notify::new());
    let wait = Arc::clone(&next);
    let pod = Pod::new(move |mut peer| {
        let next = Arc::clone(&wait);
        async move {
            peer.request().await;
            peer.send(CHUNKED).await;
            for piece in ["6\r\ndata:1\r\n", "6\r\ndata:2\r\n", "0\r\n\r\n"] {
                next.notified().await;
                peer.send(piece).await;
            }
            forever().await;
        }
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    client.predict("").await;
    // The head alone, before there is any of the body.
    let head = client.until("\r\n\r\n").await;
    assert!(head.contains("text/event-stream"), "{head}");
    for piece in ["data:1", "data:2", ""] {
        assert_eq!(in_flight(&gateway.state), 1);
        next.notify_one();
        assert_eq!(client.chunk().await.unwrap(), piece.as_bytes());
    }
    let lines = gateway.lines(1).await;
    assert_eq!(lines[0]["response.bytes"], 12);
    assert_eq!(in_flight(&gateway.state), 0);
}

#[tokio::test]
async fn a_request_goes_on_piece_by_piece() {
    let (first, then) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let seen = Arc::clone(&first);
    let pod = Pod::new(move |mut peer| {
        let first = Arc::clone(&seen);
        async move {
            let head = peer.head().await.unwrap();
            assert!(head.contains("transfer-encoding: chunked"), "{head}");
            assert_eq!(peer.chunk().await.unwrap(), b"one");
            first.notify_one();
            assert_eq!(peer.chunk().await.unwrap(), b"two");
            assert_eq!(peer.chunk().await.unwrap(), b"");
            peer.send(OK).await;
            forever().await;
        }
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    let head =
        "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(head).await;
    client.send("3\r\none\r\n").await;
    // The pod has the first piece before the caller has sent the second.
    first.notified().await;
    then.notify_one();
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert_eq!(gateway.lines(1).await[0]["request.bytes"], 6);
}

#[tokio::test]
async fn a_pod_that_does_not_read_holds_up_the_caller() {
    let pod = Pod::new(|peer| async move {
        let _open = peer;
        forever().await;
    })
    .await;
    let mut model = model(&[pod.address]);
    model.max_request_bytes = 256 << 20;
    let gateway = Gateway::with(model).await;
    let mut client = gateway.connect().await;
    let length = 200 << 20;
    let head = format!(
        "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"
    );
    client.send(head).await;
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    // What fits into sockets and into one stream's buffers, and then no more.
    while tokio::time::timeout(ms(500), client.0.write_all(&piece))
        .await
        .is_ok()
    {
        sent += piece.len();
        assert!(
            sent < 40 << 20,
            "{sent} bytes were taken and nobody read them"
        );
    }
}

#[tokio::test]
async fn a_caller_that_does_not_read_holds_up_the_pod() {
    let pod = Pod::new(|mut peer| async move {
        peer.request().await;
        peer.send(CHUNKED).await;
        let piece = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
        let mut sent = 0;
        loop {
            let write = peer.stream.write_all(piece.as_bytes());
            if tokio::time::timeout(ms(500), write).await.is_err() {
                break;
            }
            sent += 1;
            assert!(sent < 40, "{sent} MiB were taken and nobody read them");
        }
        peer.stream.shutdown().await.unwrap();
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    client.predict("").await;
    client.until("\r\n\r\n").await;
    tokio::time::sleep(ms(1500)).await;
    // It was cut then, and so is what the caller gets.
    while client.chunk().await.is_some_and(|chunk| !chunk.is_empty()) {}
    assert_eq!(gateway.lines(1).await[0]["error.kind"], "upstream_broken");
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let body = "y".repeat(10 << 20);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let pod = Pod::answering(head + &body).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let answer = Client::ask(gateway.address, "").await;
    assert!(answer.whole);
    assert_eq!(answer.body.len(), 10 << 20);
    let lines = gateway.lines(1).await;
    assert_eq!(lines[0]["response.bytes"], 10 << 20);
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let connections = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = Arc::clone(&connections);
    let pod = Pod::new(move |mut peer| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            while peer.request().await.is_some() {
                peer.send(OK).await;
            }
        }
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    for _ in 0..20 {
        client.predict("").await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(pod.count(), 20);
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_and_the_same_head() {
    let pod = Pod::answering("HTTP/1.1 200 OK\r\ncontent-length: 37\r\n\r\n").await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        client
            .send("HEAD /v1/models/iris HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        let answer = client.answer_to(true).await;
        assert_eq!(
            (answer.status, answer.header("content-length").as_str()),
            (200, "37")
        );
    }
    assert_eq!(pod.last().line(), "head /v1/models/iris http/1.1");
    assert_eq!(gateway.lines(2).await[1]["http.status"], 200);
}

#[tokio::test]
async fn trailers_stay_with_whoever_sent_them() {
    let answer = format!("{CHUNKED}2\r\n{{}}\r\n0\r\nx-trailer: pod\r\n\r\n");
    let pod = Pod::answering(answer).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    client
        .send(
            "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
               2\r\n{}\r\n0\r\nx-trailer: caller\r\n\r\n",
        )
        .await;
    client.until("\r\n\r\n").await;
    let rest = client.until("0\r\n\r\n").await;
    assert_eq!(rest, "2\r\n{}\r\n0\r\n\r\n");
    let asked = pod.last();
    assert_eq!(
        (asked.body.as_slice(), asked.whole),
        (b"{}".as_slice(), true)
    );
}

#[tokio::test]
async fn http2_is_spoken_with_callers_and_http1_with_pods() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let client = Hyper::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let uri = format!("http://{}/v1/models/iris:predict", gateway.address);
    let pieces = ["{\"instances\"", ":[1]}"].map(|piece| {
        Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(piece.as_bytes())))
    });
    let body = StreamBody::new(stream::iter(pieces)).boxed();
    let request = http::Request::post(&uri).body(body).unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert!(!response.headers().contains_key("transfer-encoding"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"{}");
    assert_eq!(pod.last().line(), "post /v1/models/iris:predict http/1.1");
    assert_eq!(pod.last().body, b"{\"instances\":[1]}");
}

#[tokio::test]
async fn a_stream_of_http2_that_is_reset_ends_its_request_alone() {
    let pod = Pod::new(|mut peer| async move {
        while let Some(asked) = peer.request().await {
            if asked.body == b"wait" {
                return peer.closed().await;
            }
            peer.send(OK).await;
        }
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let client: Hyper<_, Full<Bytes>> = Hyper::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let uri = format!("http://{}/v1/models/iris:predict", gateway.address);
    let post = |body: &'static str| http::Request::post(&uri).body(body.into()).unwrap();
    assert_eq!(client.request(post("a")).await.unwrap().status(), 200);
    let waiting = tokio::time::timeout(ms(200), client.request(post("wait"))).await;
    assert!(waiting.is_err());
    let lines = gateway.lines(2).await;
    assert_eq!(
        (&lines[1]["http.status"], in_flight(&gateway.state)),
        (&499.into(), 0)
    );
    let after = tokio::time::timeout(PATIENCE, client.request(post("b"))).await;
    assert_eq!(after.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn what_is_announced_is_asked_for_when_there_is_a_pod_for_it() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    let head = "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    client.send(head).await;
    let go_on = client.until("\r\n\r\n").await;
    assert!(go_on.starts_with("HTTP/1.1 100"), "{go_on}");
    client.send("{}").await;
    assert_eq!(client.answer().await.status, 200);
    assert!(pod.last().header("expect").is_none());
    // Nobody who is refused is asked to send.
    let mut client = gateway.connect().await;
    client.send(head.replace("iris", "rose")).await;
    let answer = client.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}
