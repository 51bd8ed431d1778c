//! Objects of the cluster → the table.
//!
//! Pure. [`Objects`] is all that is known, cut down to what the table needs; `watch` feeds it with what the streams say
//! and asks for a table when something has changed. [`cut`] reads objects, [`store`] keeps them, [`deployment`] joins a
//! model with its endpoints.
//!
//! An object that is not understood keeps its last good entry and stops only itself: a [`Nack`] says so. Of two objects that
//! want one name, the older one has it.

mod claim;
pub mod cut;
pub mod deployment;
pub mod store;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::{Deployment, Key, Plan, Table};
use crate::limit::Member;
use claim::{Claimed, settle};
use cut::{Credentials, Model, Slice};
use store::{Event, Name, Scope, Store};

/// ModelDeployments at most.
const MODELS: usize = 20_000;
/// APIKeys at most, and ids of their credentials.
const KEYS: usize = 100_000;
/// UsagePlans at most.
const PLANS: usize = 10_000;
/// EndpointSlices at most.
const SLICES: usize = 100_000;
/// EndpointSlices of gateways at most.
const PEERS: usize = 100;

/// Something that is not obeyed, and why: for the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nack {
    /// `ModelDeployment`, `APIKey` …
    pub kind: Kind,
    /// Which object.
    pub object: Name,
    /// What is wrong, and what holds instead.
    pub text: String,
}

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `modeldeployments.aimass.dev`
    Model,
    /// `endpointslices.discovery.k8s.io`
    Slice,
    /// `apikeys.aimass.dev`
    Key,
    /// `usageplans.aimass.dev`
    Plan,
    /// `endpointslices.discovery.k8s.io` of the gateways themselves
    Peer,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Model, Self::Slice, Self::Key, Self::Plan, Self::Peer];

    /// As Kubernetes writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "ModelDeployment",
            Self::Slice => "EndpointSlice",
            Self::Key => "APIKey",
            Self::Plan => "UsagePlan",
            Self::Peer => "EndpointSlice of gateways",
        }
    }
}

/// What a stream says of one kind.
#[derive(Debug)]
pub enum Change {
    /// Of ModelDeployments.
    Model(Event<Model>),
    /// Of EndpointSlices.
    Slice(Event<Slice>),
    /// Of APIKeys.
    Key(Event<Credentials>),
    /// Of UsagePlans.
    Plan(Event<Arc<Plan>>),
    /// Of EndpointSlices of the gateways.
    Peer(Event<Vec<Member>>),
}

/// What the next table cannot take over from the one before.
#[derive(Debug, Default)]
struct Changed {
    models: HashSet<Name>,
    keys: bool,
    plans: bool,
    peers: bool,
    /// How much is not obeyed.
    nacks: bool,
}

/// All that is known of the cluster.
#[derive(Debug)]
pub struct Objects {
    models: Store<Model>,
    slices: Store<Slice>,
    keys: Store<Credentials>,
    plans: Store<Arc<Plan>>,
    peers: Store<Vec<Member>>,
    /// The slices of each model.
    slices_of: HashMap<Name, BTreeSet<Name>>,
    /// Credentials whose ids are those of older objects, when keys were last built.
    lost_ids: usize,
    changed: Changed,
}

impl Default for Objects {
    fn default() -> Self {
        Self {
            models: Store::new(MODELS),
            slices: Store::new(SLICES),
            keys: Store::new(KEYS),
            plans: Store::new(PLANS),
            peers: Store::new(PEERS),
            slices_of: HashMap::new(),
            lost_ids: 0,
            changed: Changed::default(),
        }
    }
}

impl Objects {
    /// Takes over what the stream of `scope` says. Says what is not obeyed.
    pub fn apply(&mut self, scope: &Scope, change: Change) -> Vec<Nack> {
        let before = self.refused();
        let Self {
            models,
            slices,
            keys,
            plans,
            peers,
            slices_of,
            lost_ids: _,
            changed,
        } = self;
        let (kind, refused) = match change {
            Change::Model(event) => {
                let refused = models.apply(scope, event, |name, _, _| {
                    changed.models.insert(name.clone());
                });
                (Kind::Model, refused)
            }
            Change::Slice(event) => {
                let refused = slices.apply(scope, event, |name, old, new| {
                    if let Some(old) = old {
                        let model = name.beside(&old.deployment);
                        if let Entry::Occupied(mut of) = slices_of.entry(model.clone()) {
                            of.get_mut().remove(name);
                            if of.get().is_empty() {
                                of.remove();
                            }
                        }
                        changed.models.insert(model);
                    }
                    if let Some(new) = new {
                        let model = name.beside(&new.deployment);
                        let of = slices_of.entry(model.clone()).or_default();
                        of.insert(name.clone());
                        changed.models.insert(model);
                    }
                });
                (Kind::Slice, refused)
            }
            Change::Key(event) => {
                let refused = keys.apply(scope, event, |_, _, _| changed.keys = true);
                (Kind::Key, refused)
            }
            Change::Plan(event) => {
                let refused = plans.apply(scope, event, |_, _, _| changed.plans = true);
                (Kind::Plan, refused)
            }
            Change::Peer(event) => {
                let refused = peers.apply(scope, event, |_, _, _| changed.peers = true);
                (Kind::Peer, refused)
            }
        };
        self.changed.nacks |= self.refused() != before;
        let nack = |(object, text)| Nack { kind, object, text };
        refused.into_iter().map(nack).collect()
    }

    /// How many objects there are of which something is not obeyed.
    fn refused(&self) -> usize {
        let Self {
            models,
            slices,
            keys,
            plans,
            peers,
            slices_of: _,
            lost_ids: _,
            changed: _,
        } = self;
        let objects = [
            models.refused(),
            slices.refused(),
            keys.refused(),
            plans.refused(),
            peers.refused(),
        ];
        objects.iter().sum()
    }

    /// Whether a table would differ from the last one that was built.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        let Changed {
            models,
            keys,
            plans,
            peers: _, // in no table: see `peers`
            nacks,
        } = &self.changed;
        *keys || *plans || *nacks || !models.is_empty()
    }

    /// The gateways that there are, if that has changed since the last call.
    #[must_use]
    pub fn peers(&mut self) -> Option<Vec<Member>> {
        let changed = std::mem::take(&mut self.changed.peers);
        let members = || self.peers.iter().flat_map(|(_, slice)| slice.value.clone());
        changed.then(|| members().collect())
    }

    /// The table of what is known now. What has not changed since the last call is shared with `previous`, which must be what
    /// that call returned; live state is found again there by uid.
    ///
    /// O(objects): a lookup for each model, and everything else only for those that changed.
    #[must_use]
    pub fn build(&mut self, previous: &Table) -> (Table, Vec<Nack>) {
        let peers = self.changed.peers;
        let changed = std::mem::take(&mut self.changed);
        self.changed.peers = peers;
        let first = previous.version == 0;
        let mut nacks = Vec::new();
        let models = self.build_models(previous, &changed, &mut nacks);
        let keys = match changed.keys || first {
            true => {
                let before = nacks.len();
                let keys = self.build_keys(&mut nacks);
                self.lost_ids = nacks.len().saturating_sub(before);
                keys
            }
            false => previous.keys.clone(),
        };
        let plans = match changed.plans || first {
            true => self.plans.iter().map(named_plan).collect(),
            false => previous.plans.clone(),
        };
        nacks.sort();
        let lost = self.nameless(&models).saturating_add(self.lost_ids);
        let table = Table {
            nacks: u32::try_from(self.refused().saturating_add(lost)).unwrap_or(u32::MAX),
            version: previous.version.saturating_add(1),
            models,
            keys,
            plans,
        };
        (table, nacks)
    }

    fn build_models(
        &self,
        previous: &Table,
        changed: &Changed,
        nacks: &mut Vec<Nack>,
    ) -> HashMap<Arc<str>, HashMap<Arc<str>, Arc<Deployment>>> {
        let by_uid = match changed.models.is_empty() {
            true => HashMap::new(),
            false => by_uid(previous),
        };
        let mut models: HashMap<_, HashMap<Arc<str>, Claimed<Arc<Deployment>>>> = HashMap::new();
        for (name, model) in self.models.iter().filter(|(_, model)| !model.value.deleted) {
            let known = previous
                .model(&name.namespace, &model.value.served_name)
                .filter(|known| known.uid == model.uid && !changed.models.contains(name));
            let deployment = match known {
                Some(known) => Arc::clone(known),
                None => {
                    let slices = self.slices_of.get(name).into_iter().flatten();
                    let slices = slices.filter_map(|slice| self.slices.get(slice));
                    let slices: Vec<&Slice> = slices.collect();
                    let before = by_uid.get(&*model.uid).copied();
                    let (deployment, noted) = deployment::join(name, model, &slices, before);
                    nacks.extend(noted.into_iter().map(|text| Nack {
                        kind: Kind::Model,
                        object: name.clone(),
                        text,
                    }));
                    Arc::new(deployment)
                }
            };
            let claim = Claimed {
                claim: (model.value.created, Arc::clone(&model.uid)),
                by: name.clone(),
                value: deployment,
            };
            let served = models.entry(Arc::clone(&name.namespace)).or_default();
            let what = || format!("the name {}", model.value.served_name);
            let served_name = Arc::clone(&model.value.served_name);
            nacks.extend(settle(served, served_name, claim, Kind::Model, what));
        }
        let unclaimed = |served: HashMap<_, Claimed<_>>| {
            let plain = |(name, claimed): (_, Claimed<_>)| (name, claimed.value);
            served.into_iter().map(plain).collect()
        };
        models
            .into_iter()
            .map(|(namespace, served)| (namespace, unclaimed(served)))
            .collect()
    }

    /// How many models have lost their names to older ones.
    fn nameless(&self, models: &HashMap<Arc<str>, HashMap<Arc<str>, Arc<Deployment>>>) -> usize {
        let served: usize = models.values().map(HashMap::len).sum();
        let all = self.models.iter().filter(|(_, model)| !model.value.deleted);
        all.count().saturating_sub(served)
    }

    fn build_keys(&self, nacks: &mut Vec<Nack>) -> HashMap<Arc<str>, Arc<Key>> {
        let mut keys: HashMap<Arc<str>, Claimed<Arc<Key>>> = HashMap::new();
        for (name, credentials) in self.keys.iter() {
            for (id, key) in &credentials.value.keys {
                let claim = Claimed {
                    claim: (credentials.value.created, Arc::clone(&credentials.uid)),
                    by: name.clone(),
                    value: Arc::clone(key),
                };
                let what = || format!("the id {id}");
                nacks.extend(settle(&mut keys, Arc::clone(id), claim, Kind::Key, what));
            }
        }
        keys.into_iter()
            .map(|(id, claimed)| (id, claimed.value))
            .collect()
    }
}

fn named_plan((name, plan): (&Name, &store::Held<Arc<Plan>>)) -> (Arc<str>, Arc<Plan>) {
    (Arc::clone(&name.name), Arc::clone(&plan.value))
}

fn by_uid(previous: &Table) -> HashMap<&str, &Deployment> {
    let deployments = previous.models.values().flat_map(HashMap::values);
    deployments
        .map(|deployment| (&*deployment.uid, &**deployment))
        .collect()
}

#[cfg(test)]
mod tests;
