//! Which models refer to a ConfigMap or a claim: the reverse of `spec.model.source`.
//!
//! Pure but for its lock. Kept by `watch` from the stream of models, asked by the streams of the
//! kinds that models refer to. Bounded by the number of models.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::Key;

/// What a model's source may refer to in its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    ConfigMap,
    Claim,
}

impl Kind {
    /// The kind whose stream has this plural name; others are referred to by no model.
    pub(crate) fn of_plural(plural: &str) -> Option<Self> {
        match plural {
            "configmaps" => Some(Self::ConfigMap),
            "persistentvolumeclaims" => Some(Self::Claim),
            _ => None,
        }
    }
}

/// Models by what they refer to.
#[derive(Debug, Default)]
pub(crate) struct References(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    targets: BTreeMap<Key, (Kind, Key)>,
    models: BTreeMap<(Kind, Key), BTreeSet<String>>,
}

impl References {
    /// The model refers to `target` (kind and name in its namespace) and to nothing else.
    pub(crate) fn set(&self, model: &Key, target: Option<(Kind, String)>) {
        let mut inner = self.lock();
        inner.remove(model);
        let Some((kind, name)) = target else { return };
        let target = (
            kind,
            Key {
                namespace: model.namespace.clone(),
                name,
            },
        );
        inner
            .models
            .entry(target.clone())
            .or_default()
            .insert(model.name.clone());
        inner.targets.insert(model.clone(), target);
    }

    /// Names of the models in `target`'s namespace that refer to it.
    pub(crate) fn of(&self, kind: Kind, target: &Key) -> Vec<String> {
        let inner = self.lock();
        let models = inner.models.get(&(kind, target.clone()));
        models.into_iter().flatten().cloned().collect()
    }

    /// Forgets all models but those of `keep`.
    pub(crate) fn retain(&self, keep: &BTreeSet<Key>) {
        let mut inner = self.lock();
        let gone: Vec<Key> = inner
            .targets
            .keys()
            .filter(|model| !keep.contains(*model))
            .cloned()
            .collect();
        gone.iter().for_each(|model| inner.remove(model));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, model: &Key) {
        let Some(target) = self.targets.remove(model) else {
            return;
        };
        if let Some(models) = self.models.get_mut(&target) {
            models.remove(&model.name);
            if models.is_empty() {
                self.models.remove(&target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> Key {
        Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn config_map(name: &str) -> Option<(Kind, String)> {
        Some((Kind::ConfigMap, name.to_owned()))
    }

    #[test]
    fn a_reference_is_found_from_its_target() {
        let references = References::default();
        references.set(&key("a", "iris"), config_map("files"));
        references.set(&key("a", "rose"), config_map("files"));
        references.set(&key("b", "iris"), config_map("files"));
        assert_eq!(
            references.of(Kind::ConfigMap, &key("a", "files")),
            ["iris", "rose"]
        );
        assert_eq!(
            references.of(Kind::Claim, &key("a", "files")),
            Vec::<String>::new()
        );
        assert_eq!(
            references.of(Kind::ConfigMap, &key("c", "files")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_changed_reference_leaves_nothing_behind() {
        let references = References::default();
        references.set(&key("a", "iris"), config_map("old"));
        references.set(&key("a", "iris"), config_map("new"));
        assert_eq!(
            references.of(Kind::ConfigMap, &key("a", "old")),
            Vec::<String>::new()
        );
        references.set(&key("a", "iris"), None);
        assert!(references.lock().models.is_empty() && references.lock().targets.is_empty());
    }

    #[test]
    fn models_that_are_gone_are_forgotten() {
        let references = References::default();
        references.set(&key("a", "iris"), config_map("files"));
        references.set(&key("a", "rose"), config_map("files"));
        references.retain(&BTreeSet::from([key("a", "rose")]));
        assert_eq!(references.of(Kind::ConfigMap, &key("a", "files")), ["rose"]);
    }
}
