//! Revisions have the share of the requests that they are to have.

use std::collections::BTreeMap;
use std::sync::Arc;

use aimass_gateway::table::{EndpointState, Retry, RevisionState};

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::world::{Gateway, revision, shared};

const READY: EndpointState = EndpointState::Ready;

/// How many of so many requests each revision has answered.
async fn shares(gateway: &Gateway, requests: usize, headers: &str) -> BTreeMap<String, usize> {
    let mut client = gateway.connect().await;
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        client.predict(headers).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        *shares
            .entry(answer.header("aimass-model-version"))
            .or_default() += 1;
    }
    shares
}

#[tokio::test]
async fn five_of_a_hundred_go_to_the_canary_and_callers_may_stay_on_one() {
    let (new, old) = (Pod::answering(OK).await, Pod::answering(OK).await);
    let model = shared(vec![
        revision(
            &Arc::default(),
            (8, 5),
            RevisionState::Ready,
            &[(new.address, READY)],
        ),
        revision(
            &Arc::default(),
            (7, 95),
            RevisionState::Ready,
            &[(old.address, READY)],
        ),
    ]);
    let gateway = Gateway::with(model).await;
    let expect = BTreeMap::from([("7".to_owned(), 190), ("8".to_owned(), 10)]);
    assert_eq!(shares(&gateway, 200, "").await, expect);
    assert_eq!((new.count(), old.count()), (10, 190));
    for caller in 0..20 {
        let header = format!("aimass-sticky: caller-{caller}\r\n");
        assert_eq!(shares(&gateway, 5, &header).await.len(), 1);
    }
    assert_eq!(new.last().header("aimass-sticky"), None);
    let long = format!("aimass-sticky: {}\r\n", "a".repeat(129));
    let answer = Client::ask(gateway.address, &long).await;
    assert_eq!(answer.verdict(), (400, "bad_request".to_owned()));
}

#[tokio::test]
async fn what_a_revision_without_pods_should_have_had_goes_to_the_other_and_is_counted() {
    let old = Pod::answering(OK).await;
    let failing = RevisionState::Failing("ModelLoadFailed".into());
    let model = shared(vec![
        revision(&Arc::default(), (8, 50), failing, &[]),
        revision(
            &Arc::default(),
            (7, 50),
            RevisionState::Ready,
            &[(old.address, READY)],
        ),
    ]);
    let gateway = Gateway::with(model).await;
    let expect = BTreeMap::from([("7".to_owned(), 100)]);
    assert_eq!(shares(&gateway, 100, "").await, expect);
    let series = "aimass_gateway_rerouted_total{project=\"shop\",model=\"iris\"}";
    assert_eq!(gateway.metric(series), 50.0);
    let pinned =
        "POST /v1/models/iris/versions/8:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let answer = Client::talk(gateway.address, pinned).await;
    assert_eq!(answer.error(), "Model iris is not ready: ModelLoadFailed");
    assert_eq!(answer.header("aimass-model-version"), "8");
    assert_eq!(gateway.metric(series), 50.0);
}

#[tokio::test]
async fn a_second_attempt_stays_on_its_revision() {
    let (well, other) = (Pod::answering(OK).await, Pod::answering(OK).await);
    let pods = [(Pod::refusing(), READY), (well.address, READY)];
    let mut model = shared(vec![
        revision(&Arc::default(), (8, 100), RevisionState::Ready, &pods),
        revision(
            &Arc::default(),
            (7, 0),
            RevisionState::Ready,
            &[(other.address, READY)],
        ),
    ]);
    model.retry = Retry::Unsent;
    let gateway = Gateway::with(model).await;
    let expect = BTreeMap::from([("8".to_owned(), 20)]);
    assert_eq!(shares(&gateway, 20, "").await, expect);
    assert_eq!(other.count(), 0);
    assert!(gateway.metric("aimass_gateway_retries_total") > 0.0);
}
