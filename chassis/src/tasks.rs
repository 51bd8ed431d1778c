//! Background tasks that have a name, are awaited at shutdown, and whose panics are seen.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that spawns tasks"
)]

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::FutureExt as _;
use prometheus_client::metrics::counter::Counter;
use tokio_util::task::TaskTracker;

/// One for the process, because a panic has no other place to be seen.
static PANICS: LazyLock<Counter> = LazyLock::new(Counter::default);

/// Counts the background tasks of this process that panicked; to be registered by it.
#[must_use]
pub fn panics() -> Counter {
    PANICS.clone()
}

/// The tasks of one process or one part of it.
#[derive(Clone, Debug, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` in the background; a panic is logged under `name`, counted, and ends only that
    /// task.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(contained(name, future));
    }

    /// Waits until all tasks have ended, at most for `deadline`; says whether they have.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.0.close();
        tokio::time::timeout(deadline, self.0.wait()).await.is_ok()
    }
}

/// Runs a task that nobody waits for; only for what lives as long as the process.
pub fn spawn_detached<F>(name: &'static str, future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(contained(name, future));
}

async fn contained<F: Future<Output = ()>>(name: &'static str, future: F) {
    if AssertUnwindSafe(future).catch_unwind().await.is_err() {
        PANICS.inc();
        tracing::error!(task.name = name, "a background task panicked and has ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_counted_and_ends_only_its_task() {
        let tasks = Tasks::new();
        tasks.spawn("bad", async { panic!("on purpose") });
        tasks.spawn("good", async {});
        assert!(tasks.drain(Duration::from_secs(5)).await);
        assert_eq!(panics().get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_ends_at_the_deadline() {
        let tasks = Tasks::new();
        tasks.spawn("endless", std::future::pending());
        assert!(!tasks.drain(Duration::from_secs(5)).await);
    }
}
