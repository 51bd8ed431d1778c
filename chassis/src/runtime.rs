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

#[cfg(test)]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::*;

    #[test]
    fn a_cpu_that_may_not_be_used_is_not_counted() {
        // Affinity is a thread's own: other tests keep theirs.
        let restricted = std::thread::spawn(|| {
            let all = sched_getaffinity(None).unwrap();
            let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).unwrap();
            let mut one = CpuSet::new();
            one.set(first);
            sched_setaffinity(None, &one).unwrap();
            cpus()
        });
        assert_eq!(restricted.join().unwrap().get(), 1);
    }

    #[test]
    fn a_runtime_names_its_threads() {
        let runtime = build("data", 0).unwrap();
        let name = runtime.spawn(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(runtime.block_on(name).unwrap().as_deref(), Some("data"));
    }
}
