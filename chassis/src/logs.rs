//! Log lines: JSON on stdout for machines, or text for a terminal.

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::FormatTime;

use crate::args::{LogArgs, LogFormat};

/// Starts logging for the whole process.
///
/// # Errors
/// `--log-level` is no valid filter, or logging was started before.
pub fn init(args: &LogArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .parse(&args.log_level)
        .with_context(|| {
            format!(
                "--log-level must be error, warn, info, debug, trace or directives, is {:?}",
                args.log_level
            )
        })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(Milliseconds)
        .with_writer(std::io::stdout);
    let started = match args.log_format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
        LogFormat::Text => builder.try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("failed to start logging: {error}"))
}

/// RFC 3339 in UTC with milliseconds.
struct Milliseconds;

impl FormatTime for Milliseconds {
    fn format_time(
        &self,
        writer: &mut tracing_subscriber::fmt::format::Writer<'_>,
    ) -> std::fmt::Result {
        write!(writer, "{:.3}", crate::clock::now())
    }
}
