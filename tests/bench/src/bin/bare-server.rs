//! The floor that the model server is measured against: axum, serde_json and tract, nothing else.
//!
//! `bare-server ADDRESS MODEL.onnx`: one fixed plan for one row, no limits, no checks, no metrics.
//! Only `cargo xtask bench` starts it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::{
    Datum as _, Framework as _, InferenceFact, InferenceModelExt as _, IntoRunnable as _,
    IntoTValue as _, Tensor, TypedRunnableModel, tvec,
};

type Plan = Arc<TypedRunnableModel>;

#[derive(Deserialize)]
struct Request {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    shape: Vec<usize>,
    data: Vec<f32>,
}

#[derive(Serialize)]
struct Answer {
    model_name: &'static str,
    model_version: &'static str,
    outputs: Vec<Output>,
}

#[derive(Serialize)]
struct Output {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<usize>,
    data: Vec<f32>,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bare-server ADDRESS MODEL.onnx";
    let address: SocketAddr = arguments.next().context(usage)?.parse()?;
    let plan: Plan = tract_onnx::onnx()
        .with_ignore_value_info(true)
        .with_ignore_output_shapes(true)
        .model_for_path(arguments.next().context(usage)?)?
        .with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), [1_usize, 64]))?
        .into_optimized()?
        .into_runnable()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let app = Router::new()
            .route("/ready", get(|| async {}))
            .route("/v2/models/my_model/infer", post(infer))
            .with_state(plan);
        let listener = tokio::net::TcpListener::bind(address).await?;
        axum::serve(listener, app).await?;
        Ok(())
    })
}

async fn infer(State(plan): State<Plan>, Json(request): Json<Request>) -> Json<Answer> {
    let outputs = run(&plan, &request).unwrap_or_default();
    Json(Answer {
        model_name: "my_model",
        model_version: "1",
        outputs,
    })
}

fn run(plan: &Plan, request: &Request) -> anyhow::Result<Vec<Output>> {
    let input = request.inputs.first().context("no input")?;
    let tensor = Tensor::from_shape(&input.shape, &input.data)?;
    let outputs = plan.run(tvec!(tensor.into_tvalue()))?;
    let output = outputs.first().context("no output")?;
    Ok(vec![Output {
        name: "probabilities",
        datatype: "FP32",
        shape: output.shape().to_vec(),
        data: output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec(),
    }])
}
