//! What was read since this instance leads.
//!
//! Pure. Each method is one of `Desk`, which holds the lock and knows which models there are.

mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use aimass_crds::ModelDeployment;
use aimass_crds::model_deployment::Weight;
use aimass_crds::signals::{Full, Report, Seen, Wake};
use aimass_plan::model::scale::{Coverage, Span, Tick};
use aimass_plan::model::{Platform, Signals, scaling_rules};
use jiff::Timestamp;

use super::counting::Counting;
use super::gateway::Gateway;
use super::record::Record;
use super::scaled::{Around, Pods, Scaled};
use super::watched::Watched;
use crate::cache::Key;
use crate::signals::endpoints::Live;
use crate::signals::known::{Known, Uid};

/// A gateway that comes or falls silent concerns all models: they are looked through once it has had
/// the time to say more.
const SETTLES: Duration = Duration::from_secs(2);
/// Decisions that are kept of all models together.
const RECORDS: usize = 32 << 10;

/// What was read since this instance leads.
#[derive(Debug)]
pub(super) struct Reading {
    coverage: Coverage,
    gateways: BTreeMap<Uid, Gateway>,
    models: BTreeMap<Uid, Model>,
    /// Models to decide each second.
    awake: BTreeSet<Uid>,
    /// Since when something has changed that concerns all models.
    changed: Option<Tick>,
    /// Whether all models were decided once.
    pub(super) is_decided: bool,
}

/// What is known of one model over all gateways.
#[derive(Debug, Default)]
struct Model {
    counting: Counting,
    /// `None` where the load decides nothing, or nobody has looked yet.
    scaled: Option<Scaled>,
    watched: Watched,
    /// What the last plan saw of the gateways, in short.
    shown: Option<u64>,
    /// Revisions without weight on which the last plan saw requests.
    draining: BTreeSet<String>,
}

/// What there is to do in a second.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Second {
    /// Models to decide.
    pub(crate) due: Vec<Key>,
    /// Models for which a plan would see something else now.
    pub(crate) concerned: Vec<Key>,
}

impl Reading {
    /// Nothing was read; all models are to be looked at.
    pub(super) fn new(known: &Known, now: Tick) -> Self {
        Self {
            coverage: Coverage::new(now),
            gateways: BTreeMap::new(),
            models: BTreeMap::new(),
            awake: known.all().cloned().collect(),
            changed: None,
            is_decided: false,
        }
    }

    pub(super) fn wake_up(&mut self, uid: &Uid) {
        self.awake.insert(Arc::clone(uid));
    }

    pub(super) fn forget(&mut self, uid: &Uid) {
        self.models.remove(uid);
        self.awake.remove(uid);
        for gateway in self.gateways.values_mut() {
            gateway.forget(uid);
        }
    }

    pub(super) fn live(&mut self, live: &Live, now: Tick) {
        let before = self.gateways.len();
        self.gateways.retain(|uid, _| live.contains_key(uid));
        let mut changed = self.gateways.len() != before;
        for uid in live.keys() {
            self.gateways.entry(Arc::clone(uid)).or_insert_with(|| {
                changed = true;
                Gateway::default()
            });
        }
        if changed {
            self.changed.get_or_insert(now);
        }
    }

    pub(super) fn connected(&mut self, gateway: &str) {
        self.coverage.connected(gateway);
        if let Some(gateway) = self.gateways.get_mut(gateway) {
            gateway.connected();
        }
    }

    pub(super) fn disconnected(&mut self, gateway: &str) {
        if let Some(gateway) = self.gateways.get_mut(gateway) {
            gateway.connected = false;
        }
    }

    pub(super) fn full(&mut self, known: &Known, gateway: &str, full: &Full, last: bool) {
        let versions = full.deployments.iter().filter_map(|taken| {
            let (uid, _) = known.get(&taken.uid)?;
            Some((Arc::clone(uid), taken.traffic_version))
        });
        if let Some(gateway) = self.gateways.get_mut(gateway) {
            gateway.introduce(versions, last);
        }
    }

    pub(super) fn report(
        &mut self,
        known: &Known,
        gateway: &str,
        report: &Report,
        now: Tick,
    ) -> Vec<Key> {
        let Some(from) = self.gateways.get_mut(gateway) else {
            return Vec::new();
        };
        // What found no room in one line goes on in another, which has no time of its own.
        let span = Duration::from_millis(report.span_ms.into());
        let placed = (!span.is_zero()).then(|| self.coverage.report(gateway, span, now));
        let span = from.spans(placed, now);
        if from.heard(now) {
            self.changed.get_or_insert(now);
        }
        let mut concerned = Vec::new();
        for seen in &report.deployments {
            if let Some((uid, key)) = known.get(&seen.uid)
                && self.seen(gateway, uid, seen, (span, now))
            {
                concerned.push(key.clone());
            }
        }
        concerned
    }

    pub(super) fn wake(
        &mut self,
        known: &Known,
        gateway: &str,
        wake: &Wake,
        now: Tick,
    ) -> Option<Key> {
        let (uid, key) = known.get(&wake.uid)?;
        let gateway = self.gateways.get_mut(gateway)?;
        let is_news = gateway.woken(uid, &wake.revision, wake.queued);
        let model = self.models.get_mut(uid);
        if let Some(scaled) = model.and_then(|model| model.scaled.as_mut()) {
            scaled.woken(now);
        }
        self.wake_up(uid);
        is_news.then(|| key.clone())
    }

    pub(super) fn second(&mut self, known: &Known, now: Tick) -> Second {
        let live = self.gateways.keys().map(|uid| (**uid).to_owned());
        self.coverage.close(&live.collect(), now);
        for gateway in self.gateways.values_mut() {
            let silent = gateway.silent(now);
            if std::mem::replace(&mut gateway.was_silent, silent) != silent {
                self.changed.get_or_insert(now);
            }
        }
        let key = |uid: &Uid| known.get(uid).map(|(_, key)| key.clone());
        let mut concerned = Vec::new();
        if self
            .changed
            .is_some_and(|since| now.since(since) >= SETTLES)
        {
            self.changed = None;
            let differs = |uid: &&Uid| self.differs(uid, now);
            concerned = self.models.keys().filter(differs).filter_map(key).collect();
        }
        let due = self.awake.iter().filter_map(key).collect();
        Second { due, concerned }
    }

    pub(super) fn decide(
        &mut self,
        (uid, model): (&Uid, &ModelDeployment),
        platform: &Platform,
        pods: &Pods,
        (now, time): (Tick, Timestamp),
    ) -> bool {
        let records = RECORDS / self.models.len().max(1);
        let is_heard = self.is_heard(now);
        let kept = self.models.entry(Arc::clone(uid)).or_default();
        kept.watched.respec(model, now);
        let is_judged = is_heard && kept.watched.look(now);
        if !is_heard {
            kept.watched.skip();
        }
        if !kept
            .scaled
            .as_ref()
            .is_some_and(|scaled| scaled.is_of(model))
        {
            match (scaling_rules(model, platform), &mut kept.scaled) {
                (None, scaled) => *scaled = None,
                (Some(rules), Some(scaled)) => scaled.respec(model, rules, now),
                (Some(rules), scaled) => *scaled = Some(Scaled::new(model, rules, pods, now)),
            }
        }
        let around = Around {
            coverage: &self.coverage,
            pods,
            waiting: self.gateways.values().any(|gateway| gateway.waits(uid)),
            time,
            records,
        };
        let scaled = kept.scaled.as_mut();
        let is_scaled = scaled.is_some_and(|scaled| scaled.decide(around, now));
        let mut scaled = kept.scaled.iter();
        if kept.watched.rests() && scaled.all(|scaled| scaled.rests(now)) {
            self.awake.remove(uid);
        }
        is_scaled || is_judged
    }

    /// Models of the namespace whose number a quota limits.
    pub(super) fn held(&self, known: &Known, namespace: &str) -> Vec<Key> {
        let is_held = |uid: &Uid| {
            let model = self.models.get(uid);
            let scaled = model.and_then(|model| model.scaled.as_ref());
            scaled.is_some_and(Scaled::is_held)
        };
        let models = known.of_namespace(namespace);
        let held = models.filter(|(_, uid)| is_held(uid));
        held.map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn observed(&mut self, uid: &Uid, model: &ModelDeployment, now: Tick) -> Signals {
        self.wake_up(uid);
        self.recount(uid);
        let digest = self.digest(uid, now);
        let gateways: BTreeMap<String, _> = self
            .gateways
            .iter()
            .map(|(gateway, known)| ((**gateway).to_owned(), known.observed(uid, now)))
            .collect();
        let status = model.status.as_ref();
        let traffic = status.map(|status| &*status.traffic).unwrap_or_default();
        let busy = gateways.values().flat_map(|known| &known.assigned);
        let draining = busy
            .filter(|(revision, assigned)| **assigned > 0 && !has_weight(traffic, revision))
            .map(|(revision, _)| revision.clone())
            .collect();
        let kept = self.models.entry(Arc::clone(uid)).or_default();
        kept.shown = Some(digest);
        kept.draining = draining;
        let version = status.and_then(|status| status.traffic_version);
        Signals {
            expected: true,
            gateways,
            recommended: kept.scaled.as_ref().and_then(Scaled::recommended),
            counts: kept.counting.of(version),
            judged: kept.watched.judged(),
        }
    }

    pub(super) fn is_told(&self) -> bool {
        self.gateways.values().all(Gateway::has_told)
    }

    pub(super) fn records(&self, uid: &Uid) -> Option<Vec<Record>> {
        let scaled = self.models.get(uid)?.scaled.as_ref()?;
        Some(scaled.records.newest_first())
    }

    /// Whether every gateway speaks, and there is one.
    fn is_heard(&self, now: Tick) -> bool {
        let mut gateways = self.gateways.values();
        !self.gateways.is_empty() && gateways.all(|gateway| !gateway.silent(now))
    }

    /// What one gateway's report says of one model; whether a plan would see something else now.
    fn seen(&mut self, gateway: &str, uid: &Uid, seen: &Seen, (span, now): (Span, Tick)) -> bool {
        // What the streams' first lines said may be all that there was so far.
        self.recount(uid);
        let Some(from) = self.gateways.get_mut(gateway) else {
            return false;
        };
        let before = from.seen(uid, seen);
        let model = self.models.entry(Arc::clone(uid)).or_default();
        for load in &seen.revisions {
            model.counting.add(before, seen.traffic_version, load);
            model.watched.add(load, now);
            if let Some(scaled) = &mut model.scaled {
                scaled.add(span, load, now);
            }
        }
        self.wake_up(uid);
        self.recount(uid);
        self.drained(uid) || before != Some(seen.traffic_version) && self.differs(uid, now)
    }

    /// Begins to count anew where all gateways have come to obey another version.
    fn recount(&mut self, uid: &Uid) {
        let mut versions = self.gateways.values().map(|gateway| gateway.version(uid));
        let first = versions.next().flatten();
        if let Some(version) = first.filter(|first| versions.all(|other| other == Some(*first))) {
            let model = self.models.entry(Arc::clone(uid)).or_default();
            model.counting.agreed(version);
        }
    }

    /// Whether a revision that is to end has no request any more.
    fn drained(&mut self, uid: &Uid) -> bool {
        let Some(model) = self.models.get_mut(uid) else {
            return false;
        };
        let before = model.draining.len();
        model.draining.retain(|revision| {
            let gateways = self.gateways.values();
            let mut assigned = gateways.map(|from| from.assigned(uid, revision));
            assigned.any(|assigned| assigned > 0)
        });
        model.draining.len() < before
    }

    /// Whether a plan would see other gateways than the last one, or see them otherwise.
    fn differs(&self, uid: &Uid, now: Tick) -> bool {
        let shown = self.models.get(uid).and_then(|model| model.shown);
        shown.is_some_and(|shown| shown != self.digest(uid, now))
    }

    /// Of what a plan sees of the gateways, but for requests, which change all the time.
    fn digest(&self, uid: &Uid, now: Tick) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (gateway, known) in &self.gateways {
            (gateway, known.silent(now), known.version(uid)).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn has_weight(traffic: &[Weight], revision: &str) -> bool {
    let mut weights = traffic.iter();
    weights.any(|weight| weight.revision == revision && weight.weight > 0)
}
