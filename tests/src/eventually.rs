//! Waiting for the world to be as it should: with a deadline, never for a time.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks until `check` is content, and returns what it found; panics with the last complaint when
/// `deadline` has passed.
///
/// # Panics
/// After `deadline`, with `what` and what the last look complained of.
#[track_caller]
pub fn eventually<T, F, Fut>(
    deadline: Duration,
    what: &str,
    check: F,
) -> impl Future<Output = T> + use<T, F, Fut>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let caller = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        match within(deadline, check).await {
            Ok(value) => value,
            Err(last) => panic!("{caller}: not within {deadline:?}: {what}\n{last}"),
        }
    }
}

/// As [`eventually`], but hands back the last complaint instead of panicking.
///
/// # Errors
/// The last complaint, when `deadline` has passed.
pub async fn within<T, F, Fut>(deadline: Duration, mut check: F) -> Result<T, String>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + deadline;
    let mut last = "(not looked yet)".to_owned();
    loop {
        // A look that hangs is no reason to miss the deadline.
        match tokio::time::timeout_at(end, check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(complaint)) => last = complaint,
            Err(_) => return Err(format!("{last} (the last look did not end)")),
        }
        if Instant::now() >= end {
            return Err(last);
        }
        sleep(PAUSE).await;
    }
}

/// Looks for all of `time`, and panics as soon as `check` complains: for what must stay as it is.
///
/// # Panics
/// With `what` and the complaint.
pub async fn throughout<F, Fut>(time: Duration, what: &str, mut check: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), String>>,
{
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Err(complaint) = check().await {
            panic!("must stay so for {time:?}: {what}\n{complaint}");
        }
        sleep(PAUSE).await;
    }
}
