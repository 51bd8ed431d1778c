//! How requests come back to a revision: as fast as it has the pods for them.
//!
//! Pure. Called by `rollout` where the stable revision serves again, and by `course` for what a
//! superseded or failed revision has. The way forward is not here: a share rises by a step's goal.

use super::Facts;
use crate::model::traffic::Traffic;
use crate::model::valid::Strategy;

/// Gives to `base` what others have too much: `target`, if there is one, may keep its share.
///
/// A revision with a ready pod never gets more than its ready pods are for, unless those that give
/// have none, or it has its full size already: then it is the better one at once.
pub(super) fn return_to(
    facts: &Facts<'_>,
    traffic: &mut Traffic,
    base: &str,
    target: Option<(&str, i32)>,
) {
    if traffic.is_empty() {
        // It was proved: requests wait for its pods rather than being refused.
        *traffic = Traffic::all_to(base);
        return;
    }
    if facts.gateways.are_gone() {
        return;
    }
    let kept = |revision: &str| match target {
        Some((target, weight)) if target == revision => weight,
        _ => 0,
    };
    let excess: Vec<(String, i32)> = traffic
        .shares()
        .filter(|(revision, _)| *revision != base)
        .map(|(revision, weight)| (revision.to_owned(), weight - kept(revision)))
        .filter(|(_, excess)| *excess > 0)
        .collect();
    let base_serves = facts.of(base).ready > 0;
    let mut room = limit(facts, base) - traffic.of(base);
    for (revision, points) in excess {
        let is_dead = base_serves && facts.of(&revision).ready == 0;
        let points = if is_dead {
            points
        } else {
            points.min(room.max(0))
        };
        traffic.give(&revision, base, points);
        room -= points;
    }
}

/// The greatest share that `base` may have by now.
fn limit(facts: &Facts<'_>, base: &str) -> i32 {
    let pods = facts.of(base);
    let at_once = match facts.rules.strategy {
        Strategy::RollingUpdate { .. } => false,
        Strategy::Canary(_) | Strategy::BlueGreen(_) => pods.size >= facts.desired,
        Strategy::Recreate => true,
    };
    if at_once && pods.ready > 0 {
        100
    } else {
        facts.ready_share(base)
    }
}
