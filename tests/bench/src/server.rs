//! The model server: how fast it starts, and what it costs beside a loop that has no feature at all.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Process, free_port, wait_for};
use crate::{Row, closed_loop, median};

/// Where the binaries and models under measurement are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Folder of `aimass-server` and `bare-server`, built alike.
    pub binaries: PathBuf,
    /// The folder `examples/` of the repository.
    pub examples: PathBuf,
}

const CONNECTIONS: usize = 8;
const RUNS: usize = 3;
const RUN: Duration = Duration::from_secs(5);

/// Time from starting the process until it is ready, as the median of eleven starts.
///
/// # Errors
/// The server does not start.
pub fn start_up(programs: &Programs) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (model, goal_ms) in [("linear", 50.0), ("digits", 50.0)] {
        let mut times = Vec::new();
        for _ in 0..11 {
            let start = std::time::Instant::now();
            let server = Running::start(programs, model)?;
            times.push(start.elapsed().as_secs_f64() * 1000.0);
            drop(server);
        }
        let name = format!("server/{model}/start-to-ready");
        rows.push(Row::at_most(&name, median(times), "ms", goal_ms));
    }
    Ok(rows)
}

/// Requests per second for the digits model on one core, against a bare axum + tract loop.
///
/// # Errors
/// A server does not start, or an answer is not 200.
pub fn requests(programs: &Programs) -> anyhow::Result<Vec<Row>> {
    let pixels = vec!["0.5"; 64].join(",");
    let v2 = post(
        "/v2/models/my_model/infer",
        &format!(
            r#"{{"inputs":[{{"name":"x","shape":[1,64],"datatype":"FP32","data":[{pixels}]}}]}}"#
        ),
    );
    let v1 = post(
        "/v1/models/my_model:predict",
        &format!(r#"{{"instances":[[{pixels}]]}}"#),
    );
    let server = Running::start(programs, "digits")?;
    let bare = Bare::start(programs, "digits")?;
    let (mut ours_v1, mut ours_v2, mut theirs, mut p99) = (vec![], vec![], vec![], vec![]);
    for _ in 0..RUNS {
        // One after another in the same minute, so that a noisy neighbour hits all alike.
        theirs.push(closed_loop::run(bare.data, &v2, CONNECTIONS, RUN)?.requests_per_second);
        let load = closed_loop::run(server.data, &v2, CONNECTIONS, RUN)?;
        ours_v2.push(load.requests_per_second);
        p99.push(load.p99_ms);
        ours_v1.push(closed_loop::run(server.data, &v1, CONNECTIONS, RUN)?.requests_per_second);
    }
    let (bare_rate, v2_rate, v1_rate) = (median(theirs), median(ours_v2), median(ours_v1));
    let against = format!("bare axum + tract loop, {bare_rate:.0} 1/s");
    Ok(vec![
        Row::plain("server/digits/oip-requests", v2_rate, "1/s"),
        Row::plain("server/digits/tfs-requests", v1_rate, "1/s"),
        Row::at_least(
            "server/digits/oip-against-bare",
            v2_rate / bare_rate,
            "ratio",
            0.7,
        )
        .against(against),
        Row::at_least(
            "server/digits/tfs-against-oip",
            v1_rate / v2_rate,
            "ratio",
            0.9,
        )
        .against(format!("OIP JSON, {v2_rate:.0} 1/s")),
        Row::plain("server/digits/p99-at-full-load", median(p99), "ms"),
        Row::plain(
            "server/digits/resident",
            server.process.resident_mib()?,
            "MiB",
        ),
    ])
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = "host: bench\r\ncontent-type: application/json";
    format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// `aimass-server` on core 0, ready.
struct Running {
    process: Process,
    data: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(programs: &Programs, model: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::copy(
            model_file(&programs.examples, model),
            folder.path().join("model.onnx"),
        )?;
        let (data, admin) = (free_port()?, free_port()?);
        let arguments = [
            format!("--model-dir={}", folder.path().display()),
            "--model-name=my_model".to_owned(),
            "--model-version=1".to_owned(),
            "--revision=my-model-aaaaaaaa".to_owned(),
            "--bind=127.0.0.1".to_owned(),
            "--port=0".to_owned(),
            format!("--rest-api-port={}", data.port()),
            format!("--admin-port={}", admin.port()),
            format!(
                "--termination-log={}",
                folder.path().join("termination").display()
            ),
        ];
        let process = Process::pinned(0, &programs.binaries.join("aimass-server"), &arguments)?;
        wait_for(admin, "/readyz", Duration::from_secs(30))?;
        Ok(Self {
            process,
            data,
            _folder: folder,
        })
    }
}

/// The loop without features on the same core.
struct Bare {
    _process: Process,
    data: SocketAddr,
}

impl Bare {
    fn start(programs: &Programs, model: &str) -> anyhow::Result<Self> {
        let data = free_port()?;
        let file = model_file(&programs.examples, model);
        let arguments = [data.to_string(), file.display().to_string()];
        let process = Process::pinned(0, &programs.binaries.join("bare-server"), &arguments)?;
        wait_for(data, "/ready", Duration::from_secs(30))?;
        Ok(Self {
            _process: process,
            data,
        })
    }
}

fn model_file(examples: &Path, model: &str) -> PathBuf {
    examples.join(model).join(format!("{model}.onnx"))
}
