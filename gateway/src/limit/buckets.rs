//! The buckets of all holders: a map with a bound, and a broom.
//!
//! Pure. Used by `limit` under its lock. A bucket that is full again equals a fresh one, so it can be dropped at any time;
//! what is found so is dropped, a few at each arrival of a new one and more when a task asks for it. Full of buckets that
//! are in use, there is no new one: its requests pass, and are counted.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Gcra, Holder};

/// Buckets that are looked at when a new one comes: more than one, so that fewer and fewer are old.
const STEPS: usize = 2;
/// And when there is no room for it.
const STEPS_IF_FULL: usize = 100;

/// A holder and the name of one of its rates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) holder: Holder,
    pub(crate) rate: Arc<str>,
}

impl Id {
    pub(crate) fn of(holder: &Holder, rate: &str) -> Self {
        Self {
            holder: holder.clone(),
            rate: rate.into(),
        }
    }
}

/// One bucket, and the rate that it was last charged at.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tat: u128,
    gcra: Gcra,
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct Buckets {
    limit: usize,
    entries: HashMap<Id, Bucket>,
    /// Each one that there is, once; the next to be looked at is in front.
    round: VecDeque<Id>,
    full_total: u64,
}

impl Buckets {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: HashMap::new(),
            round: VecDeque::new(),
            full_total: 0,
        }
    }

    /// When the bucket is full again; nothing for one that there is not, which is as good as full.
    pub(crate) fn known(&self, id: &Id, gcra: Gcra, now: u128) -> Option<u128> {
        let bucket = self.entries.get(id)?;
        Some(gcra.convert(bucket.gcra, bucket.tat, now))
    }

    /// All that are not full, as they are.
    pub(crate) fn live(&self, now: u128) -> impl Iterator<Item = (&Id, Gcra, u128)> {
        let entries = self.entries.iter();
        entries
            .filter(move |(_, bucket)| bucket.tat > now)
            .map(|(id, bucket)| (id, bucket.gcra, bucket.tat))
    }

    /// Remembers that the bucket is full again at `tat`.
    pub(crate) fn set(&mut self, id: Id, gcra: Gcra, tat: u128, now: u128) {
        if let Some(bucket) = self.entries.get_mut(&id) {
            *bucket = Bucket { tat, gcra };
            return;
        }
        self.sweep(STEPS, now);
        if self.entries.len() >= self.limit {
            self.sweep(STEPS_IF_FULL, now);
        }
        if self.entries.len() >= self.limit {
            self.full_total = self.full_total.saturating_add(1);
            return;
        }
        self.round.push_back(id.clone());
        self.entries.insert(id, Bucket { tat, gcra });
    }

    /// Looks at the next `steps` buckets, each at most once, and drops those that are full.
    pub(crate) fn sweep(&mut self, steps: usize, now: u128) {
        for _ in 0..steps.min(self.round.len()) {
            let Some(id) = self.round.pop_front() else {
                return;
            };
            if self.entries.get(&id).is_some_and(|bucket| bucket.tat > now) {
                self.round.push_back(id);
            } else {
                self.entries.remove(&id);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Requests that found no room for their bucket.
    pub(crate) const fn full_total(&self) -> u64 {
        self.full_total
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn id(number: usize) -> Id {
        Id {
            holder: Holder::Key(number.to_string().into()),
            rate: "r".into(),
        }
    }

    fn tat(buckets: &Buckets, id: &Id, gcra: Gcra, now: u128) -> u128 {
        buckets.known(id, gcra, now).unwrap_or(0)
    }

    fn gcra() -> Gcra {
        Gcra::new(1, Duration::from_nanos(10), 5)
    }

    #[test]
    fn a_full_bucket_is_swept_and_a_used_one_stays() {
        let mut buckets = Buckets::new(10);
        buckets.set(id(1), gcra(), 100, 0);
        buckets.set(id(2), gcra(), 200, 0);
        buckets.sweep(1000, 99);
        assert_eq!(buckets.len(), 2);
        buckets.sweep(1000, 100);
        assert_eq!(buckets.len(), 1);
        assert_eq!(tat(&buckets, &id(1), gcra(), 100), 0);
        assert_eq!(tat(&buckets, &id(2), gcra(), 100), 200);
    }

    #[test]
    fn without_room_requests_are_counted_and_those_with_a_bucket_go_on() {
        let mut buckets = Buckets::new(2);
        for number in 1..=3 {
            buckets.set(id(number), gcra(), 100, 0);
        }
        assert_eq!((buckets.len(), buckets.full_total()), (2, 1));
        assert_eq!(tat(&buckets, &id(3), gcra(), 0), 0);
        buckets.set(id(1), gcra(), 150, 0);
        assert_eq!(tat(&buckets, &id(1), gcra(), 0), 150);
        assert_eq!(buckets.full_total(), 1);
        buckets.set(id(3), gcra(), 300, 200);
        assert_eq!(tat(&buckets, &id(3), gcra(), 200), 300);
        assert_eq!(buckets.len(), 1);
    }

    #[test]
    fn new_ones_sweep_out_the_old() {
        let mut buckets = Buckets::new(1000);
        for number in 0..10_000 {
            let now = 100 * number as u128;
            buckets.set(id(number), gcra(), now + 50, now);
        }
        assert!(buckets.len() < 5, "{}", buckets.len());
        assert_eq!(buckets.full_total(), 0);
    }

    proptest! {
        #[test]
        fn the_round_has_each_bucket_once_and_never_more_than_the_limit(
            steps in proptest::collection::vec((0_usize..20, 0_u128..50, any::<bool>()), 1..200),
        ) {
            let (mut buckets, mut now) = (Buckets::new(7), 0);
            for (number, ahead, sweep) in steps {
                now += 7;
                if sweep {
                    buckets.sweep(number, now);
                } else {
                    buckets.set(id(number), gcra(), now + ahead, now);
                }
                prop_assert!(buckets.len() <= 7);
                prop_assert_eq!(buckets.round.len(), buckets.len());
                prop_assert!(buckets.round.iter().all(|id| buckets.entries.contains_key(id)));
            }
        }
    }
}
