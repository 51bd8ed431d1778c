//! A record as a span, for traces.
//!
//! Pure. Called by `record` at the end of a request, only where traces are sent.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aimass_chassis::traces::{KeyValue, Request};

use super::Record;

/// What `record` tells of a request that took `took`; `kind` is `ok` or the error's.
pub(super) fn of(record: &Record, kind: &'static str, took: Duration) -> Request {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut attributes = vec![
        KeyValue::new("http.response.status_code", i64::from(record.status)),
        KeyValue::new("aimass.request.id", record.id.clone()),
        KeyValue::new(
            "aimass.request.bytes",
            whole(record.request_bytes.load(Ordering::Relaxed)),
        ),
        KeyValue::new("aimass.attempts", i64::from(record.attempts)),
    ];
    if let Some(model) = &record.model {
        attributes.push(KeyValue::new("aimass.project", model.namespace.to_string()));
        let name = model.served_name.to_string();
        attributes.push(KeyValue::new("aimass.model.name", name));
    }
    if let Some(revision) = &record.revision {
        let name = revision.name.to_string();
        attributes.push(KeyValue::new("aimass.revision", name));
    }
    if let Some(pod) = record.pod {
        attributes.push(KeyValue::new("server.address", pod.to_string()));
    }
    // A refusal that is the caller's own making is no failure of ours.
    if kind != "ok" && record.status < 500 {
        attributes.push(KeyValue::new("error.type", kind));
    }
    let call = record.call.map_or("other", |call| call.name());
    let protocol = record.protocol();
    Request {
        name: format!("{protocol} {call}"),
        took,
        failure: (record.status >= 500).then_some(kind),
        attributes,
        phases: record
            .phases()
            .into_iter()
            .filter_map(|(name, took)| Some((name, took?)))
            .collect(),
    }
}
