//! How many threads a process has, and the runtimes that they run.

use std::num::NonZeroUsize;

use tokio::runtime::{Builder, Runtime};

/// A multi-threaded runtime whose threads carry `name`.
///
/// # Errors
/// The system gives no thread or no event queue.
pub fn build(name: &str, workers: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(workers.max(1))
        .thread_name(name)
        .enable_all()
        .build()
}

/// The CPUs that this process may use: affinity and cgroup quota, rounded down, at least 1.
#[must_use]
pub fn cpus() -> NonZeroUsize {
    // std reads sched_getaffinity and the quotas of cgroup v1 and v2, rounding down.
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
