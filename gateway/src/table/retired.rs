//! Which of the tables that were replaced requests still go by, and so which changes of traffic all requests obey.
//!
//! Pure bookkeeping. A request takes the table that is there, and lets it go once `choose` has counted it on a revision. So a
//! table that nobody holds any more decides nothing, and what it decided is counted. [`Retired`] is told of each swap by
//! `app::State`, and asked by `signals`: the operator takes pods away from a revision only when it knows that no request can
//! reach it.

use std::collections::HashMap;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Weak};

use super::{Deployment, Table};

/// The tables that were replaced, as long as somebody holds them.
///
/// As many as there are requests between `route` and `choose`, which is to say nearly none: reviews are waited for without a
/// table. The models are those that changed meanwhile.
#[derive(Debug, Default)]
pub struct Retired {
    /// The oldest first.
    held: Vec<Held>,
    /// Models whose traffic differs in one of these, by uid.
    changed: HashMap<Arc<str>, Changed>,
    /// Tables so far. Their own numbers are not relied on here.
    swaps: u64,
    /// Changes that all requests have come to obey.
    settled: u64,
}

#[derive(Debug)]
struct Held {
    /// The swap that made it current.
    number: u64,
    table: Weak<Table>,
}

#[derive(Clone, Copy, Debug)]
struct Changed {
    /// The version that was obeyed before.
    obeyed: i64,
    /// The swap since which the model is as it is now.
    since: u64,
}

/// What requests go by at one moment.
#[derive(Clone, Debug, Default)]
pub struct Obeyed {
    /// Versions of the models that some requests obey already and others do not yet.
    behind: HashMap<Arc<str>, i64>,
    /// Replaced tables that are held.
    pub held: usize,
}

impl Retired {
    /// `new` replaces `old`.
    ///
    /// O(models of a table).
    pub fn replace(&mut self, old: &Arc<Table>, new: &Table) {
        self.settle();
        let number = self.swaps;
        self.held.push(Held {
            number,
            table: Arc::downgrade(old),
        });
        self.swaps = number.saturating_add(1);
        let (were, are) = differing(old, new);
        let mut before: HashMap<&Arc<str>, i64> = were.into_iter().collect();
        for (uid, version) in are {
            match before.remove(uid) {
                Some(same) if same == version => {}
                Some(other) => self.change(uid, other),
                // It may have been gone for a while that a table outlasts.
                None => {
                    if let Some(changed) = self.changed.get_mut(uid) {
                        changed.since = self.swaps;
                    }
                }
            }
        }
        for (uid, version) in before {
            self.change(uid, version);
        }
    }

    fn change(&mut self, uid: &Arc<str>, obeyed: i64) {
        let since = self.swaps;
        let before = Changed { obeyed, since };
        let changed = self.changed.entry(Arc::clone(uid)).or_insert(before);
        changed.since = since;
    }

    /// What requests go by. Whoever reads counters afterwards finds all there that older tables have decided.
    #[must_use]
    pub fn obeyed(&mut self) -> Obeyed {
        self.settle();
        let behind = |(uid, changed): (&Arc<str>, &Changed)| (Arc::clone(uid), changed.obeyed);
        Obeyed {
            behind: self.changed.iter().map(behind).collect(),
            held: self.held.len(),
        }
    }

    /// How many changes all requests have come to obey: whether there is anything new.
    #[must_use]
    pub fn settled(&mut self) -> u64 {
        self.settle();
        self.settled
    }

    /// Forgets tables that nobody holds, and changes that no other one is older than.
    fn settle(&mut self) {
        self.held.retain(|held| held.table.strong_count() > 0);
        // The count is read without an order of its own; with this, all that was done before a table was let go is seen.
        fence(Ordering::Acquire);
        let oldest = self.held.first().map(|held| held.number);
        let outlasted = |changed: &Changed| oldest.is_some_and(|oldest| oldest < changed.since);
        let before = self.changed.len();
        self.changed.retain(|_, changed| outlasted(changed));
        let settled = before.saturating_sub(self.changed.len());
        let settled = u64::try_from(settled).unwrap_or(u64::MAX);
        self.settled = self.settled.saturating_add(settled);
    }
}

impl Obeyed {
    /// The `status.trafficVersion` of a model of the current table that every request obeys from now on: its own, or as long as
    /// a table is held that has another one, that which was obeyed before. Versions only rise.
    #[must_use]
    pub fn traffic_version(&self, deployment: &Deployment) -> i64 {
        let behind = self.behind.get(&deployment.uid);
        behind.copied().unwrap_or(deployment.traffic_version)
    }
}

/// A model and its version.
type Version<'a> = (&'a Arc<str>, i64);

/// The models that are not the very same in both tables: as they were, and as they are. Of most tables nearly all are the same,
/// so they are looked at once.
fn differing<'a>(old: &'a Table, new: &'a Table) -> (Vec<Version<'a>>, Vec<Version<'a>>) {
    let version = |model: &'a Arc<Deployment>| (&model.uid, model.traffic_version);
    let (mut were, mut are, mut known) = (Vec::new(), Vec::new(), 0_usize);
    for (namespace, models) in &new.models {
        let before = old.models.get(namespace);
        for (name, model) in models {
            let old = before.and_then(|before| before.get(name));
            known = known.saturating_add(old.is_some().into());
            if !old.is_some_and(|old| Arc::ptr_eq(old, model)) {
                were.extend(old.map(version));
                are.push(version(model));
            }
        }
    }
    if known < old.models.values().map(HashMap::len).sum() {
        for (namespace, models) in &old.models {
            let after = new.models.get(namespace);
            let is_there = |name| after.is_some_and(|after| after.contains_key(name));
            let gone = models.iter().filter(|(name, _)| !is_there(*name));
            were.extend(gone.map(|(_, model)| version(model)));
        }
    }
    (were, are)
}

#[cfg(test)]
mod tests;
