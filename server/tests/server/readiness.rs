//! Before the model is there, and when the process is told to stop.

use aimass_chassis::readiness::State as Ready;
use aimass_server::state::Slot;

use super::serving::{Server, settings};

const ONE_ROW: &str = r#"{"instances":[[1]]}"#;

#[tokio::test]
async fn while_loading_predictions_wait_for_another_try_and_status_says_loading() {
    let server = Server::loading(settings());
    for path in ["/v1/models/m:predict", "/v2/models/m/infer"] {
        let answer = server.post(path, ONE_ROW).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (503, "Model m is not ready: Loading")
        );
        assert_eq!(answer.header("aimass-error"), "not_ready");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.header("retry-after-ms"), "1000");
        assert_eq!(answer.header("aimass-model-version"), "7");
    }
    assert_eq!(server.get("/v1/models/m/metadata").await.status, 503);
    assert_eq!(server.get("/v2/models/m").await.status, 503);
    let status = server.get("/v1/models/m").await;
    assert_eq!(status.json()["model_version_status"][0]["state"], "LOADING");
    assert_eq!(
        server.get("/v2/health/ready").await.text(),
        r#"{"live":true,"ready":false,"error":"Model m is not ready: Loading"}"#
    );
    let ready = server.get("/v2/models/m/ready").await;
    assert_eq!(
        (ready.status, ready.text()),
        (
            503,
            r#"{"name":"m","ready":false,"error":"Model m is not ready: Loading"}"#
        )
    );
    assert_eq!(
        server.get("/v2/health/live").await.text(),
        r#"{"live":true}"#
    );
}

#[tokio::test]
async fn unknown_models_are_unknown_even_while_loading() {
    let server = Server::loading(settings());
    assert_eq!(
        server.post("/v1/models/z:predict", ONE_ROW).await.status,
        404
    );
}

#[tokio::test]
async fn told_to_stop_it_is_not_ready_but_serves_on_until_the_grace_is_over() {
    let server = Server::with("linear.onnx", settings());
    assert_eq!(server.readiness.get(), Ready::Ready);
    server.state.stop();
    assert!(matches!(
        server.readiness.get(),
        Ready::NotReady {
            reason: "Draining",
            ..
        }
    ));
    let answer = server.post("/v1/models/m:predict", ONE_ROW).await;
    assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    server.state.abort();
    let answer = server.post("/v1/models/m:predict", ONE_ROW).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (503, "Server is shutting down")
    );
}

#[tokio::test]
async fn what_is_in_flight_at_the_end_of_the_grace_is_told_so() {
    // No engine threads: the request waits.
    let server = Server::loading(settings());
    let model = super::serving::load(&super::serving::testdata().join("linear.onnx")).unwrap();
    server.state.set_slot(Slot::Ready(model.into()));
    let end = async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        server.state.abort();
    };
    let (answer, ()) = tokio::join!(server.post("/v1/models/m:predict", ONE_ROW), end);
    assert_eq!(
        (answer.status, answer.header("aimass-error")),
        (503, "draining")
    );
}

#[tokio::test]
async fn five_panics_within_a_minute_take_the_model_out_of_service() {
    let server = Server::with("linear.onnx", settings());
    let now = tokio::time::Instant::now();
    for _ in 0..4 {
        server.state.engine_panicked(now);
    }
    assert_eq!(server.readiness.get(), Ready::Ready);
    server
        .state
        .engine_panicked(now + std::time::Duration::from_secs(61));
    assert_eq!(
        server.readiness.get(),
        Ready::Ready,
        "the first four are forgotten"
    );
    for _ in 0..4 {
        server
            .state
            .engine_panicked(now + std::time::Duration::from_secs(62));
    }
    let answer = server.post("/v1/models/m:predict", ONE_ROW).await;
    assert_eq!(answer.error(), "Model m is not ready: Quarantined");
}
