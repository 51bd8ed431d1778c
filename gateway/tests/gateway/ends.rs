//! How a gateway begins and ends.

use aimass_gateway::table::Table;

use crate::client::Client;
use crate::pod::{OK, Pod};
use crate::world::{Gateway, Setup, in_flight, model, ms, table};

const SLOW: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";

#[tokio::test]
async fn before_the_first_table_nobody_is_told_that_there_is_nothing() {
    let pod = Pod::answering(OK).await;
    let gateway = Setup::of(Table::default()).start().await;
    let answer = Client::ask(gateway.address, "").await;
    assert_eq!(answer.verdict(), (503, "not_ready".to_owned()));
    gateway.state.swap(table(vec![model(&[pod.address])], None));
    assert_eq!(Client::ask(gateway.address, "").await.status, 200);
}

#[tokio::test]
async fn a_gateway_that_ends_finishes_what_it_has_begun() {
    let pod = Pod::new(|mut peer| async move {
        peer.request().await;
        peer.send(SLOW).await;
        tokio::time::sleep(ms(400)).await;
        peer.send("5\r\nworld\r\n0\r\n\r\n").await;
        peer.closed().await;
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let mut client = gateway.connect().await;
    client.predict("").await;
    client.until("hello\r\n").await;
    gateway.drain.cancel();
    // Still there for who comes, and told to come elsewhere next time.
    let mut other = gateway.connect().await;
    other.predict("").await;
    let head = other.until("\r\n\r\n").await.to_lowercase();
    assert!(head.contains("connection: close"), "{head}");
    gateway.stop.cancel();
    client.until("world\r\n0\r\n\r\n").await;
    other.rest().await;
    gateway.ended().await;
}

#[tokio::test]
async fn what_does_not_end_is_ended_and_never_whole() {
    let pod = Pod::new(|mut peer| async move {
        if peer
            .request()
            .await
            .is_some_and(|asked| asked.body == b"begin")
        {
            peer.send(SLOW).await;
        }
        peer.closed().await;
    })
    .await;
    let gateway = Gateway::to(&[pod.address]).await;
    let (mut begun, mut waiting) = (gateway.connect().await, gateway.connect().await);
    begun.post("", b"begin").await;
    begun.until("hello\r\n").await;
    waiting.post("", b"wait").await;
    tokio::time::sleep(ms(50)).await;
    gateway.stop.cancel();
    gateway.state.abort();
    assert_eq!(begun.rest().await, "");
    let answer = waiting.answer().await;
    assert_eq!(answer.verdict(), (503, "draining".to_owned()));
    let lines = gateway.lines(2).await;
    for line in lines {
        assert_eq!(line["error.kind"], "draining");
    }
    assert_eq!(in_flight(&gateway.state), 0);
    gateway.ended().await;
}

#[tokio::test]
async fn a_table_is_swapped_under_requests_that_go_on() {
    let (old, new) = (Pod::answering(OK).await, Pod::answering(OK).await);
    let gateway = Gateway::to(&[old.address]).await;
    let address = gateway.address;
    let callers = (0..4).map(|_| {
        crate::world::spawn(async move {
            let mut client = Client::connect(address).await;
            for _ in 0..200 {
                client.predict("").await;
                assert_eq!(client.answer().await.status, 200);
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    for turn in 0..50 {
        let pod = if turn % 2 == 0 { &new } else { &old };
        gateway.state.swap(table(vec![model(&[pod.address])], None));
        tokio::time::sleep(ms(2)).await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(old.count() + new.count(), 800);
    assert!(old.count() > 0 && new.count() > 0);
}
