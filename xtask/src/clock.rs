//! Time for the tool: the only file here that reads a clock or sleeps.
//!
//! There is no runtime whose thread a sleep could block: the tool waits for other programs.

use std::time::{Duration, Instant};

/// Now, for measuring.
#[expect(clippy::disallowed_methods, reason = "the tool measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Now, for what carries a date, such as certificates.
#[expect(
    clippy::disallowed_methods,
    reason = "certificates carry the real date"
)]
pub(crate) fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Waits.
#[expect(
    clippy::disallowed_methods,
    reason = "the tool has one thread, and it waits"
)]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Calls `probe` each 100 ms until it gives a value or `limit` has passed, and then once more.
pub(crate) fn wait_for<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = now() + limit;
    loop {
        let last = now() >= end;
        let value = probe();
        if value.is_some() || last {
            return value;
        }
        pause(Duration::from_millis(100));
    }
}
