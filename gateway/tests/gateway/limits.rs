//! How much callers may do: rates, requests in flight, sizes of bodies.

use std::sync::Arc;
use std::time::Duration;

use aimass_gateway::table::{Plan, Rate};
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::world::{Gateway, Setup, eventually, model, ms, table, token};

fn bearer() -> String {
    format!("authorization: Bearer {}\r\n", token())
}

fn plan(concurrency: Option<u32>, burst: Option<u64>, shadow: bool) -> Plan {
    let rate = |burst| Rate {
        name: "per-hour".into(),
        requests: 1,
        window: Duration::from_secs(3600),
        burst,
    };
    Plan {
        rates: burst.map(rate).into_iter().collect(),
        concurrency,
        shadow,
    }
}

/// A pod that answers each request when it is told to.
async fn on_demand() -> (Pod, Arc<Semaphore>) {
    let go = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&go);
    let pod = Pod::new(move |mut peer| {
        let go = Arc::clone(&wait);
        async move {
            while peer.request().await.is_some() {
                let mut closing = [0];
                tokio::select! {
                    permit = go.acquire() => permit.unwrap().forget(),
                    _ = peer.stream.peek(&mut closing) => return,
                }
                peer.send(OK).await;
            }
        }
    })
    .await;
    (pod, go)
}

#[tokio::test]
async fn beyond_a_rate_callers_are_told_when_to_come_again() {
    let pod = Pod::answering(OK).await;
    let tabled = table(
        vec![model(&[pod.address])],
        Some(plan(None, Some(2), false)),
    );
    let gateway = Setup::of(tabled).start().await;
    for remaining in ["\"per-hour\";r=1;t=3600", "\"per-hour\";r=0;t=7200"] {
        let answer = Client::ask(gateway.address, &bearer()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit"), remaining);
        assert_eq!(answer.header("ratelimit-policy"), "\"per-hour\";q=1;w=3600");
    }
    let answer = Client::ask(gateway.address, &bearer()).await;
    assert_eq!(answer.verdict(), (429, "rate_limited".to_owned()));
    assert_eq!(answer.error(), "Rate limit \"per-hour\" exceeded");
    assert_eq!(answer.header("x-should-retry"), "false");
    let after: u64 = answer.header("retry-after").parse().unwrap();
    assert!((3590..=3600).contains(&after), "{after}");
    assert_eq!(pod.count(), 2);
    let limited = "aimass_gateway_limited_total{policy=\"per-hour\",mode=\"reject\"}";
    assert_eq!(gateway.metric(limited), 1.0);
    // Others are not meant.
    assert_eq!(Client::ask(gateway.address, "").await.status, 200);
}

#[tokio::test]
async fn limits_in_shadow_only_count() {
    let pod = Pod::answering(OK).await;
    let tabled = table(
        vec![model(&[pod.address])],
        Some(plan(Some(1), Some(1), true)),
    );
    let gateway = Setup::of(tabled).start().await;
    for _ in 0..3 {
        assert_eq!(Client::ask(gateway.address, &bearer()).await.status, 200);
    }
    let limited = "aimass_gateway_limited_total{policy=\"per-hour\",mode=\"shadow\"}";
    assert_eq!(gateway.metric(limited), 2.0);
}

#[tokio::test]
async fn a_place_is_held_until_the_last_byte_and_given_back_then() {
    let (pod, go) = on_demand().await;
    let tabled = table(
        vec![model(&[pod.address])],
        Some(plan(Some(2), None, false)),
    );
    let gateway = Setup::of(tabled).start().await;
    let (mut first, mut second) = (gateway.connect().await, gateway.connect().await);
    first.predict(&bearer()).await;
    second.predict(&bearer()).await;
    eventually(|| async { (pod.count() == 2).then_some(()).ok_or(pod.count()) }).await;
    let answer = Client::ask(gateway.address, &bearer()).await;
    assert_eq!(answer.verdict(), (429, "rate_limited".to_owned()));
    assert_eq!(answer.error(), "Rate limit \"inflight\" exceeded");
    go.add_permits(2);
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(second.answer().await.status, 200);
    go.add_permits(1);
    let answer = Client::ask(gateway.address, &bearer()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("ratelimit"), "\"inflight\";r=1");
}

#[tokio::test]
async fn whoever_goes_away_gives_its_place_back() {
    let (pod, _go) = on_demand().await;
    let tabled = table(
        vec![model(&[pod.address])],
        Some(plan(Some(1), None, false)),
    );
    let gateway = Setup::of(tabled).start().await;
    for round in 1..=5 {
        let mut client = gateway.connect().await;
        client.predict(&bearer()).await;
        eventually(|| async { (pod.count() == round).then_some(()).ok_or(pod.count()) }).await;
        let busy = Client::ask(gateway.address, &bearer()).await;
        assert_eq!(busy.status, 429);
        drop(client);
        gateway.lines(2 * round).await;
    }
}

#[tokio::test]
async fn a_body_is_as_large_as_the_model_allows_at_most() {
    let pod = Pod::answering(OK).await;
    let mut model = model(&[pod.address]);
    model.max_request_bytes = 1000;
    let gateway = Gateway::with(model).await;
    let text = "Request body exceeds 1000 bytes";
    let mut client = gateway.connect().await;
    client.post("", &[b'x'; 1000]).await;
    assert_eq!(client.answer().await.status, 200);
    // By what is declared, without a byte of it and without a pod.
    let request =
        "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n";
    let answer = Client::talk(gateway.address, request).await;
    assert_eq!((answer.status, answer.error().as_str()), (413, text));
    assert_eq!(pod.count(), 1);
    // By what comes: the pod never sees an end.
    let head =
        "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = format!(
        "1f4\r\n{0}\r\n1f4\r\n{0}\r\n1\r\nx\r\n0\r\n\r\n",
        "x".repeat(500)
    );
    let answer = Client::talk(gateway.address, format!("{head}{chunks}")).await;
    assert_eq!((answer.status, answer.error().as_str()), (413, text));
    assert_eq!(answer.header("aimass-error"), "body_too_large");
    eventually(|| async {
        let asked = pod.last();
        (pod.count() == 2 && !asked.whole)
            .then_some(())
            .ok_or(asked)
    })
    .await;
}

#[tokio::test]
async fn crumbs_cost_no_more_than_pieces() {
    let pod = Pod::answering(OK).await;
    let mut model = model(&[pod.address]);
    // How fast the machine is today is not the question.
    model.request_timeout = ms(60_000);
    let gateway = Gateway::with(model).await;
    let head =
        "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let crumbs = "1\r\nx\r\n".repeat(20_000);
    let answer = Client::talk(gateway.address, format!("{head}{crumbs}0\r\n\r\n")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(pod.last().body.len(), 20_000);
}

#[tokio::test]
async fn a_body_that_trickles_is_ended_and_the_pod_gets_no_whole_request() {
    let pod = Pod::answering(OK).await;
    let mut setup = Setup::of(table(vec![model(&[pod.address])], None));
    setup.limits.body_window = ms(200);
    setup.limits.body_window_bytes = 1000;
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    client
        .send("POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n")
        .await;
    let trickle = async {
        loop {
            client.0.writable().await.unwrap();
            let _ended = client.0.try_write(b"x");
            tokio::time::sleep(ms(20)).await;
        }
    };
    let _ = tokio::time::timeout(ms(900), trickle).await;
    let answer = client.answer().await;
    assert_eq!(answer.verdict(), (408, "body_too_slow".to_owned()));
    assert_eq!(answer.header("connection"), "close");
    eventually(|| async {
        let first = pod.asked.lock().unwrap().first().cloned();
        first.filter(|asked| !asked.whole).ok_or("no end yet")
    })
    .await;
}
