//! Flags of TensorFlow Serving's `tensorflow_model_server` that the server shares, and those that it only tolerates.
//!
//! Flattened into `args.rs`; judged by `config.rs`.

use clap::Args;

/// The start without Kubernetes, as TensorFlow Serving has it.
#[derive(Args, Debug)]
#[command(next_help_heading = "As TensorFlow Serving, without Kubernetes")]
pub struct TensorFlowServingArgs {
    /// Folder with a folder for each version, named by its number. Without it and any other place for a model:
    /// $MODEL_BASE_PATH (/models) / $MODEL_NAME (model).
    #[arg(long, env = "AIMASS_MODEL_BASE_PATH")]
    pub model_base_path: Option<String>,
    /// ModelServerConfig as text protobuf, of one model.
    #[arg(long, env = "AIMASS_MODEL_CONFIG_FILE")]
    pub model_config_file: Option<String>,
    /// BatchingParameters as text protobuf; flags for the same win.
    #[arg(long, env = "AIMASS_BATCHING_PARAMETERS_FILE")]
    pub batching_parameters_file: Option<String>,
    /// MonitoringConfig as text protobuf: where the data ports show TensorFlow Serving's series.
    #[arg(long, env = "AIMASS_MONITORING_CONFIG_FILE")]
    pub monitoring_config_file: Option<String>,
    /// Seconds between two looks for new versions; 0 = look once.
    #[arg(
        long,
        env = "AIMASS_FILE_SYSTEM_POLL_WAIT_SECONDS",
        default_value = "1"
    )]
    pub file_system_poll_wait_seconds: String,
    /// How often a version is tried again whose files could not be read.
    #[arg(long, env = "AIMASS_MAX_NUM_LOAD_RETRIES", default_value = "5")]
    pub max_num_load_retries: String,
    /// Microseconds between two such tries.
    #[arg(
        long,
        env = "AIMASS_LOAD_RETRY_INTERVAL_MICROS",
        default_value = "60000000"
    )]
    pub load_retry_interval_micros: String,
    /// Folder above the model's, as the environment of TensorFlow Serving's image has it.
    #[arg(long, env = "MODEL_BASE_PATH", hide = true, default_value = "/models")]
    pub image_model_base_path: String,
    /// Name of the model, likewise.
    #[arg(long, env = "MODEL_NAME", hide = true, default_value = "model")]
    pub image_model_name: String,
    /// What is understood and has no effect here.
    #[command(flatten)]
    pub tolerated: ToleratedArgs,
}

/// Flags that tune what this server has no need to tune: each is accepted with a warning, so that a command line for
/// TensorFlow Serving starts. What would change answers or safety is not among them.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Accepted from TensorFlow Serving's command lines, without effect")]
pub struct ToleratedArgs {
    /// Versions are loaded one at a time.
    #[arg(long, hide_short_help = true)]
    num_load_threads: Option<String>,
    /// Versions are unloaded one at a time.
    #[arg(long, hide_short_help = true)]
    num_unload_threads: Option<String>,
    /// Runs are parallel by --engine-workers.
    #[arg(long, hide_short_help = true)]
    tensorflow_session_parallelism: Option<String>,
    /// A run uses one thread.
    #[arg(long, hide_short_help = true)]
    tensorflow_intra_op_parallelism: Option<String>,
    /// A run uses one thread.
    #[arg(long, hide_short_help = true)]
    tensorflow_inter_op_parallelism: Option<String>,
    /// The listener's limits are its own.
    #[arg(long, hide_short_help = true)]
    grpc_channel_arguments: Option<String>,
    /// Threads are --rest-api-num-threads, for all protocols.
    #[arg(long, hide_short_help = true)]
    grpc_max_threads: Option<String>,
    /// It always answers health checks.
    #[arg(long, hide_short_help = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_grpc_healthcheck_service: Option<String>,
    /// Each version is run before it is served.
    #[arg(long, hide_short_help = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_model_warmup: Option<String>,
    /// Each version is run once before it is served.
    #[arg(long, hide_short_help = true)]
    num_request_iterations_for_warmup: Option<String>,
    /// Files are read once.
    #[arg(long, hide_short_help = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    flush_filesystem_caches: Option<String>,
    /// There is no GPU.
    #[arg(long, hide_short_help = true)]
    per_process_gpu_memory_fraction: Option<String>,
    /// ONNX has no such definitions.
    #[arg(long, hide_short_help = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    remove_unused_fields_from_bundle_metagraph: Option<String>,
    /// ONNX has no method names.
    #[arg(long, hide_short_help = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_signature_method_name_check: Option<String>,
    /// Labels may always name versions that are not there.
    #[arg(long, hide_short_help = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_version_labels_for_unavailable_models: Option<String>,
}

impl ToleratedArgs {
    /// The names of those that were given.
    #[must_use]
    pub fn given(self) -> Vec<&'static str> {
        // Taken apart without `..`: a flag that is missing here does not compile.
        let Self {
            num_load_threads,
            num_unload_threads,
            tensorflow_session_parallelism,
            tensorflow_intra_op_parallelism,
            tensorflow_inter_op_parallelism,
            grpc_channel_arguments,
            grpc_max_threads,
            enable_grpc_healthcheck_service,
            enable_model_warmup,
            num_request_iterations_for_warmup,
            flush_filesystem_caches,
            per_process_gpu_memory_fraction,
            remove_unused_fields_from_bundle_metagraph,
            enable_signature_method_name_check,
            allow_version_labels_for_unavailable_models,
        } = self;
        let flags = [
            ("num_load_threads", num_load_threads),
            ("num_unload_threads", num_unload_threads),
            (
                "tensorflow_session_parallelism",
                tensorflow_session_parallelism,
            ),
            (
                "tensorflow_intra_op_parallelism",
                tensorflow_intra_op_parallelism.filter(|threads| threads != "1"),
            ),
            (
                "tensorflow_inter_op_parallelism",
                tensorflow_inter_op_parallelism,
            ),
            ("grpc_channel_arguments", grpc_channel_arguments),
            ("grpc_max_threads", grpc_max_threads),
            (
                "enable_grpc_healthcheck_service",
                enable_grpc_healthcheck_service,
            ),
            ("enable_model_warmup", enable_model_warmup),
            (
                "num_request_iterations_for_warmup",
                num_request_iterations_for_warmup,
            ),
            ("flush_filesystem_caches", flush_filesystem_caches),
            (
                "per_process_gpu_memory_fraction",
                per_process_gpu_memory_fraction,
            ),
            (
                "remove_unused_fields_from_bundle_metagraph",
                remove_unused_fields_from_bundle_metagraph,
            ),
            (
                "enable_signature_method_name_check",
                enable_signature_method_name_check,
            ),
            (
                "allow_version_labels_for_unavailable_models",
                allow_version_labels_for_unavailable_models,
            ),
        ];
        let given = |(name, value): (&'static str, Option<String>)| value.map(|_| name);
        flags.into_iter().filter_map(given).collect()
    }
}
