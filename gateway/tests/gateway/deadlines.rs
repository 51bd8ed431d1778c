//! How long things may take, and who is blamed for it.

use tokio::time::Instant;

use crate::client::Client;
use crate::pod::{OK, Pod, forever};
use crate::world::{Gateway, in_flight, model, ms};

async fn silent() -> Pod {
    Pod::new(|mut peer| async move {
        peer.request().await;
        peer.closed().await;
    })
    .await
}

#[tokio::test]
async fn a_pod_that_says_nothing_is_waited_for_as_long_as_the_model_allows() {
    let pod = silent().await;
    let mut model = model(&[pod.address]);
    model.request_timeout = ms(300);
    let gateway = Gateway::with(model).await;
    let begun = Instant::now();
    let answer = Client::ask(gateway.address, "").await;
    assert!((ms(290)..ms(1000)).contains(&begun.elapsed()));
    assert_eq!(answer.verdict(), (504, "deadline".to_owned()));
    assert_eq!(answer.error(), "Deadline of 300 ms exceeded");
    assert_eq!(in_flight(&gateway.state), 0);
}

#[tokio::test]
async fn callers_may_ask_for_less_and_never_for_more() {
    let pod = silent().await;
    let mut model = model(&[pod.address]);
    model.request_timeout = ms(400);
    let gateway = Gateway::with(model).await;
    for (asked, text) in [
        ("100", "Deadline of 100 ms exceeded"),
        ("60000", "Deadline of 400 ms exceeded"),
    ] {
        let header = format!("x-request-timeout-ms: {asked}\r\n");
        assert_eq!(Client::ask(gateway.address, &header).await.error(), text);
    }
    let answer = Client::ask(gateway.address, "x-request-timeout-ms: soon\r\n").await;
    assert_eq!(answer.verdict(), (400, "bad_request".to_owned()));
    assert_eq!(answer.error(), "Invalid x-request-timeout-ms: \"soon\"");
    assert!(pod.count() <= 2, "nobody is asked in no time");
}

#[tokio::test]
async fn the_pod_is_told_what_is_left() {
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address]).await;
    let left = |pod: &Pod| -> u64 {
        let asked = pod.last();
        asked
            .header("x-request-timeout-ms")
            .unwrap()
            .parse()
            .unwrap()
    };
    Client::ask(gateway.address, "x-request-timeout-ms: 2000\r\n").await;
    assert!((1500..2000).contains(&left(&pod)), "{}", left(&pod));
    Client::ask(gateway.address, "").await;
    assert!((4500..5000).contains(&left(&pod)), "{}", left(&pod));
    // From the arrival of the head on, however late the body comes: a pod is asked at once, so nothing has gone yet.
    Client::ask(gateway.address, "x-request-timeout-ms: 3600000\r\n").await;
    assert!((4500..5000).contains(&left(&pod)), "{}", left(&pod));
}

#[tokio::test]
async fn a_pod_that_drops_what_it_is_sent_is_given_up_in_time() {
    // Documentation addresses: nobody is there, and nobody says so.
    let nowhere = "192.0.2.1:8501".parse().unwrap();
    let pod = Pod::answering(OK).await;
    let gateway = Gateway::to(&[nowhere]).await;
    let begun = Instant::now();
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(answer.verdict(), (502, "upstream_broken".to_owned()));
    assert!(begun.elapsed() < ms(1500), "{:?}", begun.elapsed());
    let gateway = Gateway::to(&[nowhere, pod.address]).await;
    for _ in 0..12 {
        let begun = Instant::now();
        assert_eq!(Client::ask(gateway.address, "").await.status, 200);
        assert!(begun.elapsed() < ms(1500));
    }
}

#[tokio::test]
async fn a_caller_that_sends_slowly_uses_up_its_own_time() {
    let pod = silent().await;
    let mut model = model(&[pod.address]);
    model.request_timeout = ms(300);
    let gateway = Gateway::with(model).await;
    let mut client = gateway.connect().await;
    let head = "POST /v1/models/iris:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{";
    client.send(head).await;
    assert_eq!(
        client.answer().await.verdict(),
        (504, "deadline".to_owned())
    );
}

#[tokio::test]
async fn the_first_byte_of_an_answer_is_due_with_the_deadline() {
    let pod = Pod::new(|mut peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
            .await;
        peer.closed().await;
    })
    .await;
    let mut model = model(&[pod.address]);
    model.request_timeout = ms(300);
    let gateway = Gateway::with(model).await;
    let begun = Instant::now();
    let answer = Client::ask(gateway.address, "").await;
    assert!((ms(290)..ms(1500)).contains(&begun.elapsed()));
    assert_eq!((answer.status, answer.whole), (200, false));
    let lines = gateway.lines(1).await;
    let told = (&lines[0]["http.status"], &lines[0]["error.kind"]);
    assert_eq!(told, (&504.into(), &"deadline".into()));
}

#[tokio::test]
async fn a_stream_that_flows_may_outlast_the_deadline() {
    let pod = Pod::new(|mut peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        for _ in 0..8 {
            peer.send("4\r\ntick\r\n").await;
            tokio::time::sleep(ms(100)).await;
        }
        peer.send("0\r\n\r\n").await;
        forever().await;
    })
    .await;
    let mut model = model(&[pod.address]);
    model.request_timeout = ms(300);
    let gateway = Gateway::with(model).await;
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!((answer.text(), answer.whole), ("tick".repeat(8), true));
    let line = &gateway.lines(1).await[0];
    assert!(line["duration_ms"].as_f64().unwrap() > 700.0, "{line}");
}

#[tokio::test]
async fn pods_are_not_left_out_for_the_haste_of_callers() {
    let pod = Pod::new(|mut peer| async move {
        while peer.request().await.is_some() {
            tokio::time::sleep(ms(60)).await;
            peer.send(OK).await;
        }
    })
    .await;
    let other = Pod::answering(OK).await;
    let gateway = Gateway::to(&[pod.address, other.address]).await;
    let mut hasty = 0;
    for _ in 0..40 {
        let answer = Client::ask(gateway.address, "x-request-timeout-ms: 20\r\n").await;
        hasty += u32::from(answer.status == 504);
    }
    assert!(hasty >= 5, "{hasty}");
    assert_eq!(gateway.metric("aimass_gateway_ejected_endpoints"), 0.0);
}
