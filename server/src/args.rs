//! The command line, as it is written. The only file that reads the environment (through clap).
//!
//! Values are texts here: `config.rs` judges them, all together. `_` and `-` are the same in names of flags, as
//! TensorFlow Serving's users write them.

mod tensorflow_serving;

use std::ffi::OsString;

use aimass_chassis::args::{AdminArgs, LogArgs};
use aimass_chassis::traces::TraceArgs;
use clap::{Args, Parser, Subcommand};

pub use tensorflow_serving::{TensorFlowServingArgs, ToleratedArgs};

/// The model server of aimass: loads one ONNX model and answers predictions over HTTP.
#[derive(Parser, Debug)]
#[command(
    name = "aimass-server",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct CommandLine {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What else the binary does.
#[derive(Subcommand, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, for a moment")]
pub enum Command {
    /// Brings a model's files from a remote source, checks and unpacks them.
    Fetch(FetchArgs),
    /// Says what a model takes and gives, which engine serves it and why, and how fast each engine is.
    Inspect(InspectArgs),
}

/// A flag that may stand alone.
type Switch = bool;

/// Flags of the server.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Folder with the model: `model.onnx`, or exactly one `.onnx` file, and what belongs to it.
    #[arg(long, env = "AIMASS_MODEL_DIR")]
    pub model_dir: Option<String>,
    /// Name under which the model is served: default, unless that, the configuration file or $MODEL_NAME says another.
    #[arg(long, env = "AIMASS_MODEL_NAME")]
    pub model_name: Option<String>,
    /// Version under which the model in --model-dir is served: 1, unless told otherwise.
    #[arg(long, env = "AIMASS_MODEL_VERSION")]
    pub model_version: Option<String>,
    /// Digest that the model's files must have: sha256:<64 hex digits>.
    #[arg(long, env = "AIMASS_MODEL_DIGEST")]
    pub model_digest: Option<String>,
    /// Name of the revision, shown in answers.
    #[arg(long, env = "AIMASS_REVISION")]
    pub revision: Option<String>,
    /// Wait until `fetch` has put the model's folder into place.
    #[arg(long, env = "AIMASS_MODEL_WAIT", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub model_wait: Switch,
    /// File, archive or folder of which --model-dir is made as a private copy first.
    #[arg(long, env = "AIMASS_MODEL_COPY_FROM")]
    pub model_copy_from: Option<String>,
    /// Labels of versions, as in stable=7,canary=7.
    #[arg(long, env = "AIMASS_VERSION_LABELS", default_value = "")]
    pub version_labels: String,
    /// How strictly JSON is read: lenient (as TensorFlow Serving) or strict.
    #[arg(long, env = "AIMASS_INPUT_CHECKS", default_value = "lenient")]
    pub input_checks: String,

    /// Engine: auto (the one that the model's graph speaks for), tract, rten or onnxruntime (in images tagged -ort).
    #[arg(long, env = "AIMASS_ENGINE", default_value = "auto")]
    pub engine: String,
    /// Shared library of onnxruntime.
    #[cfg(feature = "ort")]
    #[arg(
        long,
        env = "AIMASS_ONNXRUNTIME_LIBRARY",
        default_value = "/usr/lib/libonnxruntime.so"
    )]
    pub onnxruntime_library: String,
    /// Threads that run the engine; 0 = as many as CPUs.
    #[arg(long, env = "AIMASS_ENGINE_WORKERS", default_value = "0")]
    pub engine_workers: String,
    /// Plans that the engine keeps.
    #[arg(long, env = "AIMASS_MAX_PLANS", default_value = "32")]
    pub max_plans: String,

    /// Address of all ports.
    #[arg(long, env = "AIMASS_BIND", default_value = "[::]")]
    pub bind: String,
    /// Second port, with the same routes; 0 = off.
    #[arg(long, env = "AIMASS_PORT", default_value = "8500")]
    pub port: String,
    /// Port of the REST API; 0 = off.
    #[arg(long, env = "AIMASS_REST_API_PORT", default_value = "8501")]
    pub rest_api_port: String,
    /// Deadline of a request in milliseconds, unless its caller sets a shorter one.
    #[arg(long, env = "AIMASS_REST_API_TIMEOUT_IN_MS", default_value = "30000")]
    pub rest_api_timeout_in_ms: String,
    /// Threads for connections; 0 = as many as CPUs, at most 4.
    #[arg(long, env = "AIMASS_REST_API_NUM_THREADS", default_value = "0")]
    pub rest_api_num_threads: String,
    /// Answer OPTIONS with the headers that let browsers call.
    #[arg(long, env = "AIMASS_REST_API_ENABLE_CORS_SUPPORT", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub rest_api_enable_cors_support: Switch,

    /// Size of an inflated request body.
    #[arg(long, env = "AIMASS_MAX_BODY", default_value = "16Mi")]
    pub max_body: String,
    /// Size of an answer.
    #[arg(long, env = "AIMASS_MAX_RESPONSE", default_value = "64Mi")]
    pub max_response: String,
    /// Inference requests at once.
    #[arg(long, env = "AIMASS_MAX_IN_FLIGHT", default_value = "256")]
    pub max_in_flight: String,
    /// Size of all request bodies at once.
    #[arg(long, env = "AIMASS_MAX_BUFFERED", default_value = "256Mi")]
    pub max_buffered: String,
    /// Run rows of several requests together where that is faster.
    #[arg(long, env = "AIMASS_ENABLE_BATCHING", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub enable_batching: Switch,
    /// Rows that are run together at most; 0 = as many as was measured to be best, at most 64.
    #[arg(long, env = "AIMASS_MAX_BATCH_SIZE", default_value = "0")]
    pub max_batch_size: String,
    /// How long a request waits for others although the engine is idle; 0s = batches form while it is busy.
    #[arg(long, env = "AIMASS_MAX_QUEUE_DELAY", default_value = "0s")]
    pub max_queue_delay: String,
    /// Rows that wait for the engine; 0 = ten of the largest batches for each of its threads.
    #[arg(long, env = "AIMASS_MAX_QUEUE_ROWS", default_value = "0")]
    pub max_queue_rows: String,
    /// Connections at once.
    #[arg(long, env = "AIMASS_MAX_CONNECTIONS", default_value = "4096")]
    pub max_connections: String,

    /// After a signal to stop: how long connections are still accepted.
    #[arg(long, env = "AIMASS_DRAIN_DELAY", default_value = "3s")]
    pub drain_delay: String,
    /// After that: how long requests in flight may take.
    #[arg(long, env = "AIMASS_SHUTDOWN_GRACE", default_value = "25s")]
    pub shutdown_grace: String,
    /// File for the reason of a failed start.
    #[arg(
        long,
        env = "AIMASS_TERMINATION_LOG",
        default_value = "/dev/termination-log"
    )]
    pub termination_log: String,
    /// The admin port.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// Traces.
    #[command(flatten)]
    pub traces: TraceArgs,
    /// The start without Kubernetes. Last, because what follows would stand under its heading.
    #[command(flatten)]
    pub tensorflow_serving: TensorFlowServingArgs,
}

/// Flags of `fetch`.
#[derive(Args, Debug)]
pub struct FetchArgs {
    /// Where the files are: https://…, or http://… with --allow-http. A .tar, .tar.gz or .tgz is unpacked.
    #[arg(long, env = "AIMASS_SOURCE")]
    pub source: Option<String>,
    /// Folder to make; manifest.json is put beside it.
    #[arg(long, env = "AIMASS_DEST", default_value = "/model/files")]
    pub dest: String,
    /// Digest that the download must have: sha256:<64 hex digits>.
    #[arg(long, env = "AIMASS_DIGEST")]
    pub digest: Option<String>,
    /// Sleep when done, until stopped.
    #[arg(long, env = "AIMASS_STAY", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub stay: Switch,
    /// Size of the download, and of the unpacked files.
    #[arg(long, env = "AIMASS_MAX_SIZE", default_value = "10Gi")]
    pub max_size: String,
    /// Files in an archive.
    #[arg(long, env = "AIMASS_MAX_FILES", default_value = "10000")]
    pub max_files: String,
    /// Unpacked size per packed size.
    #[arg(long, env = "AIMASS_MAX_RATIO", default_value = "200")]
    pub max_ratio: String,
    /// Time for everything, retries included.
    #[arg(long, env = "AIMASS_TIMEOUT", default_value = "30m")]
    pub timeout: String,
    /// Size per second that must come in over 60 s.
    #[arg(long, env = "AIMASS_MIN_RATE", default_value = "64Ki")]
    pub min_rate: String,
    /// Folder with `token`, or `username` and `password`, and perhaps `ca.crt`.
    #[arg(long, env = "AIMASS_CREDENTIALS_DIR")]
    pub credentials_dir: Option<String>,
    /// PEM file with further certificate authorities.
    #[arg(long, env = "AIMASS_CA_FILE")]
    pub ca_file: Option<String>,
    /// Allow http://.
    #[arg(long, env = "AIMASS_ALLOW_HTTP", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub allow_http: Switch,
    /// Host that may have private addresses. Repeatable.
    #[arg(long, env = "AIMASS_ALLOW_HOST", value_delimiter = ',')]
    pub allow_host: Vec<String>,
    /// Address of the API server, which is never fetched from. Kubernetes sets it.
    #[arg(long, env = "KUBERNETES_SERVICE_HOST", hide = true)]
    pub kubernetes_service_host: Option<String>,
    /// File for the reason of a failure.
    #[arg(
        long,
        env = "AIMASS_TERMINATION_LOG",
        default_value = "/dev/termination-log"
    )]
    pub termination_log: String,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Flags of `inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// The model: an .onnx file, or a folder with one.
    pub model: String,
    /// Time every engine of this binary, and compare their answers. Takes some seconds for each.
    #[arg(long)]
    pub measure: bool,
    /// Write a JSON document in place of a table.
    #[arg(long)]
    pub json: bool,
    /// Shared library of onnxruntime.
    #[cfg(feature = "ort")]
    #[arg(
        long,
        env = "AIMASS_ONNXRUNTIME_LIBRARY",
        default_value = "/usr/lib/libonnxruntime.so"
    )]
    pub onnxruntime_library: String,
}

/// Parses a command line, its first word being the program.
///
/// # Errors
/// Clap's own, which is also how `--help` and `--version` come.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<CommandLine, clap::Error> {
    CommandLine::try_parse_from(words.into_iter().map(with_dashes))
}

/// `--model_name=a_b` → `--model-name=a_b`.
fn with_dashes(word: OsString) -> OsString {
    let Some(text) = word.to_str().filter(|text| text.starts_with("--")) else {
        return word;
    };
    match text.split_once('=') {
        Some((name, value)) => format!("{}={value}", name.replace('_', "-")).into(),
        None => text.replace('_', "-").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn underscores_and_dashes_are_the_same_in_names_only() {
        let line = parse(words(
            "aimass-server --model_name=my_model --model-dir /a_b",
        ))
        .unwrap();
        assert_eq!(line.serve.model_name.as_deref(), Some("my_model"));
        assert_eq!(line.serve.model_dir.as_deref(), Some("/a_b"));
    }

    #[test]
    fn switches_stand_alone_or_with_a_value() {
        let cors = |line| {
            parse(words(line))
                .unwrap()
                .serve
                .rest_api_enable_cors_support
        };
        assert!(cors("s --rest_api_enable_cors_support"));
        assert!(cors("s --rest_api_enable_cors_support=true"));
        assert!(!cors("s --rest_api_enable_cors_support=false"));
        assert!(!cors("s"));
    }

    #[test]
    fn fetch_is_a_command_of_its_own() {
        let line = parse(words(
            "s fetch --source=https://a/b --allow-host=a --allow-host=b --stay --digest=x",
        ));
        let Some(Command::Fetch(fetch)) = line.unwrap().command else {
            panic!("not fetch")
        };
        assert_eq!(fetch.allow_host, ["a", "b"]);
        assert!(fetch.stay && !fetch.allow_http);
    }

    #[test]
    fn unknown_flags_are_refused() {
        for flag in [
            "--use_alts_credentials",
            "--ssl_config_file=/tls",
            "--saved_model_tags=serve",
            "--prefer_tflite_model",
            "--model_config_file_poll_wait_seconds=1",
        ] {
            assert!(parse(words(&format!("s {flag}"))).is_err(), "{flag}");
        }
    }

    #[test]
    fn flags_that_tune_tensorflow_serving_are_accepted_and_told() {
        let line = parse(words(
            "s --num_load_threads=4 --grpc_max_threads 8 --enable_model_warmup --tensorflow_intra_op_parallelism=1",
        ));
        let given = line.unwrap().serve.tensorflow_serving.tolerated.given();
        assert_eq!(
            given,
            [
                "num_load_threads",
                "grpc_max_threads",
                "enable_model_warmup"
            ]
        );
    }
}
