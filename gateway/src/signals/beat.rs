//! What all models have to do, taken from their meters.
//!
//! Pure but for the meters: time is an argument. Called by `signals`, once a second and when requests have come to obey another
//! traffic, with what [`Obeyed`] said just before: so who is counted here as assigned goes by that, or was counted before.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aimass_crds::signals::{KEYS, Load, SPAN_MS, Seen, Taken, is_revision, is_uid};

use super::span::Span;
use crate::table::live::health::Standing;
use crate::table::retired::Obeyed;
use crate::table::{Deployment, EndpointState, Revision, Table};

/// The operator takes no longer spans: whoever has slept has missed the rest.
const LONGEST: Duration = Duration::from_millis(SPAN_MS as u64);

/// What was told of all models.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// The version of the table.
    pub(super) table: u64,
    /// By uid.
    models: HashMap<Arc<str>, Model>,
}

#[derive(Clone, Debug)]
struct Model {
    name: String,
    traffic_version: i64,
}

/// Takes the spans, one after the other.
#[derive(Debug)]
pub(super) struct Beat {
    /// The end of the last one.
    last: Instant,
    told: Arc<Told>,
}

impl Beat {
    /// The first span begins `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last: now,
            told: Arc::default(),
        }
    }

    /// What was told so far.
    pub(super) fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told)
    }

    /// How long the span is by now.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last)
    }

    /// What the span brought that ends `now`.
    ///
    /// O(models and pods).
    pub(super) fn take(&mut self, table: &Table, obeyed: &Obeyed, now: Instant) -> Span {
        let length = self.age(now).min(LONGEST);
        let ms = u32::try_from(length.as_millis()).unwrap_or_default();
        // What is less than a millisecond is told with the next one.
        let whole = Duration::from_millis(ms.into());
        self.last = now.checked_sub(length.saturating_sub(whole)).unwrap_or(now);
        let told = Arc::make_mut(&mut self.told);
        told.table = table.version;
        let mut span = Span {
            ms,
            table: table.version,
            nacks: table.nacks,
            ..Span::default()
        };
        let mut count = 0_usize;
        for deployment in models(table) {
            count = count.saturating_add(1);
            let traffic_version = obeyed.traffic_version(deployment).max(0);
            let revisions = deployment.revisions.iter();
            let loads = revisions.filter_map(|revision| load(revision, now, length));
            let revisions: Vec<Load> = loads.collect();
            if !told.say(deployment, traffic_version) && revisions.is_empty() {
                continue;
            }
            let seen = Seen {
                uid: deployment.uid.as_ref().to_owned(),
                name: name(deployment),
                traffic_version,
                revisions,
            };
            span.seen.insert(seen.uid.clone(), seen);
        }
        if told.models.len() > count {
            let there: HashSet<&str> = models(table).map(|model| &*model.uid).collect();
            told.models.retain(|uid, _| there.contains(&**uid));
        }
        span
    }
}

impl Told {
    /// Notes what of a model is told; whether it is news.
    fn say(&mut self, deployment: &Deployment, traffic_version: i64) -> bool {
        match self.models.get_mut(&deployment.uid) {
            Some(model) => {
                let before = std::mem::replace(&mut model.traffic_version, traffic_version);
                before != traffic_version
            }
            None => {
                let model = Model {
                    name: name(deployment),
                    traffic_version,
                };
                self.models.insert(Arc::clone(&deployment.uid), model);
                true
            }
        }
    }

    /// All models, for a reader that knows of none.
    pub(super) fn all(&self) -> Vec<Taken> {
        let taken = |(uid, model): (&Arc<str>, &Model)| Taken {
            uid: uid.as_ref().to_owned(),
            name: model.name.clone(),
            traffic_version: model.traffic_version,
        };
        self.models.iter().map(taken).collect()
    }
}

/// Takes the uids of the keys that were used since the last call; of too many some are left for the next one.
pub(super) fn used(table: &Table) -> BTreeSet<Arc<str>> {
    let mut used = BTreeSet::new();
    for key in table.keys.values() {
        let room = used.len() < KEYS || used.contains(&key.uid);
        if room && is_uid(&key.uid) && key.used.swap(false, Ordering::Relaxed) {
            used.insert(Arc::clone(&key.uid));
        }
    }
    used
}

fn models(table: &Table) -> impl Iterator<Item = &Deployment> {
    let all = table.models.values().flat_map(HashMap::values);
    all.map(|model| &**model).filter(|model| is_uid(&model.uid))
}

fn name(deployment: &Deployment) -> String {
    format!("{}/{}", deployment.namespace, deployment.name)
}

fn load(revision: &Revision, now: Instant, length: Duration) -> Option<Load> {
    // The operator would leave this gateway for others.
    if !is_revision(&revision.name) {
        return None;
    }
    let load = revision
        .live
        .meter
        .take(now, length, endpoints(revision, now))?;
    Some(Load {
        revision: revision.name.as_ref().to_owned(),
        ..load
    })
}

/// Pods that may be chosen, and those that are left out for having failed.
fn endpoints(revision: &Revision, now: Instant) -> (u32, u32) {
    let (mut usable, mut ejected) = (0_u32, 0_u32);
    for endpoint in &revision.endpoints {
        match endpoint.live.standing(now) {
            Standing::Out { .. } | Standing::Trial => ejected = ejected.saturating_add(1),
            Standing::In if endpoint.now() == EndpointState::Ready => {
                usable = usable.saturating_add(1);
            }
            Standing::In | Standing::Resting => {}
        }
    }
    (usable, ejected)
}

#[cfg(test)]
mod tests;
