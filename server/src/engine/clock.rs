//! The CPU time of a run: of the thread that asks for it, and of the thread that an engine computes on in its place.
//!
//! Called by whoever measures an engine. CPU time and not the clock on the wall: neighbours and throttling do not count.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

thread_local! {
    /// What other threads have computed for this one.
    static ELSEWHERE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The CPU time that this thread has spent so far, with what engines spent for it on threads of their own.
///
/// Only differences mean anything.
pub fn cpu_time() -> Duration {
    own().saturating_add(ELSEWHERE.get())
}

/// Adds what another thread has computed for this one.
pub(super) fn add(spent: Duration) {
    ELSEWHERE.set(ELSEWHERE.get().saturating_add(spent));
}

/// The CPU time of this thread alone.
pub(super) fn own() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_compute_for_a_thread_is_its_own() {
        let before = cpu_time();
        add(Duration::from_secs(3));
        assert!(cpu_time() - before >= Duration::from_secs(3));
        let other = std::thread::spawn(cpu_time).join().unwrap();
        assert!(other < Duration::from_secs(3));
    }
}
