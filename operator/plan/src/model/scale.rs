//! How many replicas a deployment shall have, from what its gateways count.
//!
//! Pure, and integers only. Called each second, and at once when a request wakes a deployment, by
//! the operator's signals task; its result enters a reconcile as an observed fact. Knows nothing of
//! revisions: moving weight between them is not a change of load.
//!
//! In order: `coverage` places each gateway's report in time and says which seconds are complete,
//! `ring` adds up what was counted, `inputs` makes numbers of both, `signal` says what each number
//! wants, `decide` has the rules, `limits` what no rule gets past.
//!
//! What holds whatever arrives: a report that is missing, late or doubled never lowers the number;
//! nothing shrinks within a window after a restart; to zero it goes only after `idleTimeout` without
//! a request, seen by all gateways.

mod coverage;
mod decide;
mod inputs;
mod latency;
mod limits;
mod memory;
mod recommendation;
mod ring;
mod second;
mod signal;
mod tick;
mod tuning;

pub use coverage::Coverage;
pub use decide::Rule;
pub use inputs::Inputs;
pub use limits::{Blocked, Limit, Limits};
pub use memory::Memory;
pub use recommendation::Recommendation;
pub use ring::Ring;
pub use second::Counts;
pub use signal::{Signal, Want, Wanted};
pub use tick::{Milli, Span, Tick};
pub use tuning::{Alarm, Counting, Rules, Tuning};

/// What is known of one deployment when it is decided.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What all gateways counted for all its revisions.
    pub ring: &'a Ring,
    /// Which seconds they have reported.
    pub coverage: &'a Coverage,
    /// Pods that serve.
    pub usable: i32,
    /// Pods that the quota counts: also those that start or end.
    pub existing: i32,
    /// Someone waits for a pod, by the last report or a wake after it.
    pub waiting: bool,
    /// What keeps the pods of the last increase away.
    pub blocked: Option<Blocked>,
    /// The number that holds: the last recommendation; after a start, the one in status.
    pub current: i32,
    /// What no wish gets past.
    pub limits: Limits,
}

/// Recommends a number of replicas. `memory` is what the last call returned; a new one to begin
/// with. Called twice with the same arguments, it says the same.
///
/// The number is at least `limits.min` and at most `limits.max`; it grows at most to the room that
/// the quota has, and falls to that room once it has been exceeded for ten seconds, but takes no pod
/// away that is there. Infallible:
/// numbers out of range count as the nearest one in range. O(seconds of the window).
#[must_use]
pub fn recommend(
    rules: &Rules,
    seen: &Seen<'_>,
    memory: &Memory,
    now: Tick,
) -> (Memory, Recommendation) {
    let inputs = inputs::gather(rules, seen, memory, now);
    decide::decide(rules, inputs, seen.limits, memory, now)
}

/// How many replicas one revision needs for its own fast demand: one that is slower than others
/// needs more than its share of the traffic. `ring` is that of the revision.
#[must_use]
pub fn own(rules: &Rules, ring: &Ring, coverage: &Coverage, now: Tick) -> i32 {
    signal::needed(rules, inputs::fast_demand(rules, ring, coverage, now))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
