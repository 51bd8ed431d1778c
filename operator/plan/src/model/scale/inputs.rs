//! What a decision depends on, as numbers: the same for a test, for the record and for a person.
//!
//! Pure. Gathered by [`super::recommend`] from ring and coverage.

use serde::Serialize;

use super::Seen;
use super::coverage::Coverage;
use super::limits::Blocked;
use super::memory::Memory;
use super::ring::{Demand, Mean, Ring};
use super::tick::{Milli, Tick, millis};
use super::tuning::Rules;

/// What a decision depends on, beside rules, limits and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Inputs {
    /// The number that holds, at least 0.
    pub current: i32,
    /// Pods that serve.
    pub usable: i32,
    /// Pods that the quota counts.
    pub existing: i32,
    /// Someone waits for a pod.
    pub waiting: bool,
    /// What keeps the pods of the last increase away.
    pub blocked: Option<Blocked>,
    /// Requests that want to be worked on at once: the mean over the window.
    pub slow: Milli,
    /// The same over the fast window.
    pub fast: Milli,
    /// Requests a second: the mean over the window.
    pub slow_rate: Milli,
    /// The same over the fast window.
    pub fast_rate: Milli,
    /// How long one request takes, in microseconds, where that is known.
    pub service_us: Option<u64>,
    /// Answers of the last ten seconds.
    pub answers: u64,
    /// Their 95th percentile in microseconds, rounded up to its bucket's bound.
    pub p95_us: u64,
    /// No gateway reports.
    pub silent: bool,
    /// All gateways have reported the whole window, and lately.
    pub complete: bool,
    /// So they have since this memory began.
    pub proven: bool,
    /// For how many milliseconds no request was seen by any gateway; never longer than the memory is
    /// old.
    pub idle_ms: u64,
}

/// Gathers them.
///
/// Means are taken up to the last second that all gateways have reported and up to the present one,
/// of which some is still missing: the larger one counts, so that what is missing lowers nothing.
pub(super) fn gather(rules: &Rules, seen: &Seen<'_>, memory: &Memory, now: Tick) -> Inputs {
    let Seen {
        ring,
        coverage,
        usable,
        existing,
        waiting,
        blocked,
        current,
        limits: _, // they apply to the result
    } = *seen;
    let (window, closed) = (ring.window(), coverage.closed());
    let demand = demand(rules, ring, now);
    // not one second alone decides, however little is known
    let (short, least) = (rules.fast(), rules.tuning.fast_least);
    let slow = mean(ring, coverage, (window, short), demand, now);
    let fast = mean(ring, coverage, (short, least), demand, now);
    let answers = ring.answers(newest(now));
    let complete = coverage.complete(window) && ring.covers(closed) && coverage.recent(now);
    let first = closed.saturating_add(1).saturating_sub(window);
    // a second that not all have reported may have had a request
    let seen_since = memory.since().max(coverage.complete_since());
    let idle_since = ring.active().max(seen_since);
    Inputs {
        current: current.max(0),
        usable: usable.max(0),
        existing: existing.max(0),
        waiting,
        blocked,
        slow: slow.demand,
        fast: fast.demand,
        slow_rate: slow.rate,
        fast_rate: fast.rate,
        service_us: demand.service_us,
        answers: answers.answers(),
        p95_us: answers.p95_us(),
        silent: coverage.silent(now),
        complete,
        proven: complete && first >= memory.since().second(),
        idle_ms: millis(now.since(idle_since)),
    }
}

/// The fast demand that a ring shows.
pub(super) fn fast_demand(rules: &Rules, ring: &Ring, coverage: &Coverage, now: Tick) -> Milli {
    let demand = demand(rules, ring, now);
    let over = (rules.fast(), rules.tuning.fast_least);
    mean(ring, coverage, over, demand, now).demand
}

fn demand(rules: &Rules, ring: &Ring, now: Tick) -> Demand {
    Demand {
        service_us: ring.service_us(newest(now)),
        counting: rules.tuning.counting,
    }
}

fn mean(ring: &Ring, coverage: &Coverage, over: (u64, u64), demand: Demand, now: Tick) -> Mean {
    let closed = ring.mean(coverage.closed(), over, demand);
    let open = ring.mean(newest(now), over, demand);
    Mean {
        demand: closed.demand.max(open.demand),
        rate: closed.rate.max(open.rate),
    }
}

/// The second that time has just passed through.
fn newest(now: Tick) -> u64 {
    now.as_millis().saturating_sub(1) / 1000
}
