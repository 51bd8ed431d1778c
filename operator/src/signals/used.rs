//! When each APIKey was last used, in whole hours, as gateways say.
//!
//! Pure but for its lock. Filled by `reader`, read by `key::observe`, told by `watch` which keys there
//! are. What a leader before has seen is in the keys' status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::known::{Known, Uid};
use crate::cache::Key;

const HOUR: i64 = 3600;

/// When keys were last used. Bounded by the keys that there are.
#[derive(Debug, Default)]
pub(crate) struct Used(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: Known,
    /// Whole hours since 1970.
    hours: BTreeMap<Uid, i64>,
}

impl Used {
    /// The key is there, with this uid.
    pub(crate) fn key(&self, key: &Key, uid: &str) {
        let Inner { known, hours } = &mut *self.lock();
        if let Some(before) = known.set(key, uid) {
            hours.remove(&before);
        }
    }

    /// The key is gone.
    pub(crate) fn no_key(&self, key: &Key, uid: &str) {
        let Inner { known, hours } = &mut *self.lock();
        if let Some(gone) = known.remove(key, uid) {
            hours.remove(&gone);
        }
    }

    /// There are no other keys than these.
    pub(crate) fn only_keys(&self, there: &BTreeSet<Key>) {
        let Inner { known, hours } = &mut *self.lock();
        for gone in known.retain(there) {
            hours.remove(&gone);
        }
    }

    /// The keys of these uids were used a moment ago; those of them for which that is the first time
    /// within the hour. Others are nobody's.
    pub(super) fn used(&self, uids: &[String], now: Timestamp) -> Vec<Key> {
        let Inner { known, hours } = &mut *self.lock();
        let hour = now.as_second().div_euclid(HOUR);
        let mut news = Vec::new();
        for uid in uids {
            let Some((uid, key)) = known.get(uid) else {
                continue;
            };
            let before = hours.get(uid).copied();
            if before.is_none_or(|before| before < hour) {
                hours.insert(Arc::clone(uid), hour);
                news.push(key.clone());
            }
        }
        news
    }

    /// The hour in which the key of that uid was last used, as far as this instance has seen.
    pub(crate) fn last(&self, uid: &str) -> Option<Timestamp> {
        let hour = self.lock().hours.get(uid).copied()?;
        Timestamp::from_second(hour.saturating_mul(HOUR)).ok()
    }

    // A panic elsewhere leaves the maps whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::key;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_is_news_once_an_hour() {
        let used = Used::default();
        used.key(&key("ana"), "u");
        let uids = ["u".to_owned(), "unknown".to_owned()];
        assert_eq!(used.last("u"), None);
        assert_eq!(used.used(&uids, at("2026-01-01T10:59:59Z")), [key("ana")]);
        assert_eq!(used.last("u"), Some(at("2026-01-01T10:00:00Z")));
        assert_eq!(used.used(&uids, at("2026-01-01T10:59:59Z")), []);
        assert_eq!(used.used(&uids, at("2026-01-01T11:00:00Z")), [key("ana")]);
        // The wall clock may step back; a key was not used less for that.
        assert_eq!(used.used(&uids, at("2026-01-01T10:30:00Z")), []);
        assert_eq!(used.last("u"), Some(at("2026-01-01T11:00:00Z")));
        assert_eq!(used.last("unknown"), None);
    }

    #[test]
    fn a_key_that_is_gone_is_forgotten() {
        let used = Used::default();
        for name in ["ana", "ben", "cem"] {
            used.key(&key(name), name);
            used.used(&[name.to_owned()], at("2026-01-01T10:00:00Z"));
        }
        used.no_key(&key("ana"), "ana");
        used.key(&key("ben"), "another");
        used.only_keys(&BTreeSet::from([key("ben")]));
        for uid in ["ana", "ben", "cem", "another"] {
            assert_eq!(used.last(uid), None, "{uid}");
        }
    }
}
