//! What no wish gets past: the spec's bounds, the quota, a cluster without room.
//!
//! Pure. Called by `decide` on what the rules want.
//!
//! Pods and the quota's numbers come by different watches, and a quota counts by itself: a pod before
//! it is there, one that has ended a while after it is gone. So either may be ahead, and none of it may
//! move the number:
//!
//! - the quota knows of a pod that we do not see yet, or still counts one that has ended: there seems to
//!   be too little room. That takes pods away only if it lasts.
//! - we see a pod that the quota's numbers do not have yet: there seems to be too much room, by that pod.
//!   So for a while after pods have come, or further ones were asked for, there cannot be more room than
//!   there was (`Memory::sure_of`). At rest a quota that is raised is believed at once.

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
/// What has ended is taken off a quota by a controller, in seconds: only what all numbers say for this
/// long takes pods away.
const SETTLES: Duration = Duration::from_secs(10);

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
    let room = limits.headroom.map(|headroom| room(inputs, headroom));
    let sure = memory.sure_of(room, inputs, now);
    let exceeded = memory.exceeded(room.is_some_and(|room| room < current), now);
    if let Some(room) = room {
        let settled = exceeded.is_some_and(|since| now.since(since) >= SETTLES);
        let most = match room < current {
            true if settled => room,
            true => current,
            false => sure.max(current),
        };
        number = at_most(number, most, Limit::Quota);
    }
    (number, by)
}

/// The number that the quota has room for: pods that there are, and further ones. Pods beyond the
/// number that holds are no part of it: a rollout has them besides, or they end, and while they are
/// there their room is taken.
pub(super) fn room(inputs: &Inputs, headroom: i32) -> i32 {
    let counted = inputs.existing.min(inputs.current);
    counted.saturating_add(headroom.max(0))
}

#[cfg(test)]
mod tests;
