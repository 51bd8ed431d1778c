//! Requests wait while all pods are busy: not too many, not for too long, and in turn.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aimass_gateway::table::Deployment;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::world::{Gateway, eventually, in_flight, model, ms};

/// A pod that answers as often as it is let, and the most requests that it had at once.
struct Gated {
    pod: Pod,
    gate: Arc<Semaphore>,
    most: Arc<AtomicUsize>,
}

impl Gated {
    async fn new() -> Self {
        let (gate, most) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (held, seen) = (Arc::clone(&gate), Arc::clone(&most));
        let under_way = Arc::new(AtomicUsize::new(0));
        let pod = Pod::new(move |mut peer| {
            let (gate, most) = (Arc::clone(&held), Arc::clone(&seen));
            let under_way = Arc::clone(&under_way);
            async move {
                while peer.request().await.is_some_and(|asked| asked.whole) {
                    let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    gate.acquire().await.unwrap().forget();
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    peer.send(OK).await;
                }
            }
        })
        .await;
        Self { pod, gate, most }
    }
}

/// Model `iris` whose one pod has at most `per_pod` requests at once, and for which `waiting` wait.
fn bounded(pod: SocketAddr, per_pod: u32, waiting: u32) -> Deployment {
    let mut model = model(&[pod]);
    (model.capacity.per_pod, model.capacity.waiting) = (per_pod, waiting);
    model
}

async fn asks(gateway: &Gateway) -> Client {
    let mut client = gateway.connect().await;
    client.predict("").await;
    client
}

async fn waits_for(gateway: &Gateway, count: f64) {
    eventually(|| async {
        let depth = gateway.metric("aimass_gateway_queue_depth");
        (depth == count).then_some(()).ok_or(depth)
    })
    .await;
}

/// One request is on the pod, and one waits for it.
async fn full(gateway: &Gateway) -> (Client, Client) {
    let first = asks(gateway).await;
    eventually(|| async { (in_flight(&gateway.state) == 1).then_some(()).ok_or("none") }).await;
    let second = asks(gateway).await;
    waits_for(gateway, 1.0).await;
    (first, second)
}

#[tokio::test]
async fn a_pod_has_only_so_many_at_once_and_all_are_answered() {
    let gated = Gated::new().await;
    let gateway = Gateway::with(bounded(gated.pod.address, 2, 100)).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(asks(&gateway).await);
    }
    waits_for(&gateway, 8.0).await;
    assert_eq!(gated.pod.count(), 2);
    gated.gate.add_permits(10);
    for client in &mut clients {
        let answer = client.answer().await;
        assert_eq!(answer.status, 200);
        // No model was woken.
        assert_eq!(answer.header("aimass-cold-start"), "");
    }
    assert_eq!(gated.most.load(Ordering::SeqCst), 2);
    assert_eq!(gateway.metric("aimass_gateway_queue_depth"), 0.0);
    assert_eq!(
        gateway.metric("aimass_gateway_queue_wait_seconds_count"),
        8.0
    );
    let lines = gateway.lines(10).await;
    let waited = lines.iter().filter(|line| line.get("wait_ms").is_some());
    assert_eq!(waited.count(), 8);
    assert!(lines.iter().all(|line| line.get("cold").is_none()));
}

#[tokio::test]
async fn beyond_the_bound_the_answer_is_overloaded_at_once() {
    let gated = Gated::new().await;
    let gateway = Gateway::with(bounded(gated.pod.address, 1, 1)).await;
    let (_first, _second) = full(&gateway).await;
    let since = Instant::now();
    let answer = Client::ask(gateway.address, "").await;
    // The promise is 10 ms; machines that build beside it are slow.
    assert!(since.elapsed() < ms(500), "{:?}", since.elapsed());
    assert_eq!(answer.verdict(), (503, "overloaded".to_owned()));
    assert_eq!(answer.error(), "Model iris is overloaded");
    assert_eq!(
        answer.header("retry-after"),
        "30",
        "nothing was answered yet"
    );
    assert_eq!(answer.header("aimass-model-version"), "7");
    let nobody = Gateway::with(bounded(gated.pod.address, 1, 0)).await;
    let _first = asks(&nobody).await;
    eventually(|| async { (in_flight(&nobody.state) == 1).then_some(()).ok_or("none") }).await;
    let answer = Client::ask(nobody.address, "").await;
    assert_eq!(answer.verdict(), (503, "overloaded".to_owned()));
}

#[tokio::test]
async fn a_caller_that_leaves_gives_its_place_to_the_next() {
    let gated = Gated::new().await;
    let gateway = Gateway::with(bounded(gated.pod.address, 1, 1)).await;
    let (mut first, second) = full(&gateway).await;
    drop(second);
    waits_for(&gateway, 0.0).await;
    let mut third = asks(&gateway).await;
    waits_for(&gateway, 1.0).await;
    gated.gate.add_permits(2);
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(third.answer().await.status, 200);
    assert_eq!(gated.pod.count(), 2, "nobody asked for the one that left");
}

#[tokio::test]
async fn whoever_has_waited_long_enough_is_told_that_the_pods_are_busy() {
    let gated = Gated::new().await;
    let mut model = bounded(gated.pod.address, 1, 9);
    model.capacity.wait = ms(100);
    let gateway = Gateway::with(model).await;
    let (_first, mut second) = full(&gateway).await;
    let answer = second.answer().await;
    assert_eq!(answer.verdict(), (503, "overloaded".to_owned()));
    // Its own time may be shorter, and is then the reason.
    let answer = Client::ask(gateway.address, "x-request-timeout-ms: 50\r\n").await;
    assert_eq!(answer.verdict(), (504, "deadline".to_owned()));
    waits_for(&gateway, 0.0).await;
    assert_eq!(gated.pod.count(), 1);
}
