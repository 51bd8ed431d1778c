//! The only clocks: wall time for people and objects, boot time for what must never jump.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the clocks"
)]

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// The wall clock, for timestamps that people and other machines read; may jump.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Time since the machine booted, suspension included (`CLOCK_BOOTTIME`); never jumps.
///
/// For leases: the monotonic clock would stand still while a machine sleeps and others take over.
#[must_use]
pub fn boottime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_does_not_go_back() {
        let first = boottime();
        assert!(boottime() >= first);
    }
}
