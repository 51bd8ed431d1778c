//! Requests of several callers in one run of the engine: what it may change, and what not.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aimass_protocol::{Data, DataType, Dim, Signature, Tensor, TensorSpec};
use aimass_server::engine::{Engine, Failure, Memory, Shapes};
use aimass_server::model::{Model, sizes};
use aimass_server::state::{Settings, Slot};
use axum::body::Body;
use axum::http::Request;
use futures_util::future::join_all;

use super::serving::{Answer, Server, settings};

/// Waits for its gate on 100, panics on 13, refuses 14, gives `add` more for everything else.
struct Oven {
    signature: Signature,
    gate: Mutex<Receiver<()>>,
    runs: Arc<Mutex<Vec<usize>>>,
    add: f32,
}

impl Engine for Oven {
    fn name(&self) -> &'static str {
        "oven"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn prepare(&self, _: &Shapes) -> Result<(), Failure> {
        Ok(())
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let Data::Fp32(values) = inputs[0].data() else {
            panic!("another type")
        };
        self.runs.lock().unwrap().push(values.len());
        if values.contains(&100.0) {
            self.gate.lock().unwrap().recv().unwrap();
        }
        assert!(!values.contains(&13.0), "thirteen");
        if values.contains(&14.0) {
            return Err(Failure::new("embed", "index 14 is beyond 13"));
        }
        let values = values.iter().map(|value| value + self.add).collect();
        Ok(vec![
            Tensor::new(inputs[0].shape().to_vec(), Data::Fp32(values)).unwrap(),
        ])
    }

    fn memory(&self) -> Memory {
        Memory {
            bytes: 4096,
            plans: 3,
        }
    }
}

/// A server whose engine is an oven, with the buckets 1, 2, 4 and 8.
struct Bakery {
    server: Server,
    open: Sender<()>,
    runs: Arc<Mutex<Vec<usize>>>,
}

fn oven(add: f32) -> (Model, Sender<()>, Arc<Mutex<Vec<usize>>>) {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        shape: Some(vec![Dim::Unknown]),
    };
    let (open, gate) = channel();
    let runs = Arc::default();
    let engine = Oven {
        signature: Signature::new(vec![spec("x")], vec![spec("y")]),
        gate: Mutex::new(gate),
        runs: Arc::clone(&runs),
        add,
    };
    let model = Model::new(Box::new(engine), "sha256:0".to_owned());
    model.warm_up().unwrap();
    model.calibrate(&sizes(8, &[]), &|work| {
        work();
        Duration::from_millis(1)
    });
    runs.lock().unwrap().clear();
    (model, open, runs)
}

impl Bakery {
    fn new(settings: Settings) -> Self {
        let server = Server::loading(settings);
        aimass_server::workers::start(1, &server.state).unwrap();
        let (model, open, runs) = oven(0.0);
        server.state.set_slot(Slot::Ready(Arc::new(model)));
        Self { server, open, runs }
    }

    async fn predict(&self, instances: &str) -> Answer {
        let body = format!(r#"{{"instances":{instances}}}"#);
        self.server.post("/v1/models/m:predict", body).await
    }

    async fn predict_alone(&self, instances: &str) -> Answer {
        let request = Request::post("/v1/models/m:predict").header("aimass-batching", "off");
        let body = Body::from(format!(r#"{{"instances":{instances}}}"#));
        self.server.send(request.body(body).unwrap()).await
    }

    /// Returns once so many rows wait.
    async fn waiting(&self, rows: usize) {
        let line = format!("aimass_server_queue_rows {rows}\n");
        let all_wait = async {
            while !self.server.metrics().contains(&line) {
                tokio::task::yield_now().await;
            }
        };
        let result = tokio::time::timeout(Duration::from_secs(10), all_wait).await;
        result.unwrap_or_else(|_| panic!("no {line}: {}", self.server.metrics()));
    }

    /// Keeps the only worker busy, then lets `requests` wait, and then run.
    async fn while_busy(
        &self,
        rows: usize,
        requests: impl Future<Output = Vec<Answer>>,
    ) -> Vec<Answer> {
        let first = async {
            assert_eq!(self.predict("[100]").await.status, 200);
        };
        let open = async {
            // The first one waits for a moment too.
            while self.runs().is_empty() {
                tokio::task::yield_now().await;
            }
            self.waiting(rows).await;
            self.open.send(()).unwrap();
        };
        let later = async {
            while self.runs.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            requests.await
        };
        let ((), (), answers) = tokio::join!(first, open, later);
        answers
    }

    fn runs(&self) -> Vec<usize> {
        self.runs.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn what_waits_while_the_engine_is_busy_runs_together() {
    let bakery = Bakery::new(settings());
    let requests = join_all(["[1]", "[2]", "[3,4]", "[5]"].map(|row| bakery.predict(row)));
    let answers = bakery.while_busy(5, requests).await;
    let texts: Vec<&str> = answers.iter().map(Answer::text).collect();
    assert_eq!(
        texts,
        [
            r#"{"predictions":[1.0]}"#,
            r#"{"predictions":[2.0]}"#,
            r#"{"predictions":[3.0,4.0]}"#,
            r#"{"predictions":[5.0]}"#
        ]
    );
    assert!(
        answers
            .iter()
            .all(|answer| answer.header("aimass-batch-rows") == "5")
    );
    assert_eq!(bakery.runs(), [1, 8]);
    let metrics = bakery.server.metrics();
    for line in [
        "aimass_server_batch_rows_sum 6.0",
        "aimass_server_batch_rows_count 2",
        r#"aimass_server_inference_duration_seconds_count{bucket="8"} 1"#,
        "aimass_server_engine_memory_bytes 4096",
        "aimass_server_plans 3",
        "aimass_server_batch_retries_total 0",
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
}

#[tokio::test]
async fn one_bad_request_fails_alone() {
    let bakery = Bakery::new(settings());
    let requests = join_all(["[1]", "[14]", "[2]"].map(|row| bakery.predict(row)));
    let answers = bakery.while_busy(3, requests).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 400, 200]);
    assert_eq!(answers[1].header("aimass-error"), "engine_rejected");
    assert_eq!(answers[2].text(), r#"{"predictions":[2.0]}"#);
    assert_eq!(answers[2].header("aimass-batch-rows"), "1");
    assert_eq!(bakery.runs(), [1, 4, 1, 1, 1]);
    let metrics = bakery.server.metrics();
    assert!(metrics.contains("aimass_server_batch_retries_total 1"));
    assert!(metrics.contains("aimass_server_engine_panics_total 0"));
}

#[tokio::test]
async fn a_panic_in_a_batch_is_one_panic_and_one_error() {
    let bakery = Bakery::new(settings());
    let requests = join_all(["[1]", "[2]", "[13]"].map(|row| bakery.predict(row)));
    let answers = bakery.while_busy(3, requests).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 500]);
    let metrics = bakery.server.metrics();
    assert!(metrics.contains("aimass_server_batch_retries_total 1"));
    assert!(metrics.contains("aimass_server_engine_panics_total 1"));
}

#[tokio::test]
async fn a_caller_may_refuse_company() {
    let bakery = Bakery::new(settings());
    let alone = async { vec![bakery.predict_alone("[3,4]").await] };
    let requests = async {
        let (alone, mut others) = tokio::join!(
            alone,
            join_all(["[1]", "[2]"].map(|row| bakery.predict(row)))
        );
        others.extend(alone);
        others
    };
    let answers = bakery.while_busy(4, requests).await;
    assert_eq!(answers[2].text(), r#"{"predictions":[3.0,4.0]}"#);
    assert_eq!(answers[2].header("aimass-batch-rows"), "1");
    assert_eq!(answers[0].header("aimass-batch-rows"), "2");
    let mut runs = bakery.runs();
    runs.sort_unstable();
    assert_eq!(runs, [1, 1, 1, 2]);
    let request = Request::post("/v1/models/m:predict").header("aimass-batching", "maybe");
    let answer = bakery
        .server
        .send(request.body(Body::from("{}")).unwrap())
        .await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (400, r#"Invalid aimass-batching: "maybe""#)
    );
}

#[tokio::test]
async fn a_large_request_lets_others_in_between() {
    let bakery = Bakery::new(settings());
    let twenty = format!("{:?}", [2; 20]);
    let requests = join_all([twenty.as_str(), "[1]"].map(|rows| bakery.predict(rows)));
    let answers = bakery.while_busy(21, requests).await;
    let rows = answers[0].json()["predictions"].as_array().unwrap().len();
    assert_eq!((answers[0].status, rows), (200, 20));
    assert_eq!(answers[1].status, 200);
    // The second run is not the large request's: the other one shares it with the next piece.
    assert_eq!(bakery.runs(), [1, 8, 1, 8, 4]);
}

#[tokio::test]
async fn who_goes_away_is_never_run() {
    let bakery = Bakery::new(settings());
    let requests = async {
        let mut gone = Box::pin(bakery.predict("[7]"));
        assert!(futures_util::poll!(gone.as_mut()).is_pending());
        bakery.waiting(1).await;
        drop(gone);
        // At once, not when the engine comes to it.
        assert!(
            bakery
                .server
                .metrics()
                .contains("aimass_server_queue_rows 0")
        );
        vec![bakery.predict("[1]").await]
    };
    let answers = bakery.while_busy(1, requests).await;
    assert_eq!(answers[0].text(), r#"{"predictions":[1.0]}"#);
    assert_eq!(bakery.runs(), [1, 1]);
}

#[tokio::test]
async fn refusals_do_not_wait_for_the_engine() {
    let bakery = Bakery::new(Settings {
        max_queue_rows: 2,
        ..settings()
    });
    let requests = async {
        let two = join_all([bakery.predict("[1]"), bakery.predict("[2]")]);
        let third = async {
            bakery.waiting(2).await;
            // The engine is stuck all the time.
            let answer = bakery.predict("[3]").await;
            assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
            let exactly: u64 = answer.header("retry-after-ms").parse().unwrap();
            assert!((100..=1000).contains(&exactly), "{exactly}");
            assert_eq!(bakery.runs(), [1]);
            bakery.open.send(()).unwrap();
        };
        tokio::join!(two, third).0
    };
    let first = async { bakery.predict("[100]").await };
    let later = async {
        while bakery.runs().is_empty() {
            tokio::task::yield_now().await;
        }
        requests.await
    };
    let (first, answers) = tokio::join!(first, later);
    assert_eq!(first.status, 200);
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test]
async fn a_request_runs_on_the_model_that_it_was_read_for() {
    let bakery = Bakery::new(settings());
    let (new, _open, new_runs) = oven(1000.0);
    let requests = async {
        let old = join_all([bakery.predict("[1]"), bakery.predict("[2]")]);
        let swapped = async {
            bakery.waiting(2).await;
            bakery.server.state.set_slot(Slot::Ready(Arc::new(new)));
            bakery.predict("[3]").await
        };
        let (mut answers, last) = tokio::join!(old, swapped);
        answers.push(last);
        answers
    };
    let answers = bakery.while_busy(3, requests).await;
    let texts: Vec<&str> = answers.iter().map(Answer::text).collect();
    assert_eq!(
        texts,
        [
            r#"{"predictions":[1.0]}"#,
            r#"{"predictions":[2.0]}"#,
            r#"{"predictions":[1003.0]}"#
        ]
    );
    assert_eq!(bakery.runs(), [1, 2]);
    assert_eq!(*new_runs.lock().unwrap(), [1]);
}

/// Rows of a real model, measured as after a load, in batches of all kinds against each alone.
#[tokio::test]
async fn a_batch_gives_what_each_row_gives_alone() {
    let server = Server::with("digits_mlp.onnx", settings());
    let Slot::Ready(model) = server.state.slot() else {
        panic!("not ready")
    };
    aimass_server::keeper::start(&model, &server.state).unwrap();
    let measured = async {
        while model.max_rows_at_once() == 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let result = tokio::time::timeout(Duration::from_secs(20), measured).await;
    result.expect("a perceptron is faster in batches");
    let row = |seed: usize| -> Vec<f64> {
        let pixel = |index: usize| f64::from(u8::try_from((seed * 31 + index * 7) % 17).unwrap());
        (0..64).map(|index| pixel(index) / 16.0).collect()
    };
    let rows: Vec<Vec<f64>> = (0..11).map(row).collect();
    let post = |rows: Vec<Vec<f64>>, batching: &str| {
        let request = Request::post("/v1/models/m:predict").header("aimass-batching", batching);
        let body = serde_json::json!({ "instances": rows }).to_string();
        server.send(request.body(Body::from(body)).unwrap())
    };
    let (all, others) = tokio::join!(
        post(rows.clone(), "on"),
        join_all(rows.iter().rev().map(|row| post(vec![row.clone()], "on")))
    );
    let alone = post(rows, "off").await;
    assert_eq!(alone.header("aimass-batch-rows"), "1");
    let numbers = |answer: &Answer| -> Vec<Vec<f64>> {
        serde_json::from_value(answer.json()["predictions"].clone()).unwrap()
    };
    let alone = numbers(&alone);
    let close = |left: &[f64], right: &[f64]| {
        left.iter()
            .zip(right)
            .all(|(left, right)| (left - right).abs() <= 1e-5)
    };
    for (row, expect) in numbers(&all).iter().zip(&alone) {
        assert!(close(row, expect), "{row:?} is not {expect:?}");
    }
    for (answer, expect) in others.iter().zip(alone.iter().rev()) {
        assert!(
            close(&numbers(answer)[0], expect),
            "{answer:?} is not {expect:?}"
        );
    }
}
