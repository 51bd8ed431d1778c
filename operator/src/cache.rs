//! A cache of one kind that never goes back in time and never forgets an own write.
//!
//! Pure but for its lock: no client, no clock. Filled by `watch` with what the API server sends and
//! by `apply` and `observe` with what it answered, read by `observe`. Resource versions compare as
//! numbers: what is older than the object held is dropped, whoever brings it. An object that is
//! missing from a relist is kept *in doubt* until a live GET has decided, because a relist may be
//! older than our own writes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::Resource;
use kube::runtime::watcher::Event;

/// How many uids of deleted objects are remembered: enough for what a lagging watch may still send.
const TOMBSTONES: usize = 4096;

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// One object as the cache keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Item<V> {
    pub(crate) key: Key,
    pub(crate) uid: String,
    /// `metadata.resourceVersion` as a number.
    pub(crate) version: u64,
    /// Under what it is found: the uid of its controller, or `namespace/name` of a pod's model.
    pub(crate) group: Option<String>,
    /// Name of the ModelDeployment that a change of this object concerns.
    pub(crate) model: Option<String>,
    pub(crate) value: V,
}

/// An object that changed: what there is to announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) key: Key,
    pub(crate) model: Option<String>,
}

/// What the cache knows about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known<V> {
    /// It is there.
    Present(Arc<V>),
    /// It was there and is missing from a relist: only a live GET can tell.
    Doubtful(Arc<V>),
}

/// Whether a relist is believed when an object that was held is missing from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It is gone.
    Believed,
    /// An object with a group is kept in doubt; others are gone.
    Doubted,
}

/// All objects of one kind.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    inner: RwLock<Inner<V>>,
    absence: Absence,
    filled: AtomicBool,
}

#[derive(Debug)]
struct Inner<V> {
    entries: BTreeMap<Key, Entry<V>>,
    groups: BTreeMap<String, BTreeSet<Key>>,
    /// uids that we saw or made disappear, and at which version, oldest first.
    tombstones: VecDeque<(String, u64)>,
    /// During a relist: what it brought so far.
    listed: Option<BTreeSet<Key>>,
}

#[derive(Debug)]
struct Entry<V> {
    uid: String,
    version: u64,
    group: Option<String>,
    model: Option<String>,
    doubtful: bool,
    value: Arc<V>,
}

impl<V> Cache<V> {
    pub(crate) fn new(absence: Absence) -> Self {
        let inner = Inner {
            entries: BTreeMap::new(),
            groups: BTreeMap::new(),
            tombstones: VecDeque::new(),
            listed: None,
        };
        Self {
            inner: RwLock::new(inner),
            absence,
            filled: AtomicBool::new(false),
        }
    }

    /// Takes one event of the watch; says what changed by it, own writes excepted.
    pub(crate) fn apply<K>(&self, event: Event<K>, item: impl Fn(K) -> Item<V>) -> Vec<Changed> {
        match event {
            Event::Apply(object) => self.saw(item(object)).into_iter().collect(),
            Event::Delete(object) => {
                let item = item(object);
                // Deleted, or only no longer selected: a live GET may still find it as it is now.
                self.gone_at(&item.key, &item.uid, item.version)
                    .into_iter()
                    .collect()
            }
            Event::Init => {
                self.write().listed = Some(BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let item = item(object);
                if let Some(listed) = &mut self.write().listed {
                    listed.insert(item.key.clone());
                }
                self.saw(item).into_iter().collect()
            }
            Event::InitDone => {
                let changed = self.missing();
                self.filled.store(true, Ordering::Release);
                changed
            }
        }
    }

    /// Holds `item` unless it is older than what is held, or of an object known to be gone.
    pub(crate) fn saw(&self, item: Item<V>) -> Option<Changed> {
        self.write().saw(item)
    }

    /// Forgets the object of that name and uid, and whatever an old view may still say of that uid.
    pub(crate) fn gone(&self, key: &Key, uid: &str) -> Option<Changed> {
        self.gone_at(key, uid, u64::MAX)
    }

    /// As [`Cache::gone`], but believes whoever saw the object at `version` or later.
    fn gone_at(&self, key: &Key, uid: &str, version: u64) -> Option<Changed> {
        let mut inner = self.write();
        inner.bury(uid, version);
        let entry = inner.entries.get(key)?;
        if entry.uid != uid || entry.version > version {
            return None;
        }
        inner.remove(key)
    }

    /// The object of that name.
    pub(crate) fn get(&self, key: &Key) -> Option<Known<V>> {
        self.read().entries.get(key).map(Entry::known)
    }

    /// The uid of the object of that name.
    pub(crate) fn uid(&self, key: &Key) -> Option<String> {
        self.read().entries.get(key).map(|entry| entry.uid.clone())
    }

    /// All objects of a group, in order of their names.
    pub(crate) fn group(&self, group: &str) -> Vec<(Key, Known<V>)> {
        let inner = self.read();
        let Some(keys) = inner.groups.get(group) else {
            return Vec::new();
        };
        let known = |key: &Key| {
            inner
                .entries
                .get(key)
                .map(|entry| (key.clone(), entry.known()))
        };
        keys.iter().filter_map(known).collect()
    }

    /// How many objects are held.
    pub(crate) fn len(&self) -> usize {
        self.read().entries.len()
    }

    /// Whether it was filled once.
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Ends a relist: what it did not bring is gone, or in doubt where that matters. What was in
    /// doubt already and is missing again is gone: nobody asked about it in between.
    fn missing(&self) -> Vec<Changed> {
        let mut inner = self.write();
        let Some(listed) = inner.listed.take() else {
            return Vec::new();
        };
        let missing: Vec<Key> = inner
            .entries
            .keys()
            .filter(|key| !listed.contains(*key))
            .cloned()
            .collect();
        let mut changed = Vec::with_capacity(missing.len());
        for key in missing {
            let Some(entry) = inner.entries.get_mut(&key) else {
                continue;
            };
            if self.absence == Absence::Doubted && entry.group.is_some() && !entry.doubtful {
                entry.doubtful = true;
                changed.push(Changed {
                    key,
                    model: entry.model.clone(),
                });
            } else {
                changed.extend(inner.remove(&key));
            }
        }
        changed
    }

    // A panic elsewhere leaves the maps whole: each method ends every change it begins.
    fn read(&self) -> RwLockReadGuard<'_, Inner<V>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<V>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Inner<V> {
    fn saw(&mut self, item: Item<V>) -> Option<Changed> {
        let is_buried =
            |(uid, version): &(String, u64)| *uid == item.uid && item.version < *version;
        if self.tombstones.iter().any(is_buried) {
            return None;
        }
        if let Some(held) = self.entries.get_mut(&item.key) {
            if item.version < held.version {
                return None;
            }
            if item.version == held.version {
                held.doubtful = false;
                return None;
            }
        }
        let before = self.remove(&item.key).and_then(|changed| changed.model);
        if let Some(group) = &item.group {
            self.groups
                .entry(group.clone())
                .or_default()
                .insert(item.key.clone());
        }
        let entry = Entry {
            uid: item.uid,
            version: item.version,
            group: item.group,
            model: item.model.clone(),
            doubtful: false,
            value: Arc::new(item.value),
        };
        self.entries.insert(item.key.clone(), entry);
        // An object that lost its label still concerns the model that it belonged to.
        Some(Changed {
            key: item.key,
            model: item.model.or(before),
        })
    }

    fn remove(&mut self, key: &Key) -> Option<Changed> {
        let entry = self.entries.remove(key)?;
        if let Some(group) = entry.group
            && let Some(keys) = self.groups.get_mut(&group)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.groups.remove(&group);
            }
        }
        Some(Changed {
            key: key.clone(),
            model: entry.model,
        })
    }

    fn bury(&mut self, uid: &str, version: u64) {
        if let Some((_, known)) = self.tombstones.iter_mut().find(|(known, _)| known == uid) {
            *known = version.max(*known);
            return;
        }
        if self.tombstones.len() >= TOMBSTONES {
            self.tombstones.pop_front();
        }
        self.tombstones.push_back((uid.to_owned(), version));
    }
}

impl<V> Entry<V> {
    fn known(&self) -> Known<V> {
        let value = Arc::clone(&self.value);
        if self.doubtful {
            Known::Doubtful(value)
        } else {
            Known::Present(value)
        }
    }
}

/// `metadata.resourceVersion` as a number; 0 where there is none or it is not a number.
pub(crate) fn version_of(object: &impl Resource) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// Namespace and name of an object; empty where it has none.
pub(crate) fn key_of(object: &impl Resource) -> Key {
    let meta = object.meta();
    Key {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, uid: &str, version: u64) -> Item<u64> {
        Item {
            key: key(name),
            uid: uid.to_owned(),
            version,
            group: Some("owner".to_owned()),
            model: Some("iris".to_owned()),
            value: version,
        }
    }

    fn key(name: &str) -> Key {
        Key {
            namespace: "default".to_owned(),
            name: name.to_owned(),
        }
    }

    fn cache() -> Cache<u64> {
        Cache::new(Absence::Doubted)
    }

    fn relist(cache: &Cache<u64>, items: Vec<Item<u64>>) -> Vec<Changed> {
        cache.apply(Event::Init, |item: Item<u64>| item);
        let mut changed = Vec::new();
        for item in items {
            changed.extend(cache.apply(Event::InitApply(item), |item| item));
        }
        changed.extend(cache.apply(Event::InitDone, |item: Item<u64>| item));
        changed
    }

    #[test]
    fn an_older_view_never_replaces_a_newer_one() {
        let cache = cache();
        assert!(cache.saw(item("a", "u1", 10)).is_some());
        assert_eq!(cache.saw(item("a", "u1", 9)), None);
        assert_eq!(cache.get(&key("a")), Some(Known::Present(Arc::new(10))));
        assert_eq!(relist(&cache, vec![item("a", "u1", 8)]), vec![]);
        assert_eq!(cache.get(&key("a")), Some(Known::Present(Arc::new(10))));
    }

    #[test]
    fn versions_compare_as_numbers() {
        let cache = cache();
        cache.saw(item("a", "u1", 9));
        assert!(cache.saw(item("a", "u1", 10)).is_some());
    }

    #[test]
    fn the_event_of_an_own_write_announces_nothing() {
        let cache = cache();
        cache.saw(item("a", "u1", 10));
        assert_eq!(
            cache.apply(Event::Apply(item("a", "u1", 10)), |item| item),
            vec![]
        );
    }

    #[test]
    fn what_a_relist_misses_is_in_doubt_until_somebody_looked() {
        let cache = cache();
        cache.saw(item("a", "u1", 10));
        let changed = Changed {
            key: key("a"),
            model: Some("iris".to_owned()),
        };
        assert_eq!(relist(&cache, vec![]), vec![changed.clone()]);
        assert_eq!(
            cache.group("owner"),
            vec![(key("a"), Known::Doubtful(Arc::new(10)))]
        );
        cache.saw(item("a", "u1", 10));
        assert_eq!(cache.get(&key("a")), Some(Known::Present(Arc::new(10))));
        relist(&cache, vec![]);
        assert_eq!(relist(&cache, vec![]), vec![changed]);
        assert_eq!(cache.get(&key("a")), None);
        assert_eq!(cache.group("owner"), vec![]);
    }

    #[test]
    fn where_absence_is_believed_a_relist_removes() {
        let cache = Cache::new(Absence::Believed);
        cache.saw(item("a", "u1", 10));
        relist(&cache, vec![]);
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn an_object_that_is_gone_does_not_come_back_by_an_old_event() {
        let cache = cache();
        cache.saw(item("a", "u1", 10));
        assert!(cache.gone(&key("a"), "u1").is_some());
        assert_eq!(cache.saw(item("a", "u1", 11)), None);
        assert!(cache.saw(item("a", "u2", 12)).is_some());
    }

    #[test]
    fn an_object_that_is_only_no_longer_selected_can_be_seen_again() {
        let cache = cache();
        cache.saw(item("a", "u1", 10));
        let unselected = Event::Delete(item("a", "u1", 11));
        assert_eq!(cache.apply(unselected.clone(), |item| item).len(), 1);
        assert_eq!(cache.saw(item("a", "u1", 10)), None);
        assert!(cache.saw(item("a", "u1", 11)).is_some());
        cache.saw(item("a", "u1", 12));
        assert_eq!(cache.apply(unselected, |item| item), vec![]);
        assert_eq!(cache.get(&key("a")), Some(Known::Present(Arc::new(12))));
    }

    #[test]
    fn the_deletion_of_a_predecessor_does_not_remove_the_successor() {
        let cache = cache();
        cache.saw(item("a", "u2", 12));
        assert_eq!(
            cache.apply(Event::Delete(item("a", "u1", 11)), |item| item),
            vec![]
        );
        assert_eq!(cache.get(&key("a")), Some(Known::Present(Arc::new(12))));
    }

    #[test]
    fn an_object_that_lost_its_owner_leaves_the_group_and_is_announced_to_it() {
        let cache = cache();
        cache.saw(item("a", "u1", 10));
        let stripped = Item {
            group: None,
            model: None,
            ..item("a", "u1", 11)
        };
        let changed = cache.saw(stripped).unwrap();
        assert_eq!(changed.model.as_deref(), Some("iris"));
        assert_eq!(cache.group("owner"), vec![]);
    }

    #[test]
    fn tombstones_are_bounded() {
        let cache = cache();
        for number in 0..TOMBSTONES + 10 {
            cache.gone(&key("a"), &format!("u{number}"));
        }
        assert_eq!(cache.read().tombstones.len(), TOMBSTONES);
    }
}
