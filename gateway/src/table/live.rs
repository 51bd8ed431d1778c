//! What changes with every request: counters that outlive tables.
//!
//! Shared by `Arc` between a table and the next one; only atomics and small locks. Time and chance are arguments. Written by
//! `phase::choose`, by the [`Flight`]s that it hands out, and by `phase::choose::retry`; what ejects an endpoint is in
//! [`health`], and what is remembered of a revision in [`revision`].

mod cold;
pub mod health;
pub mod meter;
pub mod revision;
mod window;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cold::ColdStarts;
use health::{Health, Outcome, Standing};
pub use revision::RevisionLive;
use window::Window;

/// Of one ModelDeployment.
#[derive(Debug, Default)]
pub struct DeploymentLive {
    /// What may be sent again.
    pub budget: Budget,
    /// Turns that were taken of its picks.
    turns: AtomicU64,
    /// Requests that went to another revision than they were meant for.
    pub rerouted: AtomicU64,
    cold_starts: Mutex<ColdStarts>,
}

impl DeploymentLive {
    /// The number of the next turn.
    pub fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// How long it takes to wake, lately.
    pub fn cold_starts(&self) -> MutexGuard<'_, ColdStarts> {
        // A list that is whole at any time.
        let starts = self.cold_starts.lock();
        starts.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of one pod.
#[derive(Debug, Default)]
pub struct EndpointLive {
    /// Requests that it has been given and has not ended.
    pub in_flight: AtomicU32,
    /// Nanoseconds to the head of an answer, lately; 0 = not known.
    latency: AtomicU64,
    /// Whether `health` may say anything but "in": so that most requests need not look.
    troubled: AtomicBool,
    health: Mutex<Health>,
    /// Whose pod it is.
    revision: Arc<RevisionLive>,
}

impl EndpointLive {
    /// Of a pod of `revision`.
    #[must_use]
    pub fn of(revision: &Arc<RevisionLive>) -> Self {
        Self {
            revision: Arc::clone(revision),
            ..Self::default()
        }
    }

    /// Whether it may be given a request.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Standing {
        if self.troubled.load(Ordering::Acquire) {
            self.health().standing(now)
        } else {
            Standing::In
        }
    }

    /// How long its answers take, lately; `None` before the first one.
    ///
    /// An average that forgets, a tenth at a time, of the time to the head of an answer: what a slow reader makes of the
    /// rest is not the pod's fault.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        let nanoseconds = self.latency.load(Ordering::Relaxed);
        (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
    }

    /// Counts a request on it; `None` if it has `slots` of them already.
    pub fn begin(self: &Arc<Self>, slots: u32, now: Instant) -> Option<Flight> {
        let one_more = |count: u32| (count < slots).then(|| count.saturating_add(1));
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.in_flight.fetch_update(set, fetch, one_more).ok()?;
        Some(Flight {
            endpoint: Arc::clone(self),
            begun: now,
            trial: false,
        })
    }

    /// Counts the one request that may show whether it is well again; `None` if another one was first, or it has `slots` of
    /// them already.
    pub fn begin_trial(self: &Arc<Self>, slots: u32, now: Instant) -> Option<Flight> {
        let mut flight = self.begin(slots, now)?;
        flight.trial = self.health().claim_trial(now);
        flight.trial.then_some(flight)
    }

    fn observe(&self, latency: Duration) {
        let sample = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        // Of two at the same time one may be lost: it is an average.
        let old = match self.latency.load(Ordering::Relaxed) {
            0 => sample,
            old => old,
        };
        let new = (old - old / 10).saturating_add(sample / 10);
        self.latency.store(new.max(1), Ordering::Relaxed);
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // Counts, which are whole at any time.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on a pod: counted there until this is dropped, so it goes along with the body of the answer.
#[derive(Debug)]
#[must_use = "the request counts as ended when this is dropped"]
pub struct Flight {
    endpoint: Arc<EndpointLive>,
    begun: Instant,
    /// Whether it is to show that the endpoint is well again.
    trial: bool,
}

impl Flight {
    /// Tells what came of it: when the head of the answer is there, and again if what follows it breaks off. `random` spreads
    /// the time for which an endpoint may be out.
    ///
    /// A caller that goes away is no outcome: then nothing is told.
    pub fn report(&mut self, outcome: Outcome, now: Instant, random: u64) {
        if outcome == Outcome::Answered {
            self.endpoint
                .observe(now.saturating_duration_since(self.begun));
            self.endpoint.revision.answered(now);
        }
        let mut health = self.endpoint.health();
        health.report(outcome, self.trial, now, random);
        self.endpoint
            .troubled
            .store(health.is_troubled(), Ordering::Release);
        self.trial = false;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.trial {
            self.endpoint.health().give_up_trial();
        }
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.endpoint.revision.line.freed();
    }
}

/// How much may be sent again: a fifth of the requests of the last ten seconds, and three a second besides.
#[derive(Debug, Default)]
pub struct Budget(Mutex<Window>);

/// 3 a second, over the window.
const FREE_RETRIES: u64 = 3 * window::SECONDS;

impl Budget {
    /// A request arrives.
    pub fn request(&self, now: Instant) {
        self.window().add(now, 1, 0);
    }

    /// Takes one retry, if one is left.
    #[must_use]
    pub fn take(&self, now: Instant) -> bool {
        let mut window = self.window();
        let (requests, retries) = window.sums(now);
        let allowed = (retries + 1) * 5 <= requests + FREE_RETRIES * 5;
        if allowed {
            window.add(now, 0, 1);
        }
        allowed
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn begin(endpoint: &Arc<EndpointLive>, now: Instant) -> Flight {
        endpoint.begin(9, now).unwrap()
    }

    fn in_flight(endpoint: &EndpointLive) -> u32 {
        endpoint.in_flight.load(Ordering::Relaxed)
    }

    #[test]
    fn a_request_counts_until_it_is_dropped() {
        let (endpoint, now) = (Arc::new(EndpointLive::default()), start());
        let mut first = begin(&endpoint, now);
        let second = begin(&endpoint, now);
        assert_eq!(in_flight(&endpoint), 2);
        first.report(Outcome::Answered, now, 0);
        assert_eq!(in_flight(&endpoint), 2, "its body is still on the way");
        drop((first, second));
        assert_eq!(in_flight(&endpoint), 0);
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let (endpoint, now) = (Arc::new(EndpointLive::default()), start());
        let flights: Vec<Flight> = (0..5).map_while(|_| endpoint.begin(2, now)).collect();
        assert_eq!((flights.len(), in_flight(&endpoint)), (2, 2));
        drop(flights);
        assert!(endpoint.begin(2, now).is_some());
        assert!(endpoint.begin_trial(2, now).is_none(), "it is well");
        assert_eq!(in_flight(&endpoint), 0);
    }

    #[test]
    fn latency_is_an_average_of_answers_alone() {
        let (endpoint, now) = (Arc::new(EndpointLive::default()), start());
        assert_eq!(endpoint.latency(), None);
        let report = |outcome, ms| {
            let after = now + Duration::from_millis(ms);
            begin(&endpoint, now).report(outcome, after, 0);
            endpoint.latency().unwrap_or_default().as_micros()
        };
        assert_eq!(report(Outcome::Failed, 1), 0);
        assert_eq!(report(Outcome::Busy, 1), 0);
        assert_eq!(report(Outcome::Answered, 100), 100_000);
        assert_eq!(report(Outcome::Answered, 200), 110_000);
        assert_eq!(report(Outcome::Draining, 1), 110_000);
    }

    #[test]
    fn five_failures_in_a_row_are_seen_by_the_next_request() {
        let (endpoint, now) = (Arc::new(EndpointLive::default()), start());
        for failures in 1..=5 {
            assert_eq!(endpoint.standing(now), Standing::In, "{failures}");
            begin(&endpoint, now).report(Outcome::Failed, now, 0);
        }
        assert!(matches!(endpoint.standing(now), Standing::Out { .. }));
        let later = now + Duration::from_secs(2);
        assert_eq!(endpoint.standing(later), Standing::Trial);
        let trial = endpoint.begin_trial(9, later).unwrap();
        assert!(endpoint.begin_trial(9, later).is_none(), "one is enough");
        drop(trial);
        let mut trial = endpoint.begin_trial(9, later).unwrap();
        trial.report(Outcome::Answered, later, 0);
        assert_eq!(endpoint.standing(later), Standing::In);
    }

    #[test]
    fn a_fifth_is_sent_again_and_three_a_second() {
        let (budget, now) = (Budget::default(), start());
        let taken = |now| (0..1000).filter(|_| budget.take(now)).count();
        assert_eq!(taken(now), 30);
        let later = now + Duration::from_secs(20);
        for _ in 0..1000 {
            budget.request(later);
        }
        assert_eq!(taken(later), 230);
        assert_eq!(taken(later + Duration::from_secs(5)), 0);
        assert_eq!(taken(later + Duration::from_secs(10)), 30);
    }
}
