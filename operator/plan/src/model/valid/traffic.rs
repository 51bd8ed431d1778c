//! `spec.traffic` and `spec.access`.
//!
//! Pure. Called by `valid`. The gateway obeys most of it, with the same defaults; here it is checked,
//! because an object may be older than a rule. What the operator itself obeys is the time of a
//! request: pods may take as long to end.

use std::time::Duration;

use aimass_crds::model_deployment::{Access, Queue, REQUEST_TIMEOUT, Traffic as WireTraffic};

use super::{Rejection, fields};

/// What pods must know of the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// 100 ms to 1 h.
    pub(crate) request_timeout: Duration,
}

/// What ends a request that began late: reading its body, writing its answer.
const SLACK: i64 = 5;
/// Kubernetes may be told to wait longer, but nobody would.
const LONGEST: i64 = 3600;

impl Traffic {
    /// How long a pod may go on with requests in flight once it is told to end, in whole seconds:
    /// the longest request, but at least 60 s, so that only a longer one makes a new revision.
    pub(crate) fn stop_grace(&self) -> i64 {
        let longest = self.request_timeout.max(REQUEST_TIMEOUT);
        let begun = i64::from(longest.subsec_nanos() > 0);
        let seconds = i64::try_from(longest.as_secs()).unwrap_or(LONGEST);
        seconds
            .saturating_add(begun)
            .saturating_add(SLACK)
            .min(LONGEST)
    }
}

pub(super) fn traffic(wire: &WireTraffic) -> Result<Traffic, Rejection> {
    let WireTraffic {
        request_timeout,
        max_request_bytes,
        max_concurrency,
        queue: _, // see below
        retry: _, // every value is legal
    } = wire;
    if let Some(most) = max_concurrency {
        fields::integer("spec.traffic.maxConcurrency", *most, 1, 10_000)?;
    }
    if let Some(bytes) = max_request_bytes {
        fields::quantity("spec.traffic.maxRequestBytes", &bytes.0, ("1Ki", "256Mi"))?;
    }
    let request_timeout = fields::duration(
        "spec.traffic.requestTimeout",
        request_timeout.as_ref(),
        REQUEST_TIMEOUT,
        ("100ms", "1h"),
    )?;
    if let Some(queue) = &wire.queue {
        let given = wire.request_timeout.is_some();
        check_queue(queue, given.then_some(request_timeout))?;
    }
    Ok(Traffic { request_timeout })
}

/// Where requests wait is the gateways' business. A default never makes what is given wrong.
fn check_queue(wire: &Queue, request_timeout: Option<Duration>) -> Result<(), Rejection> {
    let Queue {
        max_requests,
        max_bytes,
        timeout,
    } = wire;
    if let Some(most) = max_requests {
        fields::integer("spec.traffic.queue.maxRequests", *most, 0, 10_000)?;
    }
    if let Some(bytes) = max_bytes {
        fields::quantity("spec.traffic.queue.maxBytes", &bytes.0, ("1Ki", "16Gi"))?;
    }
    let path = "spec.traffic.queue.timeout";
    let given = fields::duration(path, timeout.as_ref(), Duration::ZERO, ("0s", "10m"))?;
    if request_timeout.is_some_and(|most| given > most) {
        return Err(Rejection::Text {
            path,
            rule: "at most spec.traffic.requestTimeout",
            value: timeout
                .as_ref()
                .map(|text| text.0.clone())
                .unwrap_or_default(),
        });
    }
    Ok(())
}

/// Nothing of it concerns pods.
pub(super) fn access(wire: &Access) -> Result<(), Rejection> {
    let Access {
        mode: _, // every value is legal
        allowed_cidrs,
    } = wire;
    let mut ranges = allowed_cidrs.iter().flatten();
    match ranges.find(|range| range.get().is_none()) {
        None => Ok(()),
        Some(range) => Err(Rejection::Text {
            path: "spec.access.allowedCIDRs",
            rule: "CIDRs such as 10.0.0.0/8 or 2001:db8::/32",
            value: range.0.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(milliseconds: u64, expect: i64) {
        let request_timeout = Duration::from_millis(milliseconds);
        let traffic = Traffic { request_timeout };
        assert_eq!(traffic.stop_grace(), expect, "{milliseconds} ms");
    }

    #[test]
    fn a_pod_ends_five_seconds_after_its_longest_request() {
        check(100, 65);
        check(60_000, 65);
        check(60_001, 66);
        check(61_000, 66);
        check(600_000, 605);
        check(3_595_000, 3600);
        check(3_600_000, 3600);
    }
}
