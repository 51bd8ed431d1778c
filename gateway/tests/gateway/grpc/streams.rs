//! Many calls at once, large ones, slow ones, and callers that go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aimass_protocol::grpc::ModelInferRequest;
use axum::body::Body;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use tokio::sync::{Notify, Semaphore};

use super::caller::{CALL, Caller, INFER, asks, framed, text};
use super::speaker::{Speaker, head, inferred};
use crate::world::{Gateway, eventually, in_flight, model, ms, spawn};

const PIECE: usize = 16 << 10;

/// So many bytes in pieces; counted when they are taken.
fn pieces(count: usize, taken: Arc<AtomicU64>) -> Body {
    let pieces = stream::iter(0..count).map(move |_| {
        taken.fetch_add(u64::try_from(PIECE).unwrap(), Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from(vec![0; PIECE]))
    });
    Body::from_stream(pieces)
}

/// The count, once it has not changed for a while.
async fn settled(taken: &AtomicU64) -> u64 {
    let mut before = u64::MAX;
    loop {
        let now = taken.load(Ordering::Relaxed);
        if now == before {
            return now;
        }
        before = now;
        tokio::time::sleep(ms(200)).await;
    }
}

#[tokio::test]
async fn one_connection_carries_a_hundred_calls_and_more_of_them_the_rest() {
    let go = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&go);
    let pod = Speaker::new(move |_, body| {
        let go = Arc::clone(&wait);
        async move {
            let _read = body.collect().await;
            let _permit = go.acquire().await;
            inferred("iris", "42")
        }
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let callers = join_all((0..5).map(|_| Caller::connect(gateway.address))).await;
    let calls = (0..250).map(|number: usize| callers[number % 5].infer("iris", &[]));
    let all = async {
        let heard = || async {
            let (count, connections) = (pod.count(), pod.connections.load(Ordering::Relaxed));
            (count == 250).then_some(connections).ok_or(count)
        };
        let connections = eventually(heard).await;
        go.add_permits(250);
        connections
    };
    let (answers, connections) = futures_util::future::join(join_all(calls), all).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(connections, 3);
    // What was made is kept: a pod has nothing against many calls on one connection.
    for number in 0..250 {
        callers[number % 5].infer("iris", &[]).await.unwrap();
    }
    assert_eq!(pod.connections.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let pod = Speaker::new(|_, body| async move {
        let bytes = body.collect().await.unwrap().to_bytes();
        inferred("iris", &bytes.len().to_string())
    })
    .await;
    let mut large = model(&[pod.address]);
    large.max_request_bytes = 16 << 20;
    let gateway = Gateway::with(large).await;
    let caller = Caller::connect(gateway.address).await;
    let message = ModelInferRequest {
        raw_input_contents: vec![vec![1; 10 << 20].into()],
        ..asks("iris")
    };
    let bytes = aimass_protocol::grpc::frame(&message).unwrap().len();
    let request = tonic::Request::new(message);
    let answer = caller.call::<aimass_protocol::grpc::ModelInferResponse>(INFER, request, None);
    assert_eq!(answer.await.unwrap().into_inner().id, bytes.to_string());
}

#[tokio::test]
async fn a_caller_that_does_not_read_holds_its_pod_back_and_nobody_else() {
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&taken);
    let pod = Speaker::new(move |head_of_call, body| {
        let counted = Arc::clone(&counted);
        async move {
            let _read = body.collect().await;
            match head_of_call.headers.contains_key("x-large") {
                true => head().map(|_| pieces(4096, counted)),
                false => inferred("iris", "42"),
            }
        }
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let headers = [CALL[0], CALL[1], ("x-large", "1")];
    let slow = join_all((0..4).map(|_| {
        let body = Body::from(framed("iris"));
        caller.send(INFER, &headers, body)
    }))
    .await;
    // Of 64 MiB each: windows and buffers on the way of four answers, no more.
    let held = settled(&taken).await;
    assert!(held < 12 << 20, "{held}");
    let other = Caller::connect(gateway.address).await;
    for _ in 0..20 {
        other.infer("iris", &[]).await.unwrap();
    }
    assert_eq!(pod.connections.load(Ordering::Relaxed), 1);
    drop(slow);
    let free = || async { (in_flight(&gateway.state) == 0).then_some(()).ok_or("busy") };
    eventually(free).await;
}

#[tokio::test]
async fn a_pod_that_does_not_read_holds_its_caller_back() {
    let pod = Speaker::new(|_, body| async move {
        let _unread = body;
        std::future::pending().await
    })
    .await;
    let mut large = model(&[pod.address]);
    large.max_request_bytes = 1 << 30;
    let gateway = Gateway::with(large).await;
    let caller = Caller::connect(gateway.address).await;
    let taken = Arc::new(AtomicU64::new(0));
    // A message of 64 MiB, of which the first bytes say whose it is.
    let prefix = [&[0, 4, 0, 0, 0], &b"\x0a\x04iris\x1a\x00"[..]].concat();
    let prefix = stream::iter([Ok::<_, std::io::Error>(Bytes::from(prefix))]);
    let rest = pieces(4096, Arc::clone(&taken)).into_data_stream();
    let rest = rest.map(|piece| piece.map_err(std::io::Error::other));
    let body = Body::from_stream(prefix.chain(rest));
    let call = spawn(async move { caller.send(INFER, &CALL, body).await.map(drop) });
    let held = settled(&taken).await;
    assert!((1..8 << 20).contains(&held), "{held}");
    call.abort();
    let line = &gateway.lines(1).await[0];
    assert_eq!(line["http.status"], 499);
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_its_call_on_the_pod() {
    let gone = Arc::new(Notify::new());
    let told = Arc::clone(&gone);
    let pod = Speaker::new(move |_, body| {
        let told = Arc::clone(&told);
        async move {
            let _read = body.collect().await;
            let _guard = Guard(told);
            std::future::pending().await
        }
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let call = tokio::time::timeout(ms(200), caller.infer("iris", &[])).await;
    assert!(call.is_err());
    let ended = tokio::time::timeout(ms(2000), gone.notified()).await;
    ended.expect("the pod is let go");
    assert_eq!(gateway.lines(1).await[0]["http.status"], 499);
    assert_eq!(in_flight(&gateway.state), 0);
}

/// Tells when it is dropped.
struct Guard(Arc<Notify>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn calls_under_way_end_with_a_status_when_the_gateway_is_stopped() {
    let pod = Speaker::new(|_, body| async move {
        let _read = body.collect().await;
        let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"\0\0\0\0\x0a"))]);
        head().map(|_| Body::from_stream(begun.chain(stream::pending())))
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let caller = Caller::connect(gateway.address).await;
    let answer = caller
        .send(INFER, &CALL, Body::from(framed("iris")))
        .await
        .unwrap();
    gateway.state.abort();
    let body = answer.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap();
    let said = (
        text(trailers, "grpc-status"),
        text(trailers, "grpc-message"),
    );
    assert_eq!(said, ("14", "Server is shutting down"));
}
