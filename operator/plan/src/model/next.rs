//! When an object has to be looked at again although nothing changed.
//!
//! Pure. Called by `aimass_operator::model::reconcile` last.

use std::time::Duration;

use jiff::Timestamp;

use super::outlook::Outlook;
use super::planned::Applied;

/// What the controller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A change of the object, its references, its children or pods.
    AwaitChange,
    /// Also time: look again after this long (at least 50 ms, so that no clock makes a loop spin).
    Requeue(Duration),
}

/// When time alone will change something.
#[must_use]
pub fn next(applied: &Applied, now: Timestamp) -> Next {
    let wake_at = match &applied.outlook {
        Outlook::Deleting => None,
        Outlook::Serving(decided) => decided.wake_at,
    };
    let Some(wake_at) = wake_at else {
        return Next::AwaitChange;
    };
    // a clock that went back is a short wait too long, never an overflow
    let wait = Duration::try_from(wake_at.duration_since(now)).unwrap_or(Duration::ZERO);
    Next::Requeue(wait.max(Duration::from_millis(50)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Accepted, Decided, Progress, Scaling};

    #[track_caller]
    fn check(wake_at: Option<i64>, now: i64, expect: Next) {
        let at = |second| Timestamp::from_second(second).unwrap();
        let decided = Decided {
            accepted: Accepted::Valid,
            served_name: "iris".to_owned(),
            desired: 1,
            scaling: Scaling::Default,
            target: None,
            stable: None,
            revisions: Vec::new(),
            rollout: None,
            progress: Progress::Starting,
            failure: None,
            wake_at: wake_at.map(at),
        };
        let applied = Applied {
            outlook: Outlook::Serving(Box::new(decided)),
            children: Default::default(),
            pods: Vec::new(),
        };
        assert_eq!(next(&applied, at(now)), expect);
    }

    #[test]
    fn a_deadline_is_waited_for_and_nothing_else() {
        check(None, 100, Next::AwaitChange);
        check(Some(160), 100, Next::Requeue(Duration::from_secs(60)));
        check(Some(100), 100, Next::Requeue(Duration::from_millis(50)));
        check(Some(40), 100, Next::Requeue(Duration::from_millis(50)));
    }
}
