//! Calls that are sent once more, and which never are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aimass_gateway::table::Retry;
use axum::body::Body;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use tonic::Code;

use super::caller::{Caller, text};
use super::speaker::{Speaker, head, inferred, pairs};
use crate::pod::Pod;
use crate::world::{Gateway, eventually, in_flight, model, ms};

/// Calls until the first pod must have been asked first; all calls must succeed.
async fn all_succeed(gateway: &Gateway) {
    let caller = Caller::connect(gateway.address).await;
    for _ in 0..12 {
        let answer = caller.infer("iris", &[]).await.unwrap();
        assert_eq!(answer.into_inner().id, "42");
    }
    let free = || async { (in_flight(&gateway.state) == 0).then_some(()).ok_or("busy") };
    eventually(free).await;
}

#[tokio::test]
async fn a_pod_that_is_not_there_is_passed_over() {
    let pod = Speaker::named("iris").await;
    let gateway = Gateway::to(&[Pod::refusing(), pod.address]).await;
    all_succeed(&gateway).await;
    assert!(gateway.metric("aimass_gateway_retries_total") >= 1.0);
}

#[tokio::test]
async fn a_pod_that_drains_says_so_in_trailers_and_another_one_answers() {
    let leaving = Speaker::refusing("14", "draining").await;
    let pod = Speaker::named("iris").await;
    let gateway = Gateway::to(&[leaving.address, pod.address]).await;
    all_succeed(&gateway).await;
    assert_eq!(leaving.count(), 1, "then it rests");
}

#[tokio::test]
async fn what_a_pod_has_begun_is_not_sent_again_unless_that_is_harmless() {
    for (retry, succeeds) in [(Retry::Unsent, false), (Retry::Idempotent, true)] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        // Whichever is asked first breaks off; the other one answers.
        let breaks_first = move |_: http::request::Parts, body: hyper::body::Incoming| {
            let first = count.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                let _read = body.collect().await;
                match first {
                    true => panic!("a connection that ends"),
                    false => inferred("iris", "42"),
                }
            }
        };
        let pods = [
            Speaker::new(breaks_first.clone()).await,
            Speaker::new(breaks_first).await,
        ];
        let mut model = model(&[pods[0].address, pods[1].address]);
        model.retry = retry;
        let gateway = Gateway::with(model).await;
        let caller = Caller::connect(gateway.address).await;
        let answer = caller.infer("iris", &[]).await;
        match answer {
            Ok(_) => assert!(succeeds),
            Err(status) => {
                let kind = status.metadata().clone().into_headers();
                assert_eq!(text(&kind, "aimass-error"), "upstream_broken");
                assert!(!succeeds, "{status}");
            }
        }
        assert_eq!(asked.load(Ordering::Relaxed), if succeeds { 2 } else { 1 });
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_a_status() {
    let pod = Speaker::new(|_, body| async move {
        let _read = body.collect().await;
        let begun = stream::iter([Ok(Bytes::from_static(b"\0\0\0\0\x0a"))]);
        let gone = stream::once(async {
            // A reset may overtake what was sent before it.
            tokio::time::sleep(ms(50)).await;
            Err(std::io::Error::other("gone"))
        });
        head().map(|_| Body::from_stream(begun.chain(gone)))
    })
    .await;
    let mut model = model(&[pod.address, pod.address]);
    model.retry = Retry::Idempotent;
    let gateway = Gateway::with(model).await;
    let caller = Caller::connect(gateway.address).await;
    let answer = caller.raw(
        super::caller::INFER,
        &super::caller::CALL,
        super::caller::framed("iris"),
    );
    let answer = answer.await;
    let trailers = answer.trailers.unwrap();
    let expect = pairs(&[
        ("grpc-status", "14"),
        ("grpc-message", "The model server broke the connection"),
        ("aimass-error", "upstream_broken"),
    ]);
    assert_eq!((trailers, answer.body.len()), (expect, 5));
    assert_eq!(pod.count(), 1);
    assert_eq!(gateway.lines(1).await[0]["http.status"], 502);
    let status = caller.infer("iris", &[]).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::Unavailable | Code::Internal),
        "{status}"
    );
}
