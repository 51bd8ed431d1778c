//! How much a revision has to do, for the operator: who waits for it, who is on its pods, and what came of those that were.
//!
//! Atomics and one small lock, no tasks. Hangs on the revision's live state, so that it outlives tables and pods. Told by
//! `choose`, `wait`, `forward` and `record` through [`Assigned`], which goes along with a request from the choice of its
//! revision to the last byte of its answer. Taken once a second by `signals`, the only one that calls [`Meter::take`]. Time is
//! an argument; only whoever drops an [`Assigned`] without a word has its end read from tokio's clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aimass_crds::signals::{Load, bucket};

/// What one request did to the mean of all: a tenth.
const FORGET: u64 = 10;

/// The counts of one revision; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    assigned: AtomicU32,
    arrived: AtomicU32,
    counts: Mutex<Counts>,
}

/// What came of a request that was on a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A success, or the caller's own fault.
    Ok,
    /// The model's engine refused the input.
    Rejected,
    /// The pod answered with an error or broke off, or the time ran out.
    Failed,
    /// It named its revision: it says how long requests take, and nothing for or against the revision.
    Uncounted,
}

/// A request that a revision was chosen for: counts until it is dropped, so it goes along with the body of the answer.
#[derive(Debug)]
#[must_use = "the request counts as gone when this is dropped"]
pub struct Assigned {
    meter: Meter,
    place: Place,
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Neither waits nor has a pod.
    Between,
    /// In the queue, since when; the number tells two of the same moment apart.
    Waiting(Instant, u64),
    /// On a pod, since when the first one was chosen.
    Serving(Instant),
}

/// All that is not read without the lock.
#[derive(Debug, Default)]
struct Counts {
    /// Up to when the areas are counted.
    until: Option<Instant>,
    /// The oldest first. As many as the queue has room for.
    waiting: BTreeSet<(Instant, u64)>,
    numbered: u64,
    serving: u32,
    /// Nanoseconds that requests have waited since the last take, all together.
    waited: u128,
    /// And those on pods.
    served: u128,
    peak: u32,
    ok: u32,
    rejected: u32,
    failed: u32,
    rerouted: u32,
    completed: u32,
    service_us: u64,
    latency: BTreeMap<u8, u32>,
    /// Over all takes; 0 = not known.
    mean_us: u64,
    /// What the last take said that lasts.
    told: Lasting,
}

/// What is true until the next take says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lasting {
    assigned: u32,
    endpoints: (u32, u32),
}

impl Meter {
    /// Gives the revision a request, before the table that said so is let go.
    pub fn assign(&self) -> Assigned {
        self.0.arrived.fetch_add(1, Ordering::Relaxed);
        // What follows is let go with the table, and seen by whoever finds the table gone: see `table::retired`.
        self.0.assigned.fetch_add(1, Ordering::Relaxed);
        Assigned {
            meter: self.clone(),
            place: Place::Between,
        }
    }

    /// A request that was meant for the revision goes to another one.
    pub fn reroute(&self) {
        let mut counts = self.lock();
        counts.rerouted = counts.rerouted.saturating_add(1);
    }

    /// Requests that wait or are on a pod.
    #[must_use]
    pub fn assigned(&self) -> u32 {
        self.0.assigned.load(Ordering::Relaxed)
    }

    /// Requests that wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.lock().waiting()
    }

    /// What has happened in the `span` that ends `now`, which is that since the last call; `None`: nothing, and what the last
    /// call said is still so. `endpoints` is told along with it: pods that may be chosen, and those that have failed. The
    /// revision's name is left to the caller.
    ///
    /// O(1) for a revision that is idle.
    #[must_use]
    pub fn take(&self, now: Instant, span: Duration, endpoints: (u32, u32)) -> Option<Load> {
        let mut counts = self.lock();
        counts.advance(now);
        let lasting = Lasting {
            assigned: self.assigned(),
            endpoints,
        };
        let arrived = self.0.arrived.swap(0, Ordering::Relaxed);
        let before = std::mem::replace(&mut counts.told, lasting);
        let silent = arrived == 0 && lasting.assigned == 0 && !counts.has_happened();
        if silent && before == lasting {
            return None;
        }
        let load = counts.load(now, span);
        counts.forget();
        Some(Load {
            revision: String::new(),
            assigned: lasting.assigned,
            arrived,
            endpoints,
            ..load
        })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counts, which are whole at any time.
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Assigned {
    /// From `now` on it waits.
    pub fn wait(&mut self, now: Instant) {
        let mut counts = self.meter.lock();
        counts.leave(self.place, now);
        self.place = counts.queue(now);
    }

    /// From `now` on it has a pod. Of several pods, one after the other, the first one counts.
    pub fn serve(&mut self, now: Instant) {
        if matches!(self.place, Place::Serving(_)) {
            return;
        }
        let mut counts = self.meter.lock();
        counts.leave(self.place, now);
        counts.serving = counts.serving.saturating_add(1);
        self.place = Place::Serving(now);
    }

    /// The answer has ended. A request that never had a pod says nothing of the revision, whatever its `outcome` is; nor does
    /// one that is dropped instead, because its caller went away: nobody knows how long it would have taken.
    pub fn end(mut self, outcome: Outcome, now: Instant) {
        let mut counts = self.meter.lock();
        counts.leave(self.place, now);
        if let Place::Serving(since) = self.place {
            let took = now.saturating_duration_since(since).as_micros();
            counts.end(outcome, u64::try_from(took).unwrap_or(u64::MAX));
        }
        self.place = Place::Between;
    }
}

impl Drop for Assigned {
    fn drop(&mut self) {
        if self.place != Place::Between {
            let now = tokio::time::Instant::now().into_std();
            self.meter.lock().leave(self.place, now);
        }
        self.meter.0.assigned.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counts {
    /// Counts the areas up to `now`. Of two requests the later one may come with the earlier time: then there is nothing to
    /// count.
    fn advance(&mut self, now: Instant) {
        let until = self.until.get_or_insert(now);
        let passed = now.saturating_duration_since(*until).as_nanos();
        *until = now.max(*until);
        let waiting = u128::from(self.waiting());
        self.waited = self.waited.saturating_add(passed.saturating_mul(waiting));
        let serving = u128::from(self.serving);
        self.served = self.served.saturating_add(passed.saturating_mul(serving));
    }

    fn queue(&mut self, now: Instant) -> Place {
        let number = self.numbered;
        self.numbered = self.numbered.wrapping_add(1);
        self.waiting.insert((now, number));
        self.peak = self.peak.max(self.waiting());
        Place::Waiting(now, number)
    }

    /// A request is no longer there at `now`.
    fn leave(&mut self, place: Place, now: Instant) {
        self.advance(now);
        match place {
            Place::Between => {}
            Place::Waiting(since, number) => {
                self.waiting.remove(&(since, number));
            }
            Place::Serving(_) => self.serving = self.serving.saturating_sub(1),
        }
    }

    fn end(&mut self, outcome: Outcome, took_us: u64) {
        self.completed = self.completed.saturating_add(1);
        self.service_us = self.service_us.saturating_add(took_us);
        let old = match self.mean_us {
            0 => took_us,
            old => old,
        };
        let new = (old - old / FORGET).saturating_add(took_us / FORGET);
        self.mean_us = new.max(1);
        let count = match outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::Rejected => &mut self.rejected,
            Outcome::Failed => &mut self.failed,
            Outcome::Uncounted => return,
        };
        *count = count.saturating_add(1);
        let answers = self.latency.entry(bucket(took_us)).or_default();
        *answers = answers.saturating_add(1);
    }

    /// Whether anything was counted since the last take; who still waits or is served is counted as assigned.
    const fn has_happened(&self) -> bool {
        self.completed > 0 || self.rerouted > 0 || self.peak > 0 || self.served > 0
    }

    fn load(&self, now: Instant, span: Duration) -> Load {
        let oldest = self.waiting.first();
        let age = oldest.map_or(Duration::ZERO, |(since, _)| {
            now.saturating_duration_since(*since)
        });
        Load {
            in_flight_milli: milli(self.served, span),
            queued_milli: milli(self.waited, span),
            queued_peak: self.peak,
            oldest_ms: u32::try_from(age.as_millis()).unwrap_or(u32::MAX),
            ok: self.ok,
            rejected: self.rejected,
            failed: self.failed,
            rerouted: self.rerouted,
            service_us: self.service_us,
            completed: self.completed,
            mean_service_us: self.mean_us,
            latency: self.latency.iter().map(|(at, of)| (*at, *of)).collect(),
            ..Load::default()
        }
    }

    /// The next span begins; what lasts stays.
    fn forget(&mut self) {
        *self = Self {
            until: self.until,
            numbered: self.numbered,
            serving: self.serving,
            mean_us: self.mean_us,
            told: self.told,
            peak: self.waiting(),
            waiting: std::mem::take(&mut self.waiting),
            ..Self::default()
        };
    }

    fn waiting(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }
}

/// Thousandths of requests, as a mean over `span`.
fn milli(nanoseconds: u128, span: Duration) -> u64 {
    let mean = nanoseconds.saturating_mul(1000) / span.as_nanos().max(1);
    u64::try_from(mean).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
