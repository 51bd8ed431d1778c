//! What is remembered of a revision.
//!
//! Hangs on the table; found again by the next one, by the model's uid and the revision's name.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::meter::Meter;
use super::window::{SECONDS, Window};
use crate::phase::wait::Line;

/// Of one revision.
#[derive(Debug, Default)]
pub struct RevisionLive {
    /// What it has to do, for the operator.
    pub meter: Meter,
    /// Those that wait for it.
    pub line: Line,
    /// Answers of its pods, lately.
    answers: Mutex<Window>,
}

impl RevisionLive {
    /// One of its pods has answered.
    pub fn answered(&self, now: Instant) {
        self.answers().add(now, 1, 0);
    }

    /// How long so many requests take at the pace of late, in whole seconds; for ever if nothing was answered.
    #[must_use]
    pub fn outlook(&self, requests: u64, now: Instant) -> Duration {
        let (answers, _) = self.answers().sums(now);
        let seconds = requests.saturating_mul(SECONDS);
        match answers {
            0 => Duration::MAX,
            answers => Duration::from_secs(seconds.div_ceil(answers)),
        }
    }

    fn answers(&self) -> MutexGuard<'_, Window> {
        // Counts, which are whole at any time.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outlook_is_what_waits_by_what_is_answered_in_a_second() {
        let live = RevisionLive::default();
        let start = tokio::time::Instant::now().into_std();
        assert_eq!(live.outlook(1, start), Duration::MAX);
        for _ in 0..50 {
            live.answered(start);
        }
        // Five a second.
        assert_eq!(live.outlook(0, start), Duration::ZERO);
        assert_eq!(live.outlook(5, start), Duration::from_secs(1));
        assert_eq!(live.outlook(6, start), Duration::from_secs(2));
        let later = start + Duration::from_secs(20);
        assert_eq!(live.outlook(6, later), Duration::MAX);
    }
}
