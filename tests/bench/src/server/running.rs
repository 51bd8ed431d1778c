//! Servers under measurement, on core 0: ours as shipped, and the bare loop that is the floor.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::connection::post;
use crate::process::{Process, free_port, wait_until_ready};

/// Where the binaries and models under measurement are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Folder of `aimass-server` and `bare-server`, built alike.
    pub binaries: PathBuf,
    /// The folder `examples/` of the repository.
    pub examples: PathBuf,
    /// What `cargo xtask models fetch` has brought; figures about its models are left out without.
    pub models: Option<PathBuf>,
}

impl Programs {
    /// The file of an example.
    #[must_use]
    pub fn example(&self, name: &str) -> PathBuf {
        self.examples.join(name).join(format!("{name}.onnx"))
    }

    /// The sentence encoder, if models were fetched.
    #[must_use]
    pub fn minilm(&self) -> Option<PathBuf> {
        let folder = self.models.as_ref()?;
        Some(folder.join("models/minilm_l6.onnx"))
    }
}

/// The cores: what is measured, and what measures.
pub const SERVER_CORE: usize = 0;

/// `aimass-server`, ready.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub process: Process,
    /// Where it is asked.
    pub data: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Running {
    /// Starts it on a model file as the operator does, with more flags, and waits until it is ready.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(programs: &Programs, model: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::copy(model, folder.path().join("model.onnx"))
            .with_context(|| format!("failed to copy {}", model.display()))?;
        let mut arguments = vec![
            format!("--model-dir={}", folder.path().display()),
            "--model-version=1".to_owned(),
            "--revision=my-model-aaaaaaaa".to_owned(),
        ];
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Self::start_with(programs, folder, &arguments)
    }

    /// Starts it with these flags about models, its scratch files in `folder`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_with(
        programs: &Programs,
        folder: tempfile::TempDir,
        model_flags: &[String],
    ) -> anyhow::Result<Self> {
        let (data, admin) = (free_port()?, free_port()?);
        let termination = folder.path().join("termination");
        let mut arguments = vec![
            "--model-name=my_model".to_owned(),
            "--bind=127.0.0.1".to_owned(),
            "--port=0".to_owned(),
            format!("--rest-api-port={}", data.port()),
            format!("--admin-port={}", admin.port()),
            format!("--termination-log={}", termination.display()),
        ];
        arguments.extend_from_slice(model_flags);
        let program = programs.binaries.join("aimass-server");
        let mut process = Process::pinned(SERVER_CORE, &program, &arguments)?;
        wait_until_ready(&mut process, admin, "/readyz", Duration::from_secs(60))
            .with_context(|| std::fs::read_to_string(termination).unwrap_or_default())?;
        Ok(Self {
            process,
            data,
            _folder: folder,
        })
    }
}

/// The loop without features on the same core.
#[derive(Debug)]
pub struct Bare {
    _process: Process,
    /// Where it is asked.
    pub data: SocketAddr,
}

impl Bare {
    /// Starts it on a model file and waits until it is ready.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(programs: &Programs, model: &Path) -> anyhow::Result<Self> {
        let data = free_port()?;
        let arguments = [data.to_string(), model.display().to_string()];
        let program = programs.binaries.join("bare-server");
        let mut process = Process::pinned(SERVER_CORE, &program, &arguments)?;
        wait_until_ready(&mut process, data, "/ready", Duration::from_secs(30))?;
        Ok(Self {
            _process: process,
            data,
        })
    }
}

/// One picture of the digits model over the Open Inference Protocol, as JSON.
#[must_use]
pub fn digits_v2() -> Vec<u8> {
    let pixels = vec!["0.5"; 64].join(",");
    post(
        "/v2/models/my_model/infer",
        &format!(
            r#"{{"inputs":[{{"name":"x","shape":[1,64],"datatype":"FP32","data":[{pixels}]}}]}}"#
        ),
    )
}

/// The same as TensorFlow Serving's callers send it.
#[must_use]
pub fn digits_v1() -> Vec<u8> {
    let pixels = vec!["0.5"; 64].join(",");
    post(
        "/v1/models/my_model:predict",
        &format!(r#"{{"instances":[[{pixels}]]}}"#),
    )
}

/// A sentence of 16 tokens for the sentence encoder.
#[must_use]
pub fn minilm_v2() -> Vec<u8> {
    let input = |name: &str, value: &str| {
        let data = vec![value; 16].join(",");
        format!(r#"{{"name":"{name}","shape":[1,16],"datatype":"INT64","data":[{data}]}}"#)
    };
    let inputs = [
        input("input_ids", "2023"),
        input("attention_mask", "1"),
        input("token_type_ids", "0"),
    ];
    let body = format!(r#"{{"inputs":[{}]}}"#, inputs.join(","));
    post("/v2/models/my_model/infer", &body)
}
