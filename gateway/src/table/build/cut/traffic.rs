//! `spec.traffic`: how long and how large requests may be, how many a pod is given, and how many wait.
//!
//! Pure. Called by `cut::model`.

use std::time::Duration;

use aimass_crds::model_deployment::{
    MAX_REQUEST_BYTES, QUEUE_BYTES, QUEUE_REQUESTS, QUEUE_TIMEOUT, REQUEST_TIMEOUT, Scaling,
    Traffic, concurrency,
};
use aimass_crds::quantity::Amount;

use super::Cut;
use crate::table::Capacity;

/// The time of a request in all.
pub(super) fn request_timeout(traffic: Option<&Traffic>) -> Cut<Duration> {
    let Some(text) = traffic.and_then(|traffic| traffic.request_timeout.as_ref()) else {
        return Ok(REQUEST_TIMEOUT);
    };
    let rule = || {
        format!(
            "spec.traffic.requestTimeout must be between 100ms and 1h, is {:?}",
            text.0
        )
    };
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(3600));
    text.get()
        .filter(|timeout| (least..=most).contains(timeout))
        .ok_or_else(rule)
}

/// Bytes of a request's body.
pub(super) fn max_request_bytes(traffic: Option<&Traffic>) -> Cut<u64> {
    let Some(text) = traffic.and_then(|traffic| traffic.max_request_bytes.as_ref()) else {
        return Ok(MAX_REQUEST_BYTES);
    };
    let rule = || {
        format!(
            "spec.traffic.maxRequestBytes must be between 1Ki and 256Mi, is {:?}",
            text.0
        )
    };
    Amount::parse(&text.0)
        .map(Amount::ceil)
        .filter(|bytes| (1 << 10..=256 << 20).contains(bytes))
        .ok_or_else(rule)
}

/// Requests on one pod, and those that wait.
pub(super) fn capacity(scaling: Option<&Scaling>, traffic: Option<&Traffic>) -> Cut<Capacity> {
    let (_, most) = concurrency(scaling, traffic);
    let queue = traffic.and_then(|traffic| traffic.queue.as_ref());
    let requests = queue.and_then(|queue| queue.max_requests);
    let requests = requests.unwrap_or(QUEUE_REQUESTS);
    let rule =
        || format!("spec.traffic.queue.maxRequests must be between 0 and 10000, is {requests}");
    let requests = u32::try_from(requests)
        .ok()
        .filter(|requests| *requests <= 10_000);
    let bytes = match queue.and_then(|queue| queue.max_bytes.as_ref()) {
        None => QUEUE_BYTES,
        Some(text) => {
            let rule = || {
                format!(
                    "spec.traffic.queue.maxBytes must be between 1Ki and 16Gi, is {:?}",
                    text.0
                )
            };
            Amount::parse(&text.0)
                .map(Amount::ceil)
                .filter(|bytes| (1 << 10..=16 << 30).contains(bytes))
                .ok_or_else(rule)?
        }
    };
    let wait = match queue.and_then(|queue| queue.timeout.as_ref()) {
        None => QUEUE_TIMEOUT.min(request_timeout(traffic)?),
        Some(text) => {
            let rule = || {
                format!(
                    "spec.traffic.queue.timeout must be between 0s and 10m, is {:?}",
                    text.0
                )
            };
            text.get()
                .filter(|timeout| *timeout <= Duration::from_secs(600))
                .ok_or_else(rule)?
        }
    };
    Ok(Capacity {
        // Never less than 1.
        per_pod: u32::try_from(most).unwrap_or(1).max(1),
        waiting: requests.ok_or_else(rule)?,
        waiting_bytes: bytes,
        wait,
    })
}
