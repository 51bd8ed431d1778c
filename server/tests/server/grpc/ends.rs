//! How calls and connections end before their time.

use aimass_protocol::grpc::ModelInferResponse;
use aimass_server::state::Slot;
use tokio::time::timeout;
use tonic::Code;

use super::calls::{INFER, asks};
use super::port::{PATIENCE, Port, eventually};
use crate::serving::{Server, load, settings, testdata};

/// A server whose requests wait until its engine threads are started.
fn waiting() -> Server {
    let server = Server::loading(settings());
    let model = load(&testdata().join("linear.onnx")).unwrap();
    server.state.set_slot(Slot::Ready(model.into()));
    server
}

fn has_queued(server: &Server, rows: u32) -> bool {
    server
        .metrics()
        .contains(&format!("aimass_server_queue_rows {rows}\n"))
}

#[tokio::test]
async fn draining_ends_a_connection_after_its_calls() {
    let server = waiting();
    let port = Port::open(&server).await;
    let mut client = port.client().await;
    let call = client.call::<ModelInferResponse>(INFER, asks(&[1.0]));
    let drain = async {
        eventually("the call is queued", || has_queued(&server, 1)).await;
        port.drain.cancel();
        aimass_server::workers::start(1, &server.state).unwrap();
    };
    let (answer, ()) = tokio::join!(call, drain);
    assert_eq!(answer.unwrap().into_inner().id, "42");
    // GOAWAY, and no error.
    timeout(PATIENCE, &mut client.connection)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    // Who connects anew is served on.
    let other = port.client().await;
    assert!(
        other
            .call::<ModelInferResponse>(INFER, asks(&[1.0]))
            .await
            .is_ok()
    );
    port.stop.cancel();
    port.closed().await;
}

#[tokio::test]
async fn the_end_of_the_grace_answers_what_is_in_flight() {
    let server = waiting();
    let port = Port::open(&server).await;
    let client = port.client().await;
    let call = client.call::<ModelInferResponse>(INFER, asks(&[1.0]));
    let abort = async {
        eventually("the call is queued", || has_queued(&server, 1)).await;
        server.state.abort();
    };
    let (answer, ()) = tokio::join!(call, abort);
    let status = answer.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "Server is shutting down")
    );
    assert_eq!(status.metadata().get("aimass-error").unwrap(), "draining");
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_the_queue() {
    let server = waiting();
    let port = Port::open(&server).await;
    let client = port.client().await;
    {
        let call = client.call::<ModelInferResponse>(INFER, asks(&[1.0, 2.0]));
        let queued = eventually("the call is queued", || has_queued(&server, 2));
        tokio::select! {
            answer = call => panic!("nothing runs: {answer:?}"),
            () = queued => {}
        }
    }
    eventually("the queue is empty", || has_queued(&server, 0)).await;
    let line = r#"{protocol="grpc",method="infer",code="499",kind="cancelled"} 1"#;
    eventually("the end is counted", || server.metrics().contains(line)).await;
    assert!(server.metrics().contains("aimass_server_in_flight 0"));
}
