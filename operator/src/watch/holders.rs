//! Which APIKeys claim an id, name a plan or name a model, and which plans and models there are: the
//! reverse of `spec.credentials`, `spec.plan` and `spec.models`.
//!
//! Pure but for its lock. Kept by `watch` from the streams of the three kinds, which announce whoever
//! a change concerns; asked by the `observe` of keys and plans. Bounded by the number of objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aimass_crds::APIKey;
use aimass_crds::api_key::seniority;
use jiff::Timestamp;

use crate::cache::{Key, key_of};

/// Age and uid, as `aimass_crds::api_key::seniority` orders them.
type Seniority = (Option<Timestamp>, Option<String>);

/// Keys by what they name.
#[derive(Debug, Default)]
pub(crate) struct Holders(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    keys: BTreeMap<Key, Named>,
    /// Who claims an id, the oldest first.
    claims: BTreeMap<String, BTreeSet<(Seniority, Key)>>,
    by_plan: BTreeMap<String, BTreeSet<Key>>,
    by_model: BTreeMap<Key, BTreeSet<Key>>,
    plans: BTreeSet<String>,
    models: BTreeSet<Key>,
}

/// What one key names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    seniority: Seniority,
    ids: BTreeSet<String>,
    plan: Option<String>,
    models: BTreeSet<String>,
}

/// Whom a change concerns, beside the object that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Concerned {
    pub(crate) keys: BTreeSet<Key>,
    pub(crate) plans: BTreeSet<String>,
}

impl Holders {
    /// The key is there.
    pub(crate) fn key(&self, key: &APIKey) -> Concerned {
        self.lock().put(&key_of(key), Some(named(key)))
    }

    /// The key is gone, or does not decode.
    pub(crate) fn no_key(&self, key: &Key) -> Concerned {
        self.lock().put(key, None)
    }

    /// There are no other keys than these.
    pub(crate) fn only_keys(&self, there: &BTreeSet<Key>) -> Concerned {
        let mut inner = self.lock();
        let known: Vec<Key> = inner.keys.keys().cloned().collect();
        let gone = known.iter().filter(|key| !there.contains(*key));
        let mut all = Concerned::default();
        for concerned in gone.map(|key| inner.put(key, None)) {
            all.keys.extend(concerned.keys);
            all.plans.extend(concerned.plans);
        }
        all
    }

    /// The plan is there, or no longer. Whom that concerns, if it is news.
    pub(crate) fn plan(&self, name: &str, there: bool) -> Concerned {
        let mut inner = self.lock();
        if !there && inner.plans.remove(name) || there && inner.plans.insert(name.to_owned()) {
            inner.naming_plan(name)
        } else {
            Concerned::default()
        }
    }

    /// There are no other plans than these.
    pub(crate) fn only_plans(&self, there: &BTreeSet<Key>) -> Concerned {
        let known = self.lock().plans.clone();
        let gone = known
            .into_iter()
            .filter(|plan| !there.iter().any(|key| key.name == *plan));
        let concerned = gone.flat_map(|plan| self.plan(&plan, false).keys);
        Concerned {
            keys: concerned.collect(),
            plans: BTreeSet::new(),
        }
    }

    /// The model is there, or no longer. Whom that concerns, if it is news.
    pub(crate) fn model(&self, model: &Key, there: bool) -> Concerned {
        let mut inner = self.lock();
        let news =
            !there && inner.models.remove(model) || there && inner.models.insert(model.clone());
        let keys = inner.by_model.get(model).filter(|_| news);
        Concerned {
            keys: keys.cloned().unwrap_or_default(),
            plans: BTreeSet::new(),
        }
    }

    /// There are no other models than these.
    pub(crate) fn only_models(&self, there: &BTreeSet<Key>) -> Concerned {
        let known = self.lock().models.clone();
        let gone = known.difference(there);
        Concerned {
            keys: gone
                .flat_map(|model| self.model(model, false).keys)
                .collect(),
            plans: BTreeSet::new(),
        }
    }

    /// The key that has the id: the oldest of those that claim it.
    pub(crate) fn owner(&self, id: &str) -> Option<Key> {
        let inner = self.lock();
        let (_, key) = inner.claims.get(id)?.first()?;
        Some(key.clone())
    }

    /// Whether there is such a plan.
    pub(crate) fn has_plan(&self, name: &str) -> bool {
        self.lock().plans.contains(name)
    }

    /// Whether there is such a model.
    pub(crate) fn has_model(&self, model: &Key) -> bool {
        self.lock().models.contains(model)
    }

    /// How many keys name the plan.
    pub(crate) fn keys_of_plan(&self, name: &str) -> usize {
        self.lock().by_plan.get(name).map_or(0, BTreeSet::len)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Replaces what is known of `key`. Concerned are the other keys that claim its ids, now or
    /// before, and the plan that it names or named, if that changed.
    fn put(&mut self, key: &Key, named: Option<Named>) -> Concerned {
        let before = self.keys.get(key).cloned();
        if before == named {
            return Concerned::default();
        }
        let mut concerned = Concerned::default();
        if let Some(before) = &before {
            self.remove(key, before, &mut concerned);
        }
        if let Some(named) = &named {
            self.insert(key, named, &mut concerned);
        }
        let plan = |named: &Option<Named>| named.as_ref().and_then(|named| named.plan.clone());
        let (old, new) = (plan(&before), plan(&named));
        if old != new {
            concerned.plans.extend(old.into_iter().chain(new));
        }
        concerned.keys.remove(key);
        match named {
            Some(named) => self.keys.insert(key.clone(), named),
            None => self.keys.remove(key),
        };
        concerned
    }

    fn insert(&mut self, key: &Key, named: &Named, concerned: &mut Concerned) {
        for id in &named.ids {
            let claims = self.claims.entry(id.clone()).or_default();
            let others = claims.iter().map(|(_, other)| other.clone());
            concerned.keys.extend(others);
            claims.insert((named.seniority.clone(), key.clone()));
        }
        if let Some(plan) = &named.plan {
            let holders = self.by_plan.entry(plan.clone()).or_default();
            holders.insert(key.clone());
        }
        for model in models_of(key, named) {
            self.by_model.entry(model).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &Key, named: &Named, concerned: &mut Concerned) {
        for id in &named.ids {
            if let Some(claims) = self.claims.get_mut(id) {
                claims.remove(&(named.seniority.clone(), key.clone()));
                let others = claims.iter().map(|(_, other)| other.clone());
                concerned.keys.extend(others);
                if claims.is_empty() {
                    self.claims.remove(id);
                }
            }
        }
        if let Some(plan) = &named.plan {
            take(&mut self.by_plan, plan, key);
        }
        for model in models_of(key, named) {
            take(&mut self.by_model, &model, key);
        }
    }

    fn naming_plan(&self, name: &str) -> Concerned {
        Concerned {
            keys: self.by_plan.get(name).cloned().unwrap_or_default(),
            plans: BTreeSet::new(),
        }
    }
}

/// Takes `key` out of the set at `at`, and the set if nothing is left of it.
fn take<A: Ord>(map: &mut BTreeMap<A, BTreeSet<Key>>, at: &A, key: &Key) {
    if let Some(set) = map.get_mut(at) {
        set.remove(key);
        if set.is_empty() {
            map.remove(at);
        }
    }
}

fn models_of(key: &Key, named: &Named) -> impl Iterator<Item = Key> {
    let namespace = key.namespace.clone();
    let names: Vec<String> = named.models.iter().cloned().collect();
    names.into_iter().map(move |name| Key {
        namespace: namespace.clone(),
        name,
    })
}

fn named(key: &APIKey) -> Named {
    let (created, uid) = seniority(key);
    let spec = &key.spec;
    let ids = spec.credentials.iter().map(|credential| &credential.id);
    let models = spec.models.iter().filter(|name| *name != "*");
    Named {
        seniority: (created, uid.map(str::to_owned)),
        ids: ids.cloned().collect(),
        plan: spec.plan.clone(),
        models: models.cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(namespace: &str, name: &str) -> Key {
        Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// A key of namespace `a`, made at `second`, with one credential.
    fn made(name: &str, second: u8, id: &str, plan: Option<&str>) -> APIKey {
        serde_json::from_value(json!({
            "apiVersion": "aimass.dev/v1alpha1", "kind": "APIKey",
            "metadata": {
                "name": name, "namespace": "a", "uid": name,
                "creationTimestamp": format!("2026-01-01T00:00:0{second}Z"),
            },
            "spec": {
                "models": ["iris"], "plan": plan, "credentials": [{"id": id, "sha256": "00"}],
            },
        }))
        .unwrap()
    }

    fn keys(names: &[&str]) -> Concerned {
        Concerned {
            keys: names.iter().map(|name| key("a", name)).collect(),
            plans: BTreeSet::new(),
        }
    }

    fn plans(names: &[&str]) -> Concerned {
        Concerned {
            keys: BTreeSet::new(),
            plans: names.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn the_oldest_key_has_the_id_whoever_came_into_sight_first() {
        let holders = Holders::default();
        assert_eq!(holders.key(&made("young", 2, "x", None)), keys(&[]));
        assert_eq!(holders.owner("x"), Some(key("a", "young")));
        assert_eq!(holders.key(&made("old", 1, "x", None)), keys(&["young"]));
        assert_eq!(holders.owner("x"), Some(key("a", "old")));
        assert_eq!(holders.no_key(&key("a", "old")), keys(&["young"]));
        assert_eq!(holders.owner("x"), Some(key("a", "young")));
        assert_eq!(holders.owner("y"), None);
    }

    #[test]
    fn a_key_that_is_as_before_concerns_nobody() {
        let holders = Holders::default();
        holders.key(&made("old", 1, "x", Some("free")));
        holders.key(&made("young", 2, "x", Some("free")));
        let again = holders.key(&made("young", 2, "x", Some("free")));
        assert_eq!(again, Concerned::default());
    }

    #[test]
    fn plans_are_counted_and_told_when_they_are_named_or_no_longer() {
        let holders = Holders::default();
        let free = made("ana", 1, "x", Some("free"));
        assert_eq!(holders.key(&free), plans(&["free"]));
        assert_eq!(holders.keys_of_plan("free"), 1);
        let gold = made("ana", 1, "x", Some("gold"));
        assert_eq!(holders.key(&gold), plans(&["free", "gold"]));
        assert_eq!(holders.keys_of_plan("free"), 0);
        assert_eq!(holders.no_key(&key("a", "ana")), plans(&["gold"]));
    }

    #[test]
    fn a_plan_that_comes_or_goes_concerns_its_keys_once() {
        let holders = Holders::default();
        holders.key(&made("ana", 1, "x", Some("free")));
        assert!(!holders.has_plan("free"));
        assert_eq!(holders.plan("free", true), keys(&["ana"]));
        assert_eq!(holders.plan("free", true), keys(&[]));
        assert!(holders.has_plan("free"));
        assert_eq!(holders.only_plans(&BTreeSet::new()), keys(&["ana"]));
        assert!(!holders.has_plan("free"));
    }

    #[test]
    fn a_model_that_comes_or_goes_concerns_the_keys_of_its_namespace() {
        let holders = Holders::default();
        holders.key(&made("ana", 1, "x", None));
        assert_eq!(holders.model(&key("b", "iris"), true), keys(&[]));
        assert_eq!(holders.model(&key("a", "iris"), true), keys(&["ana"]));
        assert!(holders.has_model(&key("a", "iris")));
        let only = BTreeSet::from([key("b", "iris")]);
        assert_eq!(holders.only_models(&only), keys(&["ana"]));
        assert!(!holders.has_model(&key("a", "iris")));
    }

    #[test]
    fn nothing_is_left_of_keys_that_are_gone() {
        let holders = Holders::default();
        holders.key(&made("ana", 1, "x", Some("free")));
        holders.key(&made("ben", 2, "x", None));
        let concerned = holders.only_keys(&BTreeSet::new());
        assert_eq!(concerned.plans, plans(&["free"]).plans);
        let inner = holders.lock();
        assert!(inner.keys.is_empty() && inner.claims.is_empty());
        assert!(inner.by_plan.is_empty() && inner.by_model.is_empty());
    }
}
