//! A record as a span, for traces.
//!
//! Pure. Called by `record` at the end of a request, only where traces are sent.

use std::time::Duration;

use aimass_chassis::traces::{KeyValue, Request};

use super::Trace;

/// What `trace` tells of a request that took `took`; `kind` is `ok` or the error's.
pub(super) fn of(trace: &Trace, status: u16, kind: &'static str, took: Duration) -> Request {
    let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let mut attributes = vec![
        KeyValue::new("http.response.status_code", i64::from(status)),
        KeyValue::new("aimass.request.id", trace.id.clone()),
        KeyValue::new("aimass.request.bytes", whole(trace.request_bytes)),
    ];
    let version = trace.serving.version;
    attributes.extend(version.map(|version| KeyValue::new("aimass.model.version", version)));
    attributes.extend(
        trace
            .rows
            .map(|rows| KeyValue::new("aimass.rows", whole(rows))),
    );
    let batch = trace.times.map(|times| whole(times.batch_rows));
    attributes.extend(batch.map(|rows| KeyValue::new("aimass.batch.rows", rows)));
    // A refusal that is the caller's own making is no failure of ours.
    if kind != "ok" && status < 500 {
        attributes.push(KeyValue::new("error.type", kind));
    }
    let phases = [
        ("decode", trace.decode),
        ("queue", trace.times.map(|times| times.queued)),
        ("infer", trace.times.map(|times| times.ran)),
        ("encode", trace.encode),
    ];
    Request {
        name: format!("{} {}", trace.protocol, trace.method),
        took,
        failure: (status >= 500).then_some(kind),
        attributes,
        phases: phases
            .into_iter()
            .filter_map(|(name, took)| Some((name, took?)))
            .collect(),
    }
}
