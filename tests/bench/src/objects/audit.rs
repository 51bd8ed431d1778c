//! What the audit log says of one user's requests.

use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;

use super::Setting;

/// Requests of one user so far, watches and the Lease left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// All of them.
    pub(super) requests: usize,
    /// Those that change something.
    pub(super) writes: usize,
}

/// Counts the requests of `user` in the whole log.
pub(super) fn count(setting: &Setting, user: &str) -> anyhow::Result<Count> {
    let file = BufReader::new(std::fs::File::open(&setting.audit)?);
    let mut count = Count::default();
    for line in file.lines() {
        let Ok(event) = serde_json::from_str::<Value>(&line?) else {
            continue;
        };
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or("");
        if text("/user/username") != user
            || text("/verb") == "watch"
            || text("/objectRef/resource") == "leases"
            || text("/requestURI").starts_with("/readyz")
        {
            continue;
        }
        count.requests += 1;
        if matches!(
            text("/verb"),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        ) {
            count.writes += 1;
        }
    }
    Ok(count)
}

/// Waits until `user` has sent nothing for 5 s; returns when its last request was, in seconds
/// after `since`.
pub(super) async fn until_idle(
    setting: &Setting,
    user: &str,
    since: Instant,
) -> anyhow::Result<f64> {
    let mut last = (count(setting, user)?, since.elapsed());
    while since.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = count(setting, user)?;
        if now != last.0 {
            last = (now, since.elapsed());
        } else if since.elapsed() > last.1 + Duration::from_secs(5) {
            return Ok(last.1.as_secs_f64());
        }
    }
    bail!("the operator still sends requests 120 s after its start")
}
