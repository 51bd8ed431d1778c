//! What no wish gets past: the spec's bounds, the quota, a cluster without room.
//!
//! Pure. Called by `decide` on what the rules want.

use std::time::Duration;

use serde::Serialize;

use super::inputs::Inputs;
use super::memory::Memory;
use super::tick::Tick;

/// The bounds of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// `scaling.min`; at least 1 while a rollout needs a pod.
    pub min: i32,
    /// `scaling.max`.
    pub max: i32,
    /// For how many more pods the quota has room; `None`: there is none.
    pub headroom: Option<i32>,
}

/// What keeps the pods of the last increase away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Blocked {
    /// They were not admitted: `FailedCreate`.
    Refused,
    /// No node has room for them.
    Unschedulable,
}

/// What changed the number: `scaling.limitedBy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Limit {
    /// `scaling.max`.
    Max,
    /// The quota, or what else refuses pods.
    Quota,
    /// No node has room.
    Unschedulable,
}

/// Between two tries to grow while pods are kept away.
const RETRY: Duration = Duration::from_secs(30);
/// Pods and the quota's numbers come by different watches, and either may be ahead for a moment: only
/// what they say for this long takes pods away.
const SETTLES: Duration = Duration::from_secs(3);

/// Applies the limits in order; remembers for how long the quota has been exceeded.
pub(super) fn limited(
    wanted: i32,
    limits: Limits,
    inputs: &Inputs,
    memory: &mut Memory,
    now: Tick,
) -> (i32, Option<Limit>) {
    let mut by = None;
    let mut at_most = |number: i32, most: i32, limit: Limit| {
        if number > most {
            by = Some(limit);
        }
        number.min(most)
    };
    let current = inputs.current;
    let mut number = wanted.max(0);
    let tried = memory.last_increase().map(|last| now.since(last));
    if let Some(blocked) = inputs.blocked
        && current > 0
        && tried.is_some_and(|tried| tried < RETRY)
    {
        let limit = match blocked {
            Blocked::Refused => Limit::Quota,
            Blocked::Unschedulable => Limit::Unschedulable,
        };
        number = at_most(number, current, limit);
    }
    number = at_most(number.max(limits.min), limits.max.max(0), Limit::Max);
    let room = limits
        .headroom
        .map(|headroom| inputs.existing.saturating_add(headroom.max(0)));
    let exceeded = memory.exceeded(room.is_some_and(|room| room < current), now);
    if let Some(room) = room {
        let settled = exceeded.is_none_or(|since| now.since(since) >= SETTLES);
        let most = if settled { room } else { room.max(current) };
        number = at_most(number, most, Limit::Quota);
    }
    (number, by)
}

#[cfg(test)]
mod tests;
