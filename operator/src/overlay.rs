//! The objects of one kind as our own reports left them, until the cache has caught up.
//!
//! Pure but for its lock. Written by `report`, read by the kinds' `reconcile`, cleared by `watch`.
//! Thus a lagging watch never makes a second report, nor a decision on a status that is out of date.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Resource;

use crate::cache::version_of;

/// Beyond it reports are not remembered: the worst that follows is a report too many.
const OBJECTS: usize = 10_000;

/// The last report of each object, by uid.
#[derive(Debug)]
pub(crate) struct Overlay<K>(Mutex<BTreeMap<String, Arc<K>>>);

impl<K> Default for Overlay<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Resource + Clone> Overlay<K> {
    /// The API server returned `object` for our report.
    pub(crate) fn reported(&self, mut object: K) {
        let Some(uid) = object.meta().uid.clone() else {
            return;
        };
        object.meta_mut().managed_fields = None;
        let mut objects = self.lock();
        let newer = objects
            .get(&uid)
            .is_none_or(|held| version_of(&**held) < version_of(&object));
        let fits = objects.len() < OBJECTS || objects.contains_key(&uid);
        if newer && fits {
            objects.insert(uid, Arc::new(object));
        }
    }

    /// The newer of `object` and what we know of it.
    pub(crate) fn newest(&self, object: &K) -> Arc<K> {
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        match self.lock().get(uid) {
            Some(held) if version_of(&**held) > version_of(object) => Arc::clone(held),
            _ => Arc::new(object.clone()),
        }
    }

    /// The watch has brought `version` of the object; whether that is exactly our own report.
    pub(crate) fn caught_up(&self, uid: &str, version: u64) -> bool {
        let mut objects = self.lock();
        let Some(held) = objects.get(uid).map(|held| version_of(&**held)) else {
            return false;
        };
        if version >= held {
            objects.remove(uid);
        }
        version == held
    }

    /// The object is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use aimass_crds::ModelDeployment;

    use super::*;

    fn model(version: &str) -> ModelDeployment {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "aimass.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "iris", "uid": "u", "resourceVersion": version},
            "spec": {"model": {"source": {"configMap": {"name": "iris"}}}},
        }))
        .unwrap()
    }

    fn version(overlay: &Overlay<ModelDeployment>, cached: &str) -> u64 {
        version_of(&*overlay.newest(&model(cached)))
    }

    #[test]
    fn the_newer_one_wins_whoever_knows_it() {
        let overlay = Overlay::default();
        assert_eq!(version(&overlay, "9"), 9);
        overlay.reported(model("10"));
        assert_eq!(version(&overlay, "9"), 10);
        assert_eq!(version(&overlay, "11"), 11);
        overlay.reported(model("8"));
        assert_eq!(version(&overlay, "9"), 10);
    }

    #[test]
    fn the_event_of_an_own_report_is_recognised_and_ends_the_overlay() {
        let overlay = Overlay::default();
        overlay.reported(model("10"));
        assert!(!overlay.caught_up("u", 9));
        assert!(overlay.caught_up("u", 10));
        assert!(!overlay.caught_up("u", 10));
        overlay.reported(model("12"));
        assert!(!overlay.caught_up("u", 13));
        assert_eq!(version(&overlay, "9"), 9);
    }
}
