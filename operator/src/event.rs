//! Events about an object, published at most once per reason in five minutes.
//!
//! Called by `report` after a status was written. An Event is a courtesy: failing to publish one is
//! logged and otherwise ignored.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Within it the same reason is not published again for the same object.
const PAUSE: Duration = Duration::from_secs(300);
/// Beyond it nothing is published until old entries have run out: a flood helps nobody.
const REMEMBERED: usize = 10_000;

/// What was published lately: when (time since boot), by uid and reason.
#[derive(Debug, Default)]
pub(crate) struct Published(Mutex<BTreeMap<(String, String), Duration>>);

impl Published {
    /// Whether an Event may be published at `now`; it counts as published from then on.
    pub(crate) fn may(&self, uid: &str, reason: &str, now: Duration) -> bool {
        let mut published = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |last: Duration| now.saturating_sub(last) < PAUSE;
        let key = (uid.to_owned(), reason.to_owned());
        if published.get(&key).is_some_and(|last| recent(*last)) {
            return false;
        }
        if published.len() >= REMEMBERED {
            published.retain(|_, last| recent(*last));
        }
        if published.len() >= REMEMBERED {
            return false;
        }
        published.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_published_once_in_five_minutes() {
        let published = Published::default();
        let seconds = Duration::from_secs;
        assert!(published.may("u", "Serving", seconds(1000)));
        assert!(!published.may("u", "Serving", seconds(1299)));
        assert!(published.may("u", "Degraded", seconds(1001)));
        assert!(published.may("v", "Serving", seconds(1001)));
        assert!(published.may("u", "Serving", seconds(1300)));
    }

    #[test]
    fn a_flood_is_bounded_and_ends() {
        let published = Published::default();
        for uid in 0..REMEMBERED {
            assert!(published.may(&uid.to_string(), "Serving", Duration::ZERO));
        }
        assert!(!published.may("more", "Serving", Duration::from_secs(1)));
        assert!(published.may("more", "Serving", Duration::from_secs(300)));
    }
}
