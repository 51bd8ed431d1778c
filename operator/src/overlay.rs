//! The models as our own reports left them, until the cache has caught up.
//!
//! Pure but for its lock. Written by `report`, read by `model::reconcile`, cleared by `watch`. Thus
//! a lagging watch never makes a second report, nor a decision on a status that is out of date.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aimass_crds::ModelDeployment;

use crate::cache::version_of;

/// Beyond it reports are not remembered: the worst that follows is a report too many.
const MODELS: usize = 10_000;

/// The last report of each model, by uid.
#[derive(Debug, Default)]
pub(crate) struct Overlay(Mutex<BTreeMap<String, Arc<ModelDeployment>>>);

impl Overlay {
    /// The API server returned `model` for our report.
    pub(crate) fn reported(&self, mut model: ModelDeployment) {
        let Some(uid) = model.metadata.uid.clone() else {
            return;
        };
        model.metadata.managed_fields = None;
        let mut models = self.lock();
        let newer = models
            .get(&uid)
            .is_none_or(|held| version_of(&**held) < version_of(&model));
        let fits = models.len() < MODELS || models.contains_key(&uid);
        if newer && fits {
            models.insert(uid, Arc::new(model));
        }
    }

    /// The newer of `model` and what we know of it.
    pub(crate) fn newest(&self, model: &ModelDeployment) -> Arc<ModelDeployment> {
        let uid = model.metadata.uid.as_deref().unwrap_or_default();
        match self.lock().get(uid) {
            Some(held) if version_of(&**held) > version_of(model) => Arc::clone(held),
            _ => Arc::new(model.clone()),
        }
    }

    /// The watch has brought `version` of the model; whether that is exactly our own report.
    pub(crate) fn caught_up(&self, uid: &str, version: u64) -> bool {
        let mut models = self.lock();
        let Some(held) = models.get(uid).map(|held| version_of(&**held)) else {
            return false;
        };
        if version >= held {
            models.remove(uid);
        }
        version == held
    }

    /// The model is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<ModelDeployment>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
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

    fn version(overlay: &Overlay, cached: &str) -> u64 {
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
