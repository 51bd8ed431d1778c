//! Callers that go away: the pod is let go at once, and nothing of the request is left.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::pod::{Peer, Pod};
use crate::world::{Gateway, in_flight, model, ms};

/// A pod that begins with `answer` and then waits for the end of the connection; says when that came.
async fn waiting(answer: &'static str) -> (Pod, Arc<Notify>) {
    let gone = Arc::new(Notify::new());
    let told = Arc::clone(&gone);
    let pod = Pod::new(move |mut peer: Peer| {
        let gone = Arc::clone(&told);
        async move {
            peer.request().await;
            peer.send(answer).await;
            peer.closed().await;
            gone.notify_one();
        }
    })
    .await;
    (pod, gone)
}

async fn lets_go(gone: &Notify, since: Instant) {
    let gone = tokio::time::timeout(ms(2000), gone.notified()).await;
    gone.expect("the pod is let go");
    // The promise is 100 ms; machines that build beside it are slow.
    assert!(since.elapsed() < ms(500), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_caller_that_goes_before_the_answer_ends_the_request() {
    let (pod, gone) = waiting("").await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    client.predict("").await;
    tokio::time::sleep(ms(50)).await;
    assert_eq!(in_flight(&gateway.state), 1);
    drop(client);
    lets_go(&gone, Instant::now()).await;
    let lines = gateway.lines(1).await;
    let told = (
        &lines[0]["http.status"],
        &lines[0]["error.kind"],
        &lines[0]["response.bytes"],
    );
    assert_eq!(told, (&499.into(), &"cancelled".into(), &0.into()));
    assert_eq!(in_flight(&gateway.state), 0);
    assert_eq!(gateway.metric("aimass_gateway_requests_total"), 1.0);
}

#[tokio::test]
async fn a_caller_that_goes_in_the_middle_of_the_answer_ends_the_request() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let (pod, gone) = waiting(head).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    client.predict("").await;
    client.until("hello\r\n").await;
    drop(client);
    lets_go(&gone, Instant::now()).await;
    let lines = gateway.lines(1).await;
    let told = (&lines[0]["http.status"], &lines[0]["response.bytes"]);
    assert_eq!(told, (&499.into(), &5.into()));
    assert_eq!(in_flight(&gateway.state), 0);
}

#[tokio::test]
async fn a_caller_that_goes_in_the_middle_of_its_body_ends_the_request() {
    let gone = Arc::new(Notify::new());
    let told = Arc::clone(&gone);
    let pod = Pod::new(move |mut peer| {
        let gone = Arc::clone(&told);
        async move {
            peer.head().await;
            peer.closed().await;
            gone.notify_one();
        }
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    client
        .send(
            "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nhalf",
        )
        .await;
    tokio::time::sleep(ms(50)).await;
    drop(client);
    lets_go(&gone, Instant::now()).await;
    gateway.lines(1).await;
    assert_eq!(in_flight(&gateway.state), 0);
}

#[tokio::test]
async fn pods_are_not_left_out_for_callers_that_go() {
    let (pod, _gone) = waiting("").await;
    let (other, _gone) = waiting("").await;
    let gateway = Gateway::with(model(&[pod.address, other.address])).await;
    // So many that chance alone leaves neither with five.
    for _ in 0..60 {
        let mut client = gateway.connect().await;
        client.predict("").await;
        tokio::time::sleep(ms(10)).await;
    }
    gateway.lines(60).await;
    assert_eq!(gateway.metric("aimass_gateway_ejected_endpoints"), 0.0);
    assert!(
        pod.count() > 5 && other.count() > 5,
        "{} {}",
        pod.count(),
        other.count()
    );
}
