//! The size that a revision should have, whether or not it may shrink to it yet.
//!
//! Pure. Called by `capacity`: first for all others, then for the revision in front, which takes the
//! room that these leave.

use std::collections::BTreeMap;

use super::{Course, Way};
use crate::model::rollout::Facts;
use crate::model::rollout::steps::{need, need_at_least};
use crate::model::valid::Strategy;

/// `maxSurge` and `maxUnavailable` in pods; nothing of both where the strategy has none.
pub(super) fn portions(facts: &Facts<'_>) -> (i32, i32) {
    match facts.rules.strategy {
        Strategy::RollingUpdate { surge, unavailable } => {
            let surge = surge.ceil(facts.desired);
            let unavailable = unavailable.floor(facts.desired);
            // a percentage of few pods may round down to nothing, and then nothing could begin
            let least = i32::from(surge == 0);
            (surge, unavailable.max(least))
        }
        Strategy::Recreate | Strategy::Canary(_) | Strategy::BlueGreen(_) => (0, 0),
    }
}

/// The size of a revision that is not the one in front.
pub(super) fn of_other(facts: &Facts<'_>, course: &Course<'_>, revision: &str) -> i32 {
    let share = course.traffic.of(revision);
    let is_base = course.base == Some(revision);
    let front = facts.of(course.front);
    match (&facts.rules.strategy, course.way) {
        (Strategy::Recreate, way) => {
            // stopped before it began: what serves goes on
            let waits = matches!(way, Way::Forward { grows: false, .. }) && front.size == 0;
            if waits && is_base { facts.desired } else { 0 }
        }
        (Strategy::RollingUpdate { .. }, way) => {
            let (_, unavailable) = portions(facts);
            let missing = match way {
                Way::Forward { .. } if is_base => facts.desired - front.ready.min(facts.desired),
                Way::Forward { .. } | Way::Home { .. } | Way::Trying => 0,
            };
            let size = need_at_least(share, facts.desired).max(missing);
            (size - unavailable).max(0)
        }
        (
            Strategy::Canary(_) | Strategy::BlueGreen(_),
            Way::Forward {
                keeps_base: true, ..
            },
        ) if is_base => facts.desired,
        (Strategy::Canary(_) | Strategy::BlueGreen(_), _) => need(share, facts.desired),
    }
}

/// The size of the revision in front; `sizes` are those of all others.
pub(super) fn of_front(
    facts: &Facts<'_>,
    course: &Course<'_>,
    sizes: &BTreeMap<String, i32>,
) -> i32 {
    let desired = facts.desired;
    let pods = facts.of(course.front);
    let others = || facts.order.iter().filter(|name| *name != course.front);
    let ended = others().all(|name| !facts.of(name).any);
    let recreates = facts.rules.strategy == Strategy::Recreate;
    let (share, next, grows) = match course.way {
        Way::Home { .. } if recreates && !ended => return pods.size.min(desired),
        Way::Home { .. } => return desired,
        Way::Trying if recreates && !ended => return pods.size.min(desired.max(1)),
        Way::Trying if pods.ready == 0 => return 1,
        Way::Trying => return desired.max(1),
        Way::Forward {
            weight,
            next,
            grows,
            ..
        } => (weight, next, grows),
    };
    // One pod proves a revision while nobody calls.
    let least = match next {
        Some(0) => desired.max(1),
        Some(next) => need(next, desired.max(1)),
        None => 0,
    };
    let kept = pods.size.min(desired);
    let size = match facts.rules.strategy {
        Strategy::Recreate if ended && grows => desired,
        Strategy::Recreate => kept,
        Strategy::RollingUpdate { .. } if grows && next.is_some() => {
            kept.max(room(facts, course, sizes))
        }
        Strategy::RollingUpdate { .. } => kept,
        Strategy::Canary(_) if grows => least,
        // all of them, whether or not it has a share yet
        Strategy::BlueGreen(_) if grows => desired,
        Strategy::Canary(_) | Strategy::BlueGreen(_) => kept,
    };
    let proof = i32::from(grows && next.is_some() && (!recreates || ended));
    size.max(need(share, desired))
        .min(desired)
        .max(if desired == 0 && !facts.fixed {
            proof
        } else {
            0
        })
}

/// How many pods of a rolling update the others leave room for.
fn room(facts: &Facts<'_>, course: &Course<'_>, sizes: &BTreeMap<String, i32>) -> i32 {
    let (surge, _) = portions(facts);
    let taken: i32 = sizes
        .iter()
        .filter(|(name, _)| *name != course.front)
        .map(|(name, size)| {
            let pods = facts.of(name);
            // what has not ended yet still takes room
            pods.size.max(pods.present).max(*size)
        })
        .sum();
    facts.desired.saturating_add(surge).saturating_sub(taken)
}
