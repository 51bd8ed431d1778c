//! All that the gateways have told, and what was decided from it.
//!
//! Pure but for its lock: time is an argument, nothing waits. Filled by `reader` line by line, closed
//! and decided by `decide` each second, read by `model::observe`, by `decisions` and by the metrics.
//! Empty while another instance leads. Bounded by the models and gateways that there are; of models
//! that nobody calls nothing is looked at.

mod counting;
mod figures;
mod gateway;
mod reading;
mod record;
mod scaled;
mod watched;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aimass_crds::ModelDeployment;
use aimass_crds::signals::{Full, Report, Wake};
use aimass_plan::model::scale::Tick;
use aimass_plan::model::{Platform, Signals};
use jiff::Timestamp;

pub(super) use figures::{Figures, Standing};
use reading::Reading;
pub(super) use reading::Second;
pub(super) use record::Record;
pub(super) use scaled::Pods;

use crate::cache::Key;
use crate::signals::endpoints::Live;
use crate::signals::known::Known;

/// What gateways have told; clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Desk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    known: Known,
    /// `None` while another instance leads.
    reading: Option<Reading>,
}

impl Desk {
    /// The model is there, with this uid.
    pub(crate) fn model(&self, key: &Key, uid: &str) {
        let State { known, reading } = &mut *self.lock();
        let before = known.set(key, uid);
        if let Some(reading) = reading {
            before.iter().for_each(|uid| reading.forget(uid));
            if let Some((uid, _)) = known.get(uid) {
                reading.wake_up(uid);
            }
        }
    }

    /// The model is gone.
    pub(crate) fn no_model(&self, key: &Key, uid: &str) {
        let State { known, reading } = &mut *self.lock();
        let gone = known.remove(key, uid);
        if let Some(reading) = reading {
            gone.iter().for_each(|uid| reading.forget(uid));
        }
    }

    /// There are no other models than these.
    pub(crate) fn only_models(&self, there: &BTreeSet<Key>) {
        let State { known, reading } = &mut *self.lock();
        let gone = known.retain(there);
        if let Some(reading) = reading {
            gone.iter().for_each(|uid| reading.forget(uid));
        }
    }

    /// What is known of `model`, for its plan. Whoever reconciles it is told when that changes.
    pub(crate) fn observed(&self, model: &ModelDeployment, now: Tick) -> Signals {
        let uid = model.metadata.uid.as_deref().unwrap_or_default();
        self.read(|reading, known| {
            let (uid, _) = known.get(uid)?;
            Some(reading.observed(uid, model, now))
        })
        // Nothing was told of it.
        .unwrap_or_else(|| Signals {
            expected: true,
            ..Signals::default()
        })
    }

    /// This instance begins to lead: nothing is known yet.
    pub(super) fn begin(&self, now: Tick) {
        let State { known, reading } = &mut *self.lock();
        *reading = Some(Reading::new(known, now));
    }

    /// This instance leads no more.
    pub(super) fn end(&self) {
        self.lock().reading = None;
    }

    /// These gateways are live, and no others.
    pub(super) fn live(&self, live: &Live, now: Tick) {
        self.read(|reading, _| {
            reading.live(live, now);
            Some(())
        });
    }

    /// A stream of the gateway has begun.
    pub(super) fn connected(&self, gateway: &str) {
        self.read(|reading, _| {
            reading.connected(gateway);
            Some(())
        });
    }

    /// The stream has ended. What it said stays.
    pub(super) fn disconnected(&self, gateway: &str) {
        self.read(|reading, _| {
            reading.disconnected(gateway);
            Some(())
        });
    }

    /// A part of all models; `last`: there are no more.
    pub(super) fn full(&self, gateway: &str, full: &Full, last: bool) {
        self.read(|reading, known| {
            reading.full(known, gateway, full, last);
            Some(())
        });
    }

    /// What a second brought. Models for which a plan would see something else now.
    pub(super) fn report(&self, gateway: &str, report: &Report, now: Tick) -> Vec<Key> {
        self.read(|reading, known| Some(reading.report(known, gateway, report, now)))
            .unwrap_or_default()
    }

    /// Somebody waits. The model to decide at once, if that is news.
    pub(super) fn wake(&self, gateway: &str, wake: &Wake, now: Tick) -> Option<Key> {
        self.read(|reading, known| reading.wake(known, gateway, wake, now))
    }

    /// A second has passed.
    pub(super) fn second(&self, now: Tick) -> Second {
        self.read(|reading, known| Some(reading.second(known, now)))
            .unwrap_or_default()
    }

    /// Decides about one model; whether a plan would see something else now.
    pub(super) fn decide(
        &self,
        model: &ModelDeployment,
        platform: &Platform,
        pods: &Pods,
        at: (Tick, Timestamp),
    ) -> bool {
        let uid = model.metadata.uid.as_deref().unwrap_or_default();
        self.read(|reading, known| {
            let (uid, _) = known.get(uid)?;
            Some(reading.decide((uid, model), platform, pods, at))
        })
        .unwrap_or_default()
    }

    /// Models of the namespace whose number a quota limits: to decide at once when one changes. Those
    /// whose number none limits are decided each second, or rest at the least that there may be.
    pub(super) fn held(&self, namespace: &str) -> Vec<Key> {
        self.read(|reading, known| Some(reading.held(known, namespace)))
            .unwrap_or_default()
    }

    /// Whether every live gateway has said what it does.
    pub(super) fn is_told(&self) -> bool {
        self.read(|reading, _| Some(reading.is_told()))
            .unwrap_or_default()
    }

    /// All models were decided once.
    pub(super) fn decided(&self) {
        self.read(|reading, _| {
            reading.is_decided = true;
            Some(())
        });
    }

    /// Whether all models were decided once.
    pub(super) fn is_decided(&self) -> bool {
        self.read(|reading, _| Some(reading.is_decided))
            .unwrap_or_default()
    }

    /// The last decisions about a model, the newest first; `None`: the load does not decide about it, or
    /// another instance leads.
    pub(super) fn records(&self, key: &Key) -> Option<Vec<Record>> {
        self.read(|reading, known| reading.records(known.uid(key)?))
    }

    /// The figures of up to `most` models, and all further ones added up.
    pub(super) fn figures(&self, most: usize) -> (Vec<(Key, Figures)>, Option<Figures>) {
        self.read(|reading, known| Some(reading.figures(known, most)))
            .unwrap_or_default()
    }

    /// Whether models keep to their objectives: up to `most`, and whether all further ones do.
    pub(super) fn met(&self, most: usize) -> (Vec<(Key, bool)>, Option<bool>) {
        self.read(|reading, known| Some(reading.met(known, most)))
            .unwrap_or_default()
    }

    /// How many gateways there are, and how many of them tell.
    pub(super) fn standing(&self, now: Tick) -> Standing {
        self.read(|reading, _| Some(reading.standing(now)))
            .unwrap_or_default()
    }

    fn read<T>(&self, act: impl FnOnce(&mut Reading, &Known) -> Option<T>) -> Option<T> {
        let State { known, reading } = &mut *self.lock();
        act(reading.as_mut()?, known)
    }

    // A panic elsewhere leaves the maps whole: each method ends every change it begins.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
