//! What is known of the objects of one kind, and how lists and watches change it.
//!
//! Pure. Called by `table::build`. An object never goes back in time: what is older than what is held is left aside; so is what
//! is not understood, and the last good version of that object stays.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// An object's place; the namespace is empty for what lies in none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// `metadata.namespace`
    pub namespace: Arc<str>,
    /// `metadata.name`
    pub name: Arc<str>,
}

impl Name {
    /// Another object of the same namespace.
    #[must_use]
    pub fn beside(&self, name: &Arc<str>) -> Self {
        Self {
            namespace: Arc::clone(&self.namespace),
            name: Arc::clone(name),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{}", self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// The namespace that a stream watches; `None`: all.
pub type Scope = Option<Arc<str>>;

/// A version of an object as a stream tells it.
#[derive(Debug)]
pub struct Seen<V> {
    /// Where it lies.
    pub name: Name,
    /// `metadata.uid`
    pub uid: Arc<str>,
    /// `metadata.resourceVersion`; 0 if that is no number.
    pub version: u64,
    /// What of it counts, or why it is not understood.
    pub value: Result<V, String>,
    /// What of it is left aside, although the rest counts.
    pub notes: Vec<String>,
}

/// What a stream says.
#[derive(Debug)]
pub enum Event<V> {
    /// It begins to list.
    Init,
    /// This object is in the list.
    InitApply(Seen<V>),
    /// The list is complete: what was not in it is gone.
    InitDone,
    /// This object was made or changed.
    Apply(Seen<V>),
    /// This object is gone.
    Delete {
        /// Where it lay.
        name: Name,
        /// Which it was.
        uid: Arc<str>,
    },
}

/// An object that is held.
#[derive(Debug)]
pub struct Held<V> {
    /// `metadata.uid`
    pub uid: Arc<str>,
    /// `metadata.resourceVersion`
    pub version: u64,
    /// What of it counts.
    pub value: V,
}

/// The objects of one kind.
#[derive(Debug)]
pub struct Store<V> {
    held: HashMap<Name, Held<V>>,
    /// What the lists that are under way have named so far.
    listing: HashMap<Scope, HashSet<Name>>,
    /// Objects of which something is not obeyed; at most `limit`.
    refused: HashSet<Name>,
    limit: usize,
}

impl<V> Store<V> {
    /// Holds at most `limit` objects; who comes when it is full is refused.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            held: HashMap::new(),
            listing: HashMap::new(),
            refused: HashSet::new(),
            limit,
        }
    }

    /// What is held of an object.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<&V> {
        self.held.get(name).map(|held| &held.value)
    }

    /// How many objects there are of which something is not obeyed.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.len()
    }

    /// All objects, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Held<V>)> {
        self.held.iter()
    }

    /// Takes over what the stream of `scope` says; `changed` is told of each object that differs afterwards, what it was and
    /// what it is. Returns what is not obeyed.
    pub fn apply(
        &mut self,
        scope: &Scope,
        event: Event<V>,
        mut changed: impl FnMut(&Name, Option<&V>, Option<&V>),
    ) -> Vec<(Name, String)> {
        match event {
            Event::Init => {
                self.listing.insert(scope.clone(), HashSet::new());
                Vec::new()
            }
            Event::InitApply(seen) => {
                if let Some(listing) = self.listing.get_mut(scope) {
                    listing.insert(seen.name.clone());
                }
                self.take(seen, changed)
            }
            Event::InitDone => {
                let listed = self.listing.remove(scope).unwrap_or_default();
                let inside =
                    |name: &Name| scope.as_ref().is_none_or(|scope| *scope == name.namespace);
                let gone = |name: &Name| inside(name) && !listed.contains(name);
                self.refused.retain(|name| !gone(name));
                for (name, held) in self.held.extract_if(|name, _| gone(name)) {
                    changed(&name, Some(&held.value), None);
                }
                Vec::new()
            }
            Event::Apply(seen) => self.take(seen, changed),
            Event::Delete { name, uid } => {
                // The predecessor of what is held may be told late.
                if self.held.get(&name).is_some_and(|held| held.uid != uid) {
                    return Vec::new();
                }
                self.refused.remove(&name);
                if let Some(held) = self.held.remove(&name) {
                    changed(&name, Some(&held.value), None);
                }
                Vec::new()
            }
        }
    }

    fn take(
        &mut self,
        seen: Seen<V>,
        changed: impl FnMut(&Name, Option<&V>, Option<&V>),
    ) -> Vec<(Name, String)> {
        let is_known = |held: &Held<V>| {
            held.uid == seen.uid && held.version >= seen.version && seen.version > 0
        };
        if self.held.get(&seen.name).is_some_and(is_known) {
            return Vec::new();
        }
        let name = seen.name.clone();
        let refused = self.put(seen, changed);
        if refused.is_empty() {
            self.refused.remove(&name);
        } else if self.refused.len() < self.limit {
            self.refused.insert(name);
        }
        refused
    }

    fn put(
        &mut self,
        seen: Seen<V>,
        mut changed: impl FnMut(&Name, Option<&V>, Option<&V>),
    ) -> Vec<(Name, String)> {
        let Seen {
            name,
            uid,
            version,
            value,
            notes,
        } = seen;
        let full = self.held.len() >= self.limit;
        let entry = self.held.entry(name.clone());
        let value = match value {
            Ok(value) => value,
            Err(text) => {
                let holds = match entry {
                    Entry::Occupied(held) if held.get().uid == uid => "its last version holds",
                    Entry::Occupied(other) => {
                        let other = other.remove();
                        changed(&name, Some(&other.value), None);
                        "it is left aside"
                    }
                    Entry::Vacant(_) => "it is left aside",
                };
                return vec![(name, format!("{text}; {holds}"))];
            }
        };
        let held = Held {
            uid,
            version,
            value,
        };
        match entry {
            Entry::Occupied(mut entry) => {
                let old = entry.insert(held);
                changed(&name, Some(&old.value), Some(&entry.get().value));
            }
            Entry::Vacant(_) if full => {
                let text = format!("there are {} already, which is the bound", self.limit);
                return vec![(name, text)];
            }
            Entry::Vacant(entry) => {
                let held = entry.insert(held);
                changed(&name, None, Some(&held.value));
            }
        }
        notes.into_iter().map(|note| (name.clone(), note)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        let (namespace, name) = name.split_once('/').unwrap();
        Name {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    fn seen(path: &str, uid: &str, version: u64, value: Result<u32, &str>) -> Seen<u32> {
        Seen {
            name: name(path),
            uid: uid.into(),
            version,
            value: value.map_err(str::to_owned),
            notes: Vec::new(),
        }
    }

    /// What changed by `events`, as `name old→new`, and what was refused.
    fn run(store: &mut Store<u32>, scope: &Scope, events: Vec<Event<u32>>) -> Vec<String> {
        let mut told = Vec::new();
        for event in events {
            let refused = store.apply(scope, event, |name, old, new| {
                told.push(format!("{name} {old:?}→{new:?}"));
            });
            told.extend(
                refused
                    .into_iter()
                    .map(|(name, text)| format!("{name}: {text}")),
            );
        }
        told
    }

    #[test]
    fn what_is_not_obeyed_is_counted_until_it_is_or_is_gone() {
        let mut store = Store::new(2);
        let mut after = |events| {
            run(&mut store, &None, events);
            store.refused()
        };
        let put = |path, uid, version, value| Event::Apply(seen(path, uid, version, value));
        let gone = |path, uid: &str| Event::Delete {
            name: name(path),
            uid: uid.into(),
        };
        assert_eq!(after(vec![put("a/x", "1", 1, Err("bad"))]), 1);
        assert_eq!(after(vec![put("a/x", "1", 2, Err("bad"))]), 1);
        assert_eq!(after(vec![put("a/x", "1", 3, Ok(1))]), 0);
        assert_eq!(after(vec![put("a/x", "1", 4, Err("bad"))]), 1);
        assert_eq!(after(vec![put("a/x", "1", 3, Ok(1))]), 1, "it is older");
        assert_eq!(
            after(vec![put("a/y", "2", 5, Ok(1)), put("a/z", "3", 6, Ok(1))]),
            2
        );
        assert_eq!(after(vec![gone("a/z", "3"), gone("a/x", "0")]), 1);
        assert_eq!(after(vec![gone("a/x", "1")]), 0);
        assert_eq!(after(vec![put("a/x", "4", 7, Err("bad"))]), 1);
        assert_eq!(after(vec![Event::Init, Event::InitDone]), 0);
    }

    #[test]
    fn an_object_is_made_changed_and_deleted() {
        let mut store = Store::new(9);
        let told = run(
            &mut store,
            &None,
            vec![
                Event::Apply(seen("a/x", "1", 5, Ok(1))),
                Event::Apply(seen("a/x", "1", 6, Ok(2))),
                Event::Delete {
                    name: name("a/x"),
                    uid: "1".into(),
                },
            ],
        );
        assert_eq!(
            told,
            [
                "a/x None→Some(1)",
                "a/x Some(1)→Some(2)",
                "a/x Some(2)→None"
            ]
        );
    }

    #[test]
    fn what_is_older_or_the_same_changes_nothing() {
        let mut store = Store::new(9);
        run(
            &mut store,
            &None,
            vec![Event::Apply(seen("a/x", "1", 5, Ok(1)))],
        );
        for version in [4, 5] {
            let again = vec![Event::Apply(seen("a/x", "1", version, Ok(9)))];
            assert_eq!(run(&mut store, &None, again), [""; 0]);
        }
        // Another object of that name is not older than its predecessor.
        let successor = vec![Event::Apply(seen("a/x", "2", 3, Ok(9)))];
        assert_eq!(run(&mut store, &None, successor), ["a/x Some(1)→Some(9)"]);
    }

    #[test]
    fn the_deletion_of_a_predecessor_deletes_nothing() {
        let mut store = Store::new(9);
        let events = vec![
            Event::Apply(seen("a/x", "2", 5, Ok(1))),
            Event::Delete {
                name: name("a/x"),
                uid: "1".into(),
            },
        ];
        assert_eq!(run(&mut store, &None, events), ["a/x None→Some(1)"]);
    }

    #[test]
    fn what_a_list_does_not_name_is_gone_once_the_list_is_complete() {
        let mut store = Store::new(9);
        let make = |path: &str| Event::Apply(seen(path, path, 1, Ok(1)));
        run(
            &mut store,
            &None,
            vec![make("a/x"), make("a/y"), make("b/z")],
        );
        let list = vec![Event::Init, Event::InitApply(seen("a/x", "a/x", 1, Ok(1)))];
        let scope = Some(Arc::from("a"));
        assert_eq!(run(&mut store, &scope, list), [""; 0]);
        let told = run(&mut store, &scope, vec![Event::InitDone]);
        // `b` is another stream's business.
        assert_eq!(told, ["a/y Some(1)→None"]);
        assert_eq!(store.get(&name("b/z")), Some(&1));
    }

    #[test]
    fn what_is_not_understood_keeps_its_last_good_version() {
        let mut store = Store::new(9);
        let events = vec![
            Event::Apply(seen("a/x", "1", 5, Ok(1))),
            Event::Apply(seen("a/x", "1", 6, Err("no number"))),
            Event::Init,
            Event::InitApply(seen("a/x", "1", 6, Err("no number"))),
            Event::InitDone,
        ];
        let told = run(&mut store, &None, events);
        let nack = "a/x: no number; its last version holds";
        assert_eq!(told, ["a/x None→Some(1)", nack, nack]);
        let repaired = vec![Event::Apply(seen("a/x", "1", 7, Ok(2)))];
        assert_eq!(run(&mut store, &None, repaired), ["a/x Some(1)→Some(2)"]);
    }

    #[test]
    fn what_was_never_understood_takes_no_predecessors_place() {
        let mut store = Store::new(9);
        let events = vec![
            Event::Apply(seen("a/x", "1", 5, Ok(1))),
            Event::Apply(seen("a/x", "2", 6, Err("no number"))),
            Event::Apply(seen("a/y", "3", 6, Err("no number"))),
        ];
        let told = run(&mut store, &None, events);
        assert_eq!(
            told,
            [
                "a/x None→Some(1)",
                "a/x Some(1)→None",
                "a/x: no number; it is left aside",
                "a/y: no number; it is left aside",
            ]
        );
    }

    #[test]
    fn beyond_the_bound_there_is_a_refusal() {
        let mut store = Store::new(1);
        let events = vec![
            Event::Apply(seen("a/x", "1", 5, Ok(1))),
            Event::Apply(seen("a/y", "2", 6, Ok(1))),
            Event::Apply(seen("a/x", "1", 7, Ok(2))),
        ];
        let told = run(&mut store, &None, events);
        let full = "a/y: there are 1 already, which is the bound";
        assert_eq!(told, ["a/x None→Some(1)", full, "a/x Some(1)→Some(2)"]);
    }
}
