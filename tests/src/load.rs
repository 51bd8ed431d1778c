//! Open-loop load: a constant rate of arrivals, whatever becomes of earlier ones.
//!
//! A latency counts from the moment at which a request should have been sent, so that a stall of
//! the far side is seen by all the requests that it delays. Stays within the test's own network.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// At most so many requests are under way; what has to wait for a place still counts from its time.
const MAX_IN_FLIGHT: usize = 512;
/// So many failures are kept in words.
const MAX_WORDS: usize = 20;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests that were answered as they should.
    pub answered: usize,
    /// Requests that were not.
    pub failed: usize,
    /// The first of the failures, in words.
    pub words: Vec<String>,
    latencies: Vec<Duration>,
}

impl Report {
    /// The latency that `percent` of the answered requests did not exceed; zero without any.
    #[must_use]
    pub fn latency(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = last.saturating_mul(percent.min(100)) / 100;
        self.latencies.get(at).copied().unwrap_or_default()
    }

    /// Panics unless every request was answered as it should.
    ///
    /// # Panics
    /// With the first failures.
    pub fn expect_none_failed(&self) {
        assert!(
            self.failed == 0,
            "{} of {} requests failed:\n{}",
            self.failed,
            self.failed.saturating_add(self.answered),
            self.words.join("\n")
        );
    }

    fn take(&mut self, outcome: Result<(), String>, latency: Duration) {
        match outcome {
            Ok(()) => {
                self.answered = self.answered.saturating_add(1);
                self.latencies.push(latency);
            }
            Err(words) => {
                self.failed = self.failed.saturating_add(1);
                if self.words.len() < MAX_WORDS {
                    self.words.push(words);
                }
            }
        }
    }
}

/// Sends requests at `every`, as long as `more` says so for the number of the next one.
pub async fn run<F, Fut>(every: Duration, more: impl Fn(usize) -> bool, send: F) -> Report
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let start = Instant::now();
    let mut report = Report::default();
    let mut under_way: JoinSet<(Result<(), String>, Duration)> = JoinSet::new();
    let mut number = 0;
    while more(number) {
        let factor = u32::try_from(number).unwrap_or(u32::MAX);
        let intended = start + every.saturating_mul(factor);
        sleep_until(intended).await;
        while under_way.len() >= MAX_IN_FLIGHT {
            join(&mut under_way, &mut report).await;
        }
        let request = send(number);
        under_way.spawn(async move {
            let outcome = request.await;
            (outcome, intended.elapsed())
        });
        number = number.saturating_add(1);
        while let Some(Ok((outcome, latency))) = under_way.try_join_next() {
            report.take(outcome, latency);
        }
    }
    while !under_way.is_empty() {
        join(&mut under_way, &mut report).await;
    }
    report.latencies.sort_unstable();
    report
}

async fn join(under_way: &mut JoinSet<(Result<(), String>, Duration)>, report: &mut Report) {
    match under_way.join_next().await {
        Some(Ok((outcome, latency))) => report.take(outcome, latency),
        Some(Err(panic)) => report.take(Err(panic.to_string()), Duration::ZERO),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn latency_counts_from_the_intended_time_and_a_stall_hits_all_that_wait() {
        // The far side stalls until 10 s and then answers at once.
        let end = Instant::now() + Duration::from_secs(10);
        let report = run(
            Duration::from_millis(100),
            |n| n < 100,
            |_| async move {
                sleep_until(end).await;
                Ok(())
            },
        )
        .await;
        assert_eq!(report.answered, 100);
        assert!(report.latency(100) >= Duration::from_secs(10));
        assert!(report.latency(50) >= Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_counted_and_the_first_are_told() {
        let report = run(
            Duration::from_millis(1),
            |n| n < 50,
            |n| async move {
                if n % 2 == 0 {
                    Ok(())
                } else {
                    Err(format!("request {n}"))
                }
            },
        )
        .await;
        assert_eq!((report.answered, report.failed), (25, 25));
        assert_eq!(report.words.len(), 20);
        let complaint = std::panic::catch_unwind(|| report.expect_none_failed());
        assert!(complaint.is_err());
    }
}
