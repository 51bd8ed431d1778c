//! The threads that rten computes on: one for each thread that runs models, whatever the model is.
//!
//! rten's own pool has a thread for each core of the machine, and shares one run among them; here cores are used across
//! requests instead, as with every engine. A thread made by an engine worker inherits the worker's priority.

use std::sync::Arc;

use rten::ThreadPool;

use crate::engine::clock;

thread_local! {
    /// Made at the first run, gone with the thread.
    static POOL: Arc<ThreadPool> = Arc::new(ThreadPool::with_num_threads(1));
}

/// Runs `work` on this thread's pool, and counts its CPU time as this thread's. A panic comes through.
pub(super) fn run<R: Send>(work: impl FnOnce(Arc<ThreadPool>) -> R + Send) -> R {
    let pool = POOL.with(Arc::clone);
    let inner = Arc::clone(&pool);
    let (result, spent) = pool.run(move || {
        let before = clock::own();
        let result = work(inner);
        (result, clock::own().saturating_sub(before))
    });
    clock::add(spent);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_on_one_thread_and_counts_as_the_callers() {
        let name = || std::thread::current().name().map(str::to_owned);
        assert_eq!(run(|_| name()), Some("rten-0".to_owned()));
        let before = clock::cpu_time();
        let sum = run(|_| (0..20_000_000_u64).fold(1, |a, b| std::hint::black_box(a ^ b)));
        assert!(sum > 0 && clock::cpu_time() > before);
    }

    #[test]
    fn a_panic_is_the_callers() {
        let caught = std::panic::catch_unwind(|| run(|_| panic!("as engines do")));
        assert!(caught.is_err());
        assert_eq!(run(|_| 7), 7, "the pool lives on");
    }
}
