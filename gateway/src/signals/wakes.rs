//! Who waits for a revision without pods is told at once, and once a second for each revision.
//!
//! Pure: time is an argument. Asked by `signals` whenever a waiter says so, which is as often as it likes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two wakes of one revision.
const PAUSE: Duration = Duration::from_secs(1);
/// Revisions that were woken within the last second; further ones wait for the report.
const REVISIONS: usize = 10_000;

/// When revisions were woken.
#[derive(Debug, Default)]
pub(super) struct Wakes(HashMap<(Arc<str>, Arc<str>), Instant>);

impl Wakes {
    /// Whether a wake of this revision goes out now.
    pub(super) fn go(&mut self, uid: &Arc<str>, revision: &Arc<str>, now: Instant) -> bool {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < PAUSE;
        let which = (Arc::clone(uid), Arc::clone(revision));
        if self.0.get(&which).is_some_and(recent) {
            return false;
        }
        if self.0.len() >= REVISIONS {
            self.0.retain(|_, at| recent(at));
        }
        let room = self.0.len() < REVISIONS;
        if room {
            self.0.insert(which, now);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_woken_once_a_second() {
        let (mut wakes, start) = (Wakes::default(), tokio::time::Instant::now().into_std());
        let mut go = |revision: &str, ms| {
            let at = start + Duration::from_millis(ms);
            wakes.go(&"u".into(), &revision.into(), at)
        };
        assert!(go("a", 0));
        assert!(!go("a", 1));
        assert!(go("b", 1));
        assert!(!go("a", 999));
        assert!(go("a", 1000));
        assert!(!go("a", 1999));
        assert!(!go("b", 1000));
    }

    #[test]
    fn there_is_a_bound_and_a_second_later_room_again() {
        let (mut wakes, start) = (Wakes::default(), tokio::time::Instant::now().into_std());
        let mut go = |number: usize, at| wakes.go(&"u".into(), &number.to_string().into(), at);
        assert!((0..REVISIONS).all(|number| go(number, start)));
        assert!(!go(REVISIONS, start));
        assert!(go(REVISIONS, start + PAUSE));
    }
}
