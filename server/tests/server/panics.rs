//! An engine that panics or refuses: one request's failure, seen by a second engine.

use std::sync::Arc;

use aimass_protocol::{Data, DataType, Dim, Signature, Tensor, TensorSpec};
use aimass_server::engine::{Engine, Failure, Memory, Shapes};
use aimass_server::model::Model;
use aimass_server::state::Slot;

use super::serving::{Server, settings};

/// Panics on 13, refuses 14, answers everything else with itself.
struct Moody(Signature);

impl Engine for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn prepare(&self, _: &Shapes) -> Result<(), Failure> {
        Ok(())
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let Data::Fp32(values) = inputs[0].data() else {
            panic!("another type")
        };
        assert!(!values.contains(&13.0), "a secret path /model/files");
        if values.contains(&14.0) {
            return Err(Failure::new("embed", "index 14 is beyond 13"));
        }
        Ok(inputs.to_vec())
    }

    fn memory(&self) -> Memory {
        Memory::default()
    }
}

pub(crate) fn server() -> Server {
    let server = Server::loading(settings());
    aimass_server::workers::start(1, &server.state).unwrap();
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        shape: Some(vec![Dim::Unknown]),
    };
    let engine = Moody(Signature::new(vec![spec("x")], vec![spec("y")]));
    let model = Model::new(Box::new(engine), "sha256:0".to_owned());
    server.state.set_slot(Slot::Ready(Arc::new(model)));
    server
}

#[tokio::test]
async fn a_panic_is_one_requests_error_and_says_nothing_of_itself() {
    let server = server();
    let answer = server
        .post("/v1/models/m:predict", r#"{"instances":[13]}"#)
        .await;
    let id = answer.header("x-request-id").to_owned();
    assert_eq!(
        (answer.status, answer.error()),
        (500, format!("Internal error, request {id}"))
    );
    let answer = server
        .post("/v1/models/m:predict", r#"{"instances":[1]}"#)
        .await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, r#"{"predictions":[1.0]}"#)
    );
    assert!(
        server
            .metrics()
            .contains("aimass_server_engine_panics_total 1")
    );
}

#[tokio::test]
async fn what_the_engine_refuses_is_the_callers_error() {
    let answer = server()
        .post("/v1/models/m:predict", r#"{"instances":[14]}"#)
        .await;
    assert_eq!(
        (answer.status, answer.header("aimass-error")),
        (400, "engine_rejected")
    );
    assert_eq!(
        answer.error(),
        "Model execution failed: embed: index 14 is beyond 13"
    );
}

#[tokio::test]
async fn panics_in_a_row_quarantine_the_model() {
    let server = server();
    for _ in 0..5 {
        server
            .post("/v1/models/m:predict", r#"{"instances":[13]}"#)
            .await;
    }
    let answer = server
        .post("/v1/models/m:predict", r#"{"instances":[1]}"#)
        .await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (503, "Model m is not ready: Quarantined")
    );
}
