//! When an object has to be looked at again although nothing changed.
//!
//! Pure. Returned by the `next` of each kind; made an `Action` by `aimass_operator`.

use std::time::Duration;

use jiff::Timestamp;

/// What the controller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A change of the object, its references, its children or pods.
    AwaitChange,
    /// Also time: look again after this long.
    Requeue(Duration),
}

/// So that no clock makes a loop spin.
const LEAST: Duration = Duration::from_millis(50);
/// A timer that runs for years is one that a library may refuse; a look a day costs nothing.
const MOST: Duration = Duration::from_secs(86_400);

impl Next {
    /// To be looked at again at `wake_at`, where that is some time.
    pub(crate) fn at(wake_at: Option<Timestamp>, now: Timestamp) -> Self {
        let Some(wake_at) = wake_at else {
            return Self::AwaitChange;
        };
        // a clock that went back is a short wait too long, never an overflow
        let wait = Duration::try_from(wake_at.duration_since(now)).unwrap_or(Duration::ZERO);
        Self::Requeue(wait.clamp(LEAST, MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wake_at: Option<i64>, now: i64, expect: Next) {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(Next::at(wake_at.map(at), at(now)), expect);
    }

    #[test]
    fn a_time_to_come_is_waited_for_within_bounds() {
        check(None, 100, Next::AwaitChange);
        check(Some(160), 100, Next::Requeue(Duration::from_secs(60)));
        check(Some(100), 100, Next::Requeue(LEAST));
        check(Some(40), 100, Next::Requeue(LEAST));
        check(Some(1_000_000_000), 100, Next::Requeue(MOST));
    }
}
