//! When an object that failed is tried again.
//!
//! Pure: no clock, no randomness; the jitter comes from the object's uid, so that objects which
//! failed together do not come back together. Called by `run` after each reconcile.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(300);
/// Beyond it the attempts of further objects are not counted: they are tried each second, which
/// the bound on concurrent reconciles keeps harmless.
const OBJECTS: usize = 10_000;

/// How often each object failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<BTreeMap<String, u32>>);

impl Attempts {
    /// Counts a failure of the object; when to try again.
    pub(crate) fn failed(&self, uid: &str, retry_after: Option<Duration>) -> Duration {
        let mut attempts = self.lock();
        if !attempts.contains_key(uid) && attempts.len() >= OBJECTS {
            return delay(1, uid, retry_after);
        }
        let attempt = attempts.entry(uid.to_owned()).or_default();
        *attempt = attempt.saturating_add(1);
        delay(*attempt, uid, retry_after)
    }

    /// The object succeeded, needs a change to go on, or is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 1 s, doubled with each further attempt up to 5 min, ± 20 %; never less than `retry_after`.
#[must_use]
fn delay(attempt: u32, uid: &str, retry_after: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    let delay = doubled.min(LAST);
    let mut hasher = DefaultHasher::new();
    (uid, attempt).hash(&mut hasher);
    let percent = u32::try_from(hasher.finish() % 41)
        .unwrap_or(0)
        .saturating_add(80);
    (delay.saturating_mul(percent) / 100).max(retry_after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn about(seconds: u64, delay: Duration) {
        let expected = Duration::from_secs(seconds);
        assert!(
            delay >= expected * 8 / 10 && delay <= expected * 12 / 10,
            "{delay:?}"
        );
    }

    #[test]
    fn each_attempt_waits_twice_as_long_up_to_five_minutes() {
        let attempts = Attempts::default();
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            about(seconds, attempts.failed("uid", None));
        }
        about(300, delay(u32::MAX, "uid", None));
    }

    #[test]
    fn success_starts_over() {
        let attempts = Attempts::default();
        attempts.failed("uid", None);
        attempts.failed("uid", None);
        attempts.forget("uid");
        about(1, attempts.failed("uid", None));
    }

    #[test]
    fn objects_do_not_come_back_together() {
        assert_ne!(delay(5, "one", None), delay(5, "two", None));
    }

    #[test]
    fn retry_after_is_honoured() {
        let after = Duration::from_secs(40);
        assert_eq!(delay(1, "uid", Some(after)), after);
        about(300, delay(20, "uid", Some(after)));
    }

    #[test]
    fn the_map_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..OBJECTS + 10 {
            attempts.failed(&number.to_string(), None);
        }
        assert_eq!(attempts.lock().len(), OBJECTS);
    }
}
