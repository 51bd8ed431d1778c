//! A picture of 224×224×3 as binary tensor against the same as JSON: what parsing costs.
//!
//! The model only averages, so that nearly all of the time is the protocol's.

use std::time::Duration;

use aimass_onnx::{Element, Model, Node};

use super::running::{Programs, Running};
use crate::connection::{post, post_bytes};
use crate::{Row, closed_loop, median};

const RUNS: usize = 3;
const CONNECTIONS: usize = 4;
const SIDE: u64 = 224;
const VALUES: u32 = 224 * 224 * 3;
const PATH: &str = "/v2/models/my_model/infer";

/// The figures, each run for `duration`.
///
/// # Errors
/// The server does not start, or an answer is not 200.
pub fn figures(programs: &Programs, duration: Duration) -> anyhow::Result<Vec<Row>> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), mean_colour().encode())?;
    let server = Running::start(programs, file.path(), &[])?;
    let (json, binary) = (as_json(), as_binary());
    let (mut json_rates, mut binary_rates) = (vec![], vec![]);
    for _ in 0..RUNS {
        let load = closed_loop::run(server.data, &json, CONNECTIONS, duration)?;
        json_rates.push(load.requests_per_second);
        let load = closed_loop::run(server.data, &binary, CONNECTIONS, duration)?;
        binary_rates.push(load.requests_per_second);
    }
    let (json_rate, binary_rate) = (median(json_rates), median(binary_rates));
    let against = format!(
        "JSON of {} KiB, {json_rate:.0} 1/s",
        json.len().div_ceil(1024)
    );
    Ok(vec![
        Row::plain("server/image/binary-requests", binary_rate, "1/s"),
        Row::at_least(
            "server/image/binary-against-json",
            binary_rate / json_rate,
            "ratio",
            3.0,
        )
        .against(against),
    ])
}

/// `image` f32 `[N, 3, 224, 224]` → `colour` f32 `[N, 3, 1, 1]`.
fn mean_colour() -> Model {
    let node = Node::new("GlobalAveragePool", &["image"], &["colour"]);
    Model::new("mean-colour")
        .input(
            "image",
            Element::Float,
            &[None, Some(3), Some(SIDE), Some(SIDE)],
        )
        .output("colour", Element::Float, &[None, Some(3), Some(1), Some(1)])
        .node(node)
}

/// Grey values as cameras give them, scaled to 0…1: the same in both forms.
fn values() -> impl Iterator<Item = f32> {
    // A step that visits all 256 values in no order that a predictor could learn.
    (0..VALUES).map(|index| f32::from(index.wrapping_mul(2_654_435_761).to_be_bytes()[0]) / 255.0)
}

fn as_json() -> Vec<u8> {
    let data: Vec<String> = values().map(|value| value.to_string()).collect();
    let data = data.join(",");
    let body = format!(
        r#"{{"inputs":[{{"name":"image","shape":[1,3,{SIDE},{SIDE}],"datatype":"FP32","data":[{data}]}}]}}"#
    );
    post(PATH, &body)
}

fn as_binary() -> Vec<u8> {
    let data: Vec<u8> = values().flat_map(f32::to_le_bytes).collect();
    let size = data.len();
    let head = format!(
        r#"{{"inputs":[{{"name":"image","shape":[1,3,{SIDE},{SIDE}],"datatype":"FP32","parameters":{{"binary_data_size":{size}}}}}]}}"#
    );
    let header = format!("inference-header-content-length: {}", head.len());
    let headers = ["content-type: application/octet-stream", header.as_str()];
    post_bytes(PATH, &headers, &[head.as_bytes(), &data].concat())
}
