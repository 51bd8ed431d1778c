//! A model without pods: whoever calls waits, the operator is told, and the pod is asked as soon as it has an address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aimass_crds::signals::Message;
use aimass_gateway::table::live::RevisionLive;
use aimass_gateway::table::{Deployment, EndpointState, RevisionState, Table, Unready};
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout};

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::signals::World;
use crate::world::{Gateway, Setup, eventually, ms, revision, shared, table};

const NOT_READY: &str =
    "HTTP/1.1 503 Service Unavailable\r\naimass-error: not_ready\r\ncontent-length: 0\r\n\r\n";

/// A pod that is ready when it was asked so many times whether it is.
async fn starting(times: usize) -> Pod {
    let probes = Arc::new(AtomicUsize::new(0));
    Pod::new(move |mut peer| {
        let probes = Arc::clone(&probes);
        async move {
            while let Some(asked) = peer.request().await {
                let is_probe = asked.line() == "get /v2/health/ready http/1.1";
                let early = is_probe && probes.fetch_add(1, Ordering::SeqCst) < times;
                peer.send(if early { NOT_READY } else { OK }).await;
            }
        }
    })
    .await
}

/// Model `iris` with one revision, of which this is said, and these pods that are not ready.
fn asleep(live: &Arc<RevisionLive>, state: RevisionState, pods: &[SocketAddr]) -> Deployment {
    let pods: Vec<_> = pods
        .iter()
        .map(|pod| (*pod, EndpointState::NotReady))
        .collect();
    shared(vec![revision(live, (8, 100), state, &pods)])
}

fn of(model: Deployment) -> Table {
    table(vec![model], None)
}

async fn waits_for(gateway: &Gateway, count: f64) {
    eventually(|| async {
        let depth = gateway.metric("aimass_gateway_queue_depth");
        (depth == count).then_some(()).ok_or(depth)
    })
    .await;
}

/// A gateway whose model sleeps, a caller that waits, and what is remembered of the revision.
async fn waiting(state: RevisionState) -> (Gateway, Client, Arc<RevisionLive>) {
    let live = Arc::<RevisionLive>::default();
    let gateway = Gateway::with(asleep(&live, state, &[])).await;
    let mut client = gateway.connect().await;
    client.predict("").await;
    waits_for(&gateway, 1.0).await;
    (gateway, client, live)
}

#[tokio::test]
async fn a_caller_waits_until_there_is_a_pod_that_says_that_it_is_ready() {
    let live = Arc::<RevisionLive>::default();
    let gateway = Gateway::with(asleep(&live, RevisionState::AtZero, &[])).await;
    let world = World::around(gateway).await;
    let (gateway, mut operator) = (&world.gateway, world.read_on().await);
    let (mut client, mut other) = (gateway.connect().await, gateway.connect().await);
    client.predict("").await;
    let wake = timeout(ms(500), operator.wake()).await.expect("at once");
    let told = (&*wake.uid, &*wake.revision, wake.queued);
    assert_eq!(told, ("uid-iris", "revisio8", 1));
    other.predict("").await;
    waits_for(gateway, 2.0).await;
    // It is told again while anyone waits.
    let again = async { while operator.wake().await.queued < 2 {} };
    timeout(ms(2000), again).await.expect("within a second");
    let pod = starting(3).await;
    let model = asleep(&live, RevisionState::Starting, &[pod.address]);
    gateway.state.swap(of(model));
    for client in [&mut client, &mut other] {
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let waited: u64 = answer.header("aimass-cold-start").parse().unwrap();
        assert!((100..10_000).contains(&waited), "{waited}");
        assert!(answer.header("server-timing").contains("wait;dur="));
    }
    // Four probes, two requests, and no more once nobody waits.
    assert_eq!(pod.count(), 6);
    // Who comes now finds it ready, although its EndpointSlice does not say so.
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(
        (answer.status, answer.header("aimass-cold-start")),
        (200, String::new())
    );
    assert_eq!(pod.count(), 7);
    let series = "aimass_gateway_cold_start_seconds_count{project=\"shop\",model=\"iris\",phase=\"first_byte\"}";
    assert_eq!(gateway.metric(series), 1.0, "by the one that came first");
    let lines = gateway.lines(3).await;
    assert_eq!(lines.iter().filter(|line| line["cold"] == true).count(), 2);
}

#[tokio::test]
async fn the_caller_is_not_asked_for_its_body_before_there_is_a_pod() {
    let live = Arc::<RevisionLive>::default();
    let gateway = Gateway::with(asleep(&live, RevisionState::AtZero, &[])).await;
    let mut client = gateway.connect().await;
    client
        .send("POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    waits_for(&gateway, 1.0).await;
    let early = timeout(ms(100), client.0.read_u8()).await;
    assert!(early.is_err(), "nothing is said while it waits");
    let pod = starting(0).await;
    let model = asleep(&live, RevisionState::Starting, &[pod.address]);
    gateway.state.swap(of(model));
    assert!(client.until("\r\n\r\n").await.contains("100 Continue"));
    client.send("{}").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_reason_why_there_will_be_none_is_told_to_all_that_wait() {
    let (gateway, mut client, live) = waiting(RevisionState::Starting).await;
    let failing = RevisionState::Failing("ImagePullFailed".into());
    let since = Instant::now();
    gateway.state.swap(of(asleep(&live, failing, &[])));
    let answer = client.answer().await;
    assert!(since.elapsed() < ms(1000), "{:?}", since.elapsed());
    assert_eq!(answer.verdict(), (503, "not_ready".to_owned()));
    assert_eq!(answer.error(), "Model iris is not ready: ImagePullFailed");
    assert_eq!(answer.header("aimass-cold-start"), "");
    waits_for(&gateway, 0.0).await;
    // Whoever comes later is told at once, and the operator too, once a second.
    let world = World::around(gateway).await;
    let mut operator = world.read_on().await;
    let callers = async {
        loop {
            let answer = Client::ask(world.gateway.address, "").await;
            assert_eq!(answer.error(), "Model iris is not ready: ImagePullFailed");
        }
    };
    let wake = tokio::select! {
        wake = timeout(ms(2000), operator.wake()) => wake.expect("within a second"),
        () = callers => return,
    };
    assert_eq!(wake.revision, "revisio8");
}

#[tokio::test]
async fn those_that_wait_go_to_another_revision_if_theirs_fails() {
    let live = Arc::<RevisionLive>::default();
    let other = Arc::<RevisionLive>::default();
    let pod = Pod::answering(OK).await;
    let model = |state| {
        let ready = [(pod.address, EndpointState::Ready)];
        shared(vec![
            revision(&live, (8, 100), state, &[]),
            revision(&other, (7, 0), RevisionState::Ready, &ready),
        ])
    };
    let gateway = Gateway::with(model(RevisionState::Starting)).await;
    let mut client = gateway.connect().await;
    client.predict("").await;
    waits_for(&gateway, 1.0).await;
    let mut failed = model(RevisionState::Failing("CrashLooping".into()));
    for (revision, weight) in failed.revisions.iter_mut().zip([50, 50]) {
        revision.weight = weight;
    }
    gateway.state.swap(of(failed));
    let answer = client.answer().await;
    let told = (answer.status, answer.header("aimass-model-version"));
    assert_eq!(told, (200, "7".to_owned()));
}

#[tokio::test]
async fn a_model_that_is_suspended_or_deleted_meanwhile_says_so() {
    let (gateway, mut client, live) = waiting(RevisionState::AtZero).await;
    let mut suspended = asleep(&live, RevisionState::AtZero, &[]);
    suspended.unready = Some(Unready {
        reason: "Suspended".into(),
        decided: true,
    });
    gateway.state.swap(of(suspended));
    assert_eq!(client.answer().await.error(), "Model iris is suspended");
    let (gateway, mut client, _live) = waiting(RevisionState::AtZero).await;
    gateway.state.swap(table(Vec::new(), None));
    // Nobody without a key learns whether there is such a model.
    assert_eq!(client.answer().await.status, 401);
}

#[tokio::test]
async fn when_the_time_is_up_what_is_known_is_told() {
    let live = Arc::<RevisionLive>::default();
    let sleeping = |state| {
        let mut model = asleep(&live, state, &[]);
        model.capacity.wait = ms(200);
        model
    };
    let gateway = Gateway::with(sleeping(RevisionState::AtZero)).await;
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(answer.error(), "Model iris is not ready: AtZero");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("aimass-model-version"), "8");
    gateway.state.swap(of(sleeping(RevisionState::Starting)));
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(answer.error(), "Model iris is not ready: Starting");
    let answer = Client::ask(gateway.address, "x-request-timeout-ms: 50\r\n").await;
    assert_eq!(answer.verdict(), (504, "deadline".to_owned()));
}

#[tokio::test]
async fn whoever_asks_how_a_model_is_wakes_nobody() {
    let live = Arc::<RevisionLive>::default();
    let gateway = Gateway::with(asleep(&live, RevisionState::AtZero, &[])).await;
    let world = World::around(gateway).await;
    let (gateway, mut operator) = (&world.gateway, world.read_on().await);
    for path in ["/v1/models/iris", "/v2/models/iris/ready"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = Client::talk(gateway.address, request).await;
        assert_eq!(answer.status, 200, "{path}: its first caller is answered");
    }
    // A wake would come before anything else.
    let told = operator.next().await;
    assert!(matches!(told, Some(Message::Report(_))), "{told:?}");
}

#[tokio::test]
async fn nobody_waits_for_a_model_that_nobody_wakes() {
    let live = Arc::<RevisionLive>::default();
    let mut off = asleep(&live, RevisionState::AtZero, &[]);
    off.unready = Some(Unready {
        reason: "AtZero".into(),
        decided: true,
    });
    let gateway = Setup::of(of(off)).start().await;
    let since = Instant::now();
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(answer.error(), "Model iris is not ready: AtZero");
    // Without weights there is no operator that would see who waits.
    let mut new = asleep(&live, RevisionState::Starting, &[]);
    new.picks = None;
    gateway.state.swap(of(new));
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(answer.error(), "Model iris is not ready: Starting");
    assert!(since.elapsed() < ms(1000), "{:?}", since.elapsed());
}
