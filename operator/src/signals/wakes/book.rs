//! Wakes under way: which model was woken when, and how far its pods have come since.
//!
//! Pure: time is an argument, since boot. Kept by `wakes`, which holds the lock. Events may be missing and come in
//! any order; a wake that nobody hears the end of is forgotten. Bounded in wakes, and in the pods of each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cache::Key;
use crate::watch::pod::Progress;

/// Wakes that are timed at once. Further ones happen all the same.
const WAKES: usize = 1024;
/// Pods of one wake: as many as are asked for before the first one is ready.
const PODS: usize = 10;
/// A wake that takes longer has failed: pods are given up after so long, unless the spec says otherwise.
const LONGEST: Duration = Duration::from_secs(600);

/// What a cold start consists of. Each phase ends with what is said here, and begins where the one before ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The API server has answered the write that asks for pods.
    Decide,
    /// A node was chosen: `PodScheduled`.
    Schedule,
    /// Volumes and network are there: `PodReadyToStartContainers`.
    Sandbox,
    /// Its init containers have started: `Initialized`. Nothing where it has none.
    Start,
    /// It serves: a gateway found that out, or the kubelet.
    Load,
    /// From the wake to the end of the last phase.
    Total,
}

impl Phase {
    pub(super) const ALL: [Self; 6] = [
        Self::Decide,
        Self::Schedule,
        Self::Sandbox,
        Self::Start,
        Self::Load,
        Self::Total,
    ];

    /// The label of the metric.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Schedule => "schedule",
            Self::Sandbox => "sandbox",
            Self::Start => "start",
            Self::Load => "load",
            Self::Total => "total",
        }
    }
}

/// How long the phases of one cold start took that were seen to end; together they are as long as the last one, the
/// total.
pub(super) type Times = Vec<(Phase, Duration)>;

/// All wakes under way.
#[derive(Debug, Default)]
pub(super) struct Book(BTreeMap<Key, Wake>);

#[derive(Debug)]
struct Wake {
    /// Of the model.
    uid: String,
    since: Duration,
    decided: Option<Duration>,
    pods: BTreeMap<String, Marks>,
    /// All pods that there were have gone again.
    lost: bool,
}

/// When a pod was first seen to have come so far.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    scheduled: Option<Duration>,
    sandbox: Option<Duration>,
    initialized: Option<Duration>,
}

impl Book {
    /// Whether no model is being woken.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Somebody waits for a model without pods. Whoever comes later waits for the same pods, unless those have gone.
    pub(super) fn woken(&mut self, key: &Key, uid: &str, now: Duration) {
        self.0.retain(|_, wake| !wake.is_over(now));
        let held = self.0.get(key);
        if held.is_some_and(|wake| wake.uid == uid && !wake.lost) {
            return;
        }
        if held.is_some() || self.0.len() < WAKES {
            self.0.insert(key.clone(), Wake::new(uid, now));
        }
    }

    /// The API server was asked for pods of the model, and has answered.
    pub(super) fn decided(&mut self, key: &Key, uid: &str, now: Duration) {
        if let Some(wake) = self.0.get_mut(key).filter(|wake| wake.uid == uid) {
            wake.decided.get_or_insert(now);
        }
    }

    /// A pod of the model has come so far; what its cold start took, if that was the end of it.
    pub(super) fn pod(
        &mut self,
        key: &Key,
        name: &str,
        progress: Progress,
        now: Duration,
    ) -> Option<Times> {
        let wake = self.0.get_mut(key)?;
        let Progress {
            scheduled,
            sandbox,
            initialized,
            ready,
        } = progress;
        let mut marks = wake.pods.get(name).copied().unwrap_or_default();
        for (is, mark) in [
            (scheduled, &mut marks.scheduled),
            (sandbox, &mut marks.sandbox),
            (initialized, &mut marks.initialized),
        ] {
            if is {
                mark.get_or_insert(now);
            }
        }
        if ready {
            return self.end(key, marks, now);
        }
        if wake.pods.contains_key(name) || wake.pods.len() < PODS {
            wake.pods.insert(name.to_owned(), marks);
            wake.lost = false;
        }
        None
    }

    /// A pod has failed, or is going. Another one may come.
    pub(super) fn no_pod(&mut self, key: &Key, name: &str) {
        if let Some(wake) = self.0.get_mut(key)
            && wake.pods.remove(name).is_some()
        {
            wake.lost = wake.pods.is_empty();
        }
    }

    /// A gateway can reach pods of these models (by uid), and of others; cold starts that have ended by that.
    ///
    /// Only pods that have a sandbox have an address: before that the gateway speaks of older ones.
    pub(super) fn reached(&mut self, uids: &BTreeSet<&str>, now: Duration) -> Vec<(Key, Times)> {
        let furthest = |wake: &Wake| {
            let reachable = wake.pods.values().filter(|marks| marks.sandbox.is_some());
            reachable.copied().max_by_key(Marks::count)
        };
        let reached = self
            .0
            .iter()
            .filter(|(_, wake)| uids.contains(&*wake.uid))
            .filter_map(|(key, wake)| Some((key.clone(), furthest(wake)?)));
        let reached: Vec<(Key, Marks)> = reached.collect();
        reached
            .into_iter()
            .filter_map(|(key, marks)| Some((key.clone(), self.end(&key, marks, now)?)))
            .collect()
    }

    /// The model is there, with this uid: another one of that name is gone.
    pub(super) fn model(&mut self, key: &Key, uid: &str) {
        if self.0.get(key).is_some_and(|wake| wake.uid != uid) {
            self.0.remove(key);
        }
    }

    /// The model is gone.
    pub(super) fn no_model(&mut self, key: &Key, uid: &str) {
        if self.0.get(key).is_some_and(|wake| wake.uid == uid) {
            self.0.remove(key);
        }
    }

    /// There are no other models than these.
    pub(super) fn only_models(&mut self, there: &BTreeSet<Key>) {
        self.0.retain(|key, _| there.contains(key));
    }

    fn end(&mut self, key: &Key, marks: Marks, now: Duration) -> Option<Times> {
        let wake = self.0.remove(key)?;
        (!wake.is_over(now)).then(|| wake.times(marks, now))
    }
}

impl Wake {
    fn new(uid: &str, now: Duration) -> Self {
        Self {
            uid: uid.to_owned(),
            since: now,
            decided: None,
            pods: BTreeMap::new(),
            lost: false,
        }
    }

    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) > LONGEST
    }

    /// What was seen late, after what follows it, took no time of its own; what was never seen counts to what follows.
    fn times(&self, marks: Marks, end: Duration) -> Times {
        let Marks {
            scheduled,
            sandbox,
            initialized,
        } = marks;
        let mut at = self.since;
        let mut times = Times::new();
        for (phase, mark) in [
            (Phase::Decide, self.decided),
            (Phase::Schedule, scheduled),
            (Phase::Sandbox, sandbox),
            (Phase::Start, initialized),
            (Phase::Load, Some(end)),
        ] {
            if let Some(mark) = mark {
                let until = mark.max(at);
                times.push((phase, until.saturating_sub(at)));
                at = until;
            }
        }
        times.push((Phase::Total, at.saturating_sub(self.since)));
        times
    }
}

impl Marks {
    fn count(&self) -> usize {
        let Self {
            scheduled,
            sandbox,
            initialized,
        } = self;
        let marks = [scheduled, sandbox, initialized];
        marks.into_iter().flatten().count()
    }
}

#[cfg(test)]
mod tests;
