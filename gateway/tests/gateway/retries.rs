//! What is sent once more, to which pod, and what never is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aimass_gateway::table::Retry;

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::world::{Gateway, eventually, in_flight, model, ms};

/// So many that each of two pods gets one: that one gets none happens once in eight million times.
const REQUESTS: usize = 24;
const DRAINING: &str = "HTTP/1.1 503 Service Unavailable\r\naimass-error: draining\r\ncontent-length: 30\r\n\r\n{\"error\":\"Server is stopping.\"}";

async fn with(retry: Retry, pods: &[SocketAddr]) -> Gateway {
    let mut model = model(pods);
    model.retry = retry;
    Gateway::with(model).await
}

/// Asks until the first pod was asked first at least once; all answers must be whole.
async fn ask_all(gateway: &Gateway, body: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..REQUESTS {
        let mut client = gateway.connect().await;
        client.post("", body).await;
        let answer = client.answer().await;
        assert!(answer.whole, "{answer:?}");
        statuses.push(answer.status);
    }
    assert_eq!(in_flight(&gateway.state), 0);
    statuses
}

#[tokio::test]
async fn a_pod_that_refuses_connections_is_passed_over() {
    let pod = Pod::answering(OK).await;
    let gateway = with(Retry::Unsent, &[Pod::refusing(), pod.address]).await;
    assert_eq!(ask_all(&gateway, b"{}").await, [200; REQUESTS]);
    let lines = gateway.lines(REQUESTS).await;
    let twice = lines.iter().filter(|line| line["attempts"] == 2).count();
    assert!(twice > 0, "{lines:?}");
    // Who failed five times is not asked any more.
    assert!(twice <= 6, "{twice}");
    let retries = gateway.metric("aimass_gateway_retries_total");
    assert_eq!(retries, f64::from(u32::try_from(twice).unwrap()));
    assert!(
        pod.asked
            .lock()
            .unwrap()
            .iter()
            .all(|asked| asked.body == b"{}")
    );
}

#[tokio::test]
async fn without_another_pod_the_failure_is_the_answer() {
    let gateway = with(Retry::Idempotent, &[Pod::refusing()]).await;
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(answer.verdict(), (502, "upstream_broken".to_owned()));
    assert_eq!(answer.header("aimass-revision"), "iris-aaaaaaaa");
    assert_eq!(gateway.lines(1).await[0]["attempts"], 1);
    let drains = Pod::answering(DRAINING).await;
    let gateway = with(Retry::Idempotent, &[drains.address]).await;
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(answer.verdict(), (503, "draining".to_owned()));
}

#[tokio::test]
async fn never_is_never() {
    let pod = Pod::answering(OK).await;
    let gateway = with(Retry::Never, &[Pod::refusing(), pod.address]).await;
    let statuses = ask_all(&gateway, b"{}").await;
    assert!(
        statuses.contains(&502) && statuses.contains(&200),
        "{statuses:?}"
    );
    assert_eq!(gateway.metric("aimass_gateway_retries_total"), 0.0);
}

#[tokio::test]
async fn a_pod_that_stops_hands_its_requests_on() {
    let (drains, pod) = (Pod::answering(DRAINING).await, Pod::answering(OK).await);
    let gateway = with(Retry::Unsent, &[drains.address, pod.address]).await;
    assert_eq!(ask_all(&gateway, b"{\"a\":1}").await, [200; REQUESTS]);
    // It rests: one request was enough.
    assert_eq!(drains.count(), 1);
    assert!(
        pod.asked
            .lock()
            .unwrap()
            .iter()
            .all(|asked| asked.body == b"{\"a\":1}")
    );
}

/// A pod that reads a request and resets the connection.
async fn resetting() -> Pod {
    Pod::new(|mut peer| async move {
        peer.request().await;
        peer.reset();
    })
    .await
}

#[tokio::test]
async fn what_a_pod_may_have_begun_is_sent_again_only_where_that_is_allowed() {
    for (retry, expect) in [(Retry::Unsent, false), (Retry::Idempotent, true)] {
        let (resets, pod) = (resetting().await, Pod::answering(OK).await);
        let gateway = with(retry, &[resets.address, pod.address]).await;
        let statuses = ask_all(&gateway, b"{\"replay\":true}").await;
        assert_eq!(
            statuses.iter().all(|status| *status == 200),
            expect,
            "{statuses:?}"
        );
        assert!(resets.count() > 0);
        let asked = pod.asked.lock().unwrap();
        assert!(asked.iter().all(|asked| asked.body == b"{\"replay\":true}"));
    }
}

#[tokio::test]
async fn a_body_that_was_not_kept_is_not_sent_again() {
    let (resets, pod) = (resetting().await, Pod::answering(OK).await);
    let gateway = with(Retry::Idempotent, &[resets.address, pod.address]).await;
    let large = vec![b'x'; 100 << 10];
    let statuses = ask_all(&gateway, &large).await;
    assert!(statuses.contains(&502), "{statuses:?}");
    assert!(
        pod.asked
            .lock()
            .unwrap()
            .iter()
            .all(|asked| asked.body == large)
    );
}

#[tokio::test]
async fn answers_are_the_callers_whatever_they_say() {
    for status in [
        "400 Bad Request",
        "404 Not Found",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "504 Gateway Timeout",
    ] {
        let head = format!("HTTP/1.1 {status}\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n");
        let (one, other) = (
            Pod::answering(head.clone()).await,
            Pod::answering(head).await,
        );
        let gateway = with(Retry::Idempotent, &[one.address, other.address]).await;
        let answer = Client::ask(gateway.address, "").await;
        assert!(status.starts_with(&answer.status.to_string()), "{answer:?}");
        assert_eq!(answer.header("retry-after"), "3");
        assert_eq!(one.count() + other.count(), 1, "{status}");
    }
}

#[tokio::test]
async fn retries_are_a_part_of_the_load_and_not_its_double() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\naimass-error: overloaded\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n";
    let (one, other) = (Pod::answering(busy).await, Pod::answering(busy).await);
    let gateway = with(Retry::Unsent, &[one.address, other.address]).await;
    let requests = 400;
    let mut client = gateway.connect().await;
    for _ in 0..requests {
        client.predict("").await;
        let answer = client.answer().await;
        assert_eq!(answer.verdict(), (503, "overloaded".to_owned()));
        assert_eq!(answer.header("retry-after"), "2");
    }
    let sent = one.count() + other.count();
    // A fifth, and three a second over ten seconds.
    assert!(
        (requests..=requests + requests / 5 + 31).contains(&sent),
        "{sent}"
    );
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_no_failure() {
    let served = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&served);
    let pod = Pod::new(move |mut peer| {
        let served = Arc::clone(&count);
        async move {
            // One request for each connection, then it closes without saying so.
            peer.request().await;
            served.fetch_add(1, Ordering::Relaxed);
            peer.send(OK).await;
        }
    })
    .await;
    let gateway = with(Retry::Never, &[pod.address]).await;
    let mut client = gateway.connect().await;
    for _ in 0..20 {
        client.predict("").await;
        assert_eq!(client.answer().await.status, 200);
        tokio::time::sleep(ms(5)).await;
    }
    assert_eq!(served.load(Ordering::Relaxed), 20);
}

#[tokio::test]
async fn a_pod_that_fails_is_left_out_and_comes_back() {
    let broken = Arc::new(AtomicU32::new(1));
    let state = Arc::clone(&broken);
    let sick = Pod::new(move |mut peer| {
        let broken = Arc::clone(&state);
        async move {
            while peer.request().await.is_some() {
                let status = match broken.load(Ordering::Relaxed) {
                    1 => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
                    _ => OK,
                };
                peer.send(status).await;
            }
        }
    })
    .await;
    let well = Pod::answering(OK).await;
    let gateway = with(Retry::Never, &[sick.address, well.address]).await;
    let mut client = gateway.connect().await;
    let out = || gateway.metric("aimass_gateway_ejected_endpoints");
    let mut failed = 0;
    for _ in 0..100 {
        client.predict("").await;
        failed += u32::from(client.answer().await.status == 500);
        if out() == 1.0 {
            break;
        }
    }
    assert!((1..=5).contains(&failed), "{failed}");
    broken.store(0, Ordering::Relaxed);
    // However slow the machine is: its time doubles if a trial came before it was well.
    let before = sick.count();
    eventually(|| async {
        let mut client = gateway.connect().await;
        for _ in 0..10 {
            client.predict("").await;
            assert_eq!(client.answer().await.status, 200);
        }
        let back = out() == 0.0 && sick.count() > before + 5;
        back.then_some(()).ok_or("it is still left out")
    })
    .await;
}
