//! Which objects of a kind there are: gateways name them by uid, and whoever names another one is ignored.
//!
//! Pure. Kept by `desk` (ModelDeployments) and by `used` (APIKeys), told by `watch`. Bounded by the number
//! of objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cache::Key;

/// `metadata.uid`; shared by everything that is kept of an object.
pub(crate) type Uid = Arc<str>;

/// Objects by uid and by name.
#[derive(Debug, Default)]
pub(super) struct Known {
    keys: BTreeMap<Uid, Key>,
    uids: BTreeMap<Key, Uid>,
}

impl Known {
    /// The object is there; returns the one of the same name that therefore is not.
    pub(super) fn set(&mut self, key: &Key, uid: &str) -> Option<Uid> {
        if self.uids.get(key).is_some_and(|held| **held == *uid) {
            return None;
        }
        let uid: Uid = uid.into();
        let before = self.uids.insert(key.clone(), Arc::clone(&uid));
        if let Some(before) = &before {
            self.keys.remove(before);
        }
        self.keys.insert(uid, key.clone());
        before
    }

    /// The object is gone.
    pub(super) fn remove(&mut self, key: &Key, uid: &str) -> Option<Uid> {
        if self.uids.get(key).is_none_or(|held| **held != *uid) {
            return None;
        }
        self.keys.remove(uid);
        self.uids.remove(key)
    }

    /// There are no others than these; returns those that were.
    pub(super) fn retain(&mut self, there: &BTreeSet<Key>) -> Vec<Uid> {
        let (keep, gone) = std::mem::take(&mut self.uids)
            .into_iter()
            .partition(|(key, _)| there.contains(key));
        self.uids = keep;
        let gone: BTreeMap<Key, Uid> = gone;
        for uid in gone.values() {
            self.keys.remove(uid);
        }
        gone.into_values().collect()
    }

    /// The object of that uid.
    pub(super) fn get(&self, uid: &str) -> Option<(&Uid, &Key)> {
        self.keys.get_key_value(uid)
    }

    /// The uid of the object of that name.
    pub(super) fn uid(&self, key: &Key) -> Option<&Uid> {
        self.uids.get(key)
    }

    /// Those of one namespace.
    pub(super) fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = (&Key, &Uid)> {
        let first = Key {
            namespace: namespace.to_owned(),
            name: String::new(),
        };
        let from = self.uids.range(first..);
        from.take_while(move |(key, _)| key.namespace == namespace)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Uid> {
        self.keys.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::key;

    #[test]
    fn a_name_is_of_one_model_at_a_time() {
        let mut known = Known::default();
        assert_eq!(known.set(&key("iris"), "u1"), None);
        assert_eq!(known.set(&key("iris"), "u1"), None);
        assert_eq!(known.set(&key("iris"), "u2").as_deref(), Some("u1"));
        assert!(known.get("u1").is_none());
        assert_eq!(known.get("u2").unwrap().1, &key("iris"));
        assert_eq!(known.remove(&key("iris"), "u1"), None, "it is another one");
        assert_eq!(known.remove(&key("iris"), "u2").as_deref(), Some("u2"));
        assert_eq!(known.all().count(), 0);
    }

    #[test]
    fn a_namespace_has_its_own_and_no_others() {
        let mut known = Known::default();
        for (namespace, name) in [("a", "iris"), ("a", "rose"), ("ab", "iris"), ("b", "iris")] {
            let key = Key {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            };
            known.set(&key, &format!("{namespace}/{name}"));
        }
        let names = |namespace| {
            let found = known.of_namespace(namespace);
            found.map(|(_, uid)| &**uid).collect::<Vec<_>>()
        };
        assert_eq!(names("a"), ["a/iris", "a/rose"]);
        assert_eq!(names("ab"), ["ab/iris"]);
        assert_eq!(names("c"), [""; 0]);
    }

    #[test]
    fn a_list_says_who_is_gone() {
        let mut known = Known::default();
        known.set(&key("iris"), "u1");
        known.set(&key("rose"), "u2");
        let gone = known.retain(&BTreeSet::from([key("rose")]));
        assert_eq!(gone.iter().map(|uid| &**uid).collect::<Vec<_>>(), ["u1"]);
        assert!(known.get("u1").is_none() && known.uid(&key("iris")).is_none());
        assert!(known.get("u2").is_some());
    }
}
