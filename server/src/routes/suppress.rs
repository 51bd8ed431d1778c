//! At most 100 access lines a second per level: a flood of requests must not become a flood of lines.
//!
//! Pure: time is an argument. Used by `record`, one for each level.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines a second.
const MAX_LINES: u32 = 100;
/// The window.
const SECOND: Duration = Duration::from_secs(1);

/// A counter of lines.
pub(super) struct Suppress(Mutex<Window>);

struct Window {
    since: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Write it, and that so many were left out in the second before.
    Write {
        /// 0 most of the time.
        suppressed: u64,
    },
    /// Leave it out.
    LeaveOut,
}

impl Suppress {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Window {
            since: None,
            lines: 0,
            suppressed: 0,
        }))
    }

    pub(super) fn line(&self, now: Instant) -> Line {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = window
            .since
            .is_none_or(|since| now.saturating_duration_since(since) >= SECOND);
        if over {
            let suppressed = window.suppressed;
            *window = Window {
                since: Some(now),
                lines: 1,
                suppressed: 0,
            };
            return Line::Write { suppressed };
        }
        window.lines = window.lines.saturating_add(1);
        if window.lines <= MAX_LINES {
            return Line::Write { suppressed: 0 };
        }
        window.suppressed = window.suppressed.saturating_add(1);
        Line::LeaveOut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_101st_line_of_a_second_is_left_out_and_told_in_the_next() {
        let suppress = Suppress::new();
        for _ in 0..100 {
            assert_eq!(suppress.line(Instant::now()), Line::Write { suppressed: 0 });
        }
        assert_eq!(suppress.line(Instant::now()), Line::LeaveOut);
        assert_eq!(suppress.line(Instant::now()), Line::LeaveOut);
        let next = Instant::now() + SECOND;
        assert_eq!(suppress.line(next), Line::Write { suppressed: 2 });
    }
}
