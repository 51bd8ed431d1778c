//! A record as a line of the access log.
//!
//! Called by `record` at the end of a request; written as far as the log's filter and the bound on lines let it.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{Level, enabled};

use super::Trace;
use crate::routes::suppress::{Line, Suppress};

/// By which the log's filter knows these lines.
const TARGET: &str = "aimass_server::access";

/// How a request ended.
pub(super) struct End {
    pub(super) status: u16,
    /// `ok` or the error's.
    pub(super) kind: &'static str,
    pub(super) bytes: usize,
    pub(super) took: Duration,
    /// The trace that it is in.
    pub(super) trace: Option<String>,
}

pub(super) fn write(of: &Trace, end: &End) {
    static WARN: Suppress = Suppress::new();
    static INFO: Suppress = Suppress::new();
    static DEBUG: Suppress = Suppress::new();
    let (lines, wanted) = match end.status {
        500.. => (&WARN, enabled!(target: TARGET, Level::WARN)),
        400..500 => (&INFO, enabled!(target: TARGET, Level::INFO)),
        _ => (&DEBUG, enabled!(target: TARGET, Level::DEBUG)),
    };
    if !wanted {
        return;
    }
    let Line::Write { suppressed } = lines.line(Instant::now()) else {
        return;
    };
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: TARGET,
                {
                request.id = of.id,
                request.protocol = of.protocol,
                request.method = of.method,
                request.bytes = of.request_bytes,
                response.bytes = end.bytes,
                http.status = end.status,
                error.kind = (end.kind != "ok").then_some(end.kind),
                model.name = of.state.settings().model_name,
                model.version = of.serving.version,
                rows = of.rows,
                decode_ms = of.decode.map(milliseconds),
                batch.rows = of.times.map(|times| times.batch_rows),
                queue_ms = of.times.map(|times| milliseconds(times.queued)),
                infer_ms = of.times.map(|times| milliseconds(times.ran)),
                encode_ms = of.encode.map(milliseconds),
                duration_ms = milliseconds(end.took),
                trace.id = end.trace,
                suppressed = (suppressed > 0).then_some(suppressed)
                },
                "request"
            )
        };
    }
    match end.status {
        500.. => line!(warn),
        400..500 => line!(info),
        _ => line!(debug),
    }
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
