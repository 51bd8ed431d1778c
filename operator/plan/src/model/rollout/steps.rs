//! The steps of a rollout: which are listed, which one is watched, what comes next.
//!
//! Pure. Called by `course`. A strategy is nothing but a list of steps. Where a rollout is follows from
//! the share that the new revision has, so that steps may be edited under way: it goes on with the
//! first one whose share is at least as great.

use std::time::Duration;

use super::Facts;
use crate::model::outlook::RolloutMemory;
use crate::model::valid::Strategy;

/// Behind the last listed step of a canary.
const PORTION: i32 = 25;

/// A step that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// From 1.
    pub(super) number: i32,
    /// The new revision's share.
    pub(super) weight: i32,
    /// At least so long.
    pub(super) duration: Duration,
    /// Until a person says so.
    pub(super) approval: bool,
    /// Until the verdict is Pass.
    pub(super) is_judged: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Goal {
    /// The step's number.
    pub(super) number: i32,
    /// The new revision's share.
    pub(super) weight: i32,
    /// Its ready pods without which it does not get that share.
    pub(super) pods: i32,
}

/// All steps that are watched. Of a rolling update and of `Recreate` none is.
pub(super) fn listed(strategy: &Strategy) -> Vec<Listed> {
    match strategy {
        Strategy::RollingUpdate { .. } | Strategy::Recreate => Vec::new(),
        Strategy::Canary(canary) => (1..)
            .zip(&canary.steps)
            .map(|(number, step)| Listed {
                number,
                weight: step.weight,
                duration: step.duration,
                approval: step.approval,
                is_judged: true,
            })
            .collect(),
        Strategy::BlueGreen(switch) => vec![
            Listed {
                number: 1,
                weight: 0,
                duration: switch.soak,
                approval: switch.approval,
                is_judged: false,
            },
            Listed {
                number: 2,
                weight: 100,
                duration: switch.keep_old,
                approval: false,
                is_judged: false,
            },
        ],
    }
}

/// The step that the rollout has come to and that has not passed.
pub(super) fn watched<'a>(listed: &'a [Listed], rollout: &RolloutMemory) -> Option<&'a Listed> {
    let here = |step: &&Listed| step.weight == rollout.weight && is_open(step, rollout);
    listed.iter().find(here).filter(|_| rollout.step > 0)
}

/// Whether a listed step is still to come, or to pass.
pub(super) fn is_open(step: &Listed, rollout: &RolloutMemory) -> bool {
    step.weight > rollout.weight
        || step.weight == rollout.weight && !rollout.passed.contains(&step.number)
}

/// What comes next; `None`: nothing, it has everything. `direct`: no step, all in one; a rolling update
/// has no other room than its portions.
pub(super) fn goal(
    facts: &Facts<'_>,
    rollout: &RolloutMemory,
    listed: &[Listed],
    direct: bool,
) -> Option<Goal> {
    let weight = rollout.weight;
    let number = rollout.step.saturating_add(1);
    if weight >= 100 {
        return None;
    }
    Some(match facts.rules.strategy {
        Strategy::RollingUpdate { .. } => rolling(facts, rollout),
        Strategy::Canary(_) | Strategy::BlueGreen(_) if direct => portion(facts, number, 100),
        Strategy::Recreate => Goal {
            number,
            weight: 100,
            pods: 1,
        },
        Strategy::Canary(_) => match listed.iter().find(|step| step.weight > weight) {
            Some(step) => portion(facts, step.number, step.weight),
            None => portion(facts, number, weight.saturating_add(PORTION).min(100)),
        },
        Strategy::BlueGreen(_) => {
            let soak = listed.first().filter(|step| is_open(step, rollout));
            let weight = soak.map_or(100, |step| step.weight);
            Goal {
                weight,
                ..portion(facts, soak.map_or(2, |step| step.number), 100)
            }
        }
    })
}

fn portion(facts: &Facts<'_>, number: i32, weight: i32) -> Goal {
    Goal {
        number,
        weight,
        pods: need(weight, facts.desired.max(1)),
    }
}

/// A rolling update's share follows its ready pods, rounded down, so that none has too much.
fn rolling(facts: &Facts<'_>, rollout: &RolloutMemory) -> Goal {
    let desired = facts.desired.max(1);
    let ready = facts.of(&rollout.revision).ready.min(desired);
    let share = |pods: i32| pods.min(desired).saturating_mul(100) / desired;
    let pods = if share(ready) > rollout.weight {
        ready
    } else {
        ready.saturating_add(1)
    };
    Goal {
        number: rollout.step.saturating_add(1),
        weight: share(pods),
        pods,
    }
}

/// How many of `desired` pods a share needs, if all pods are for everything.
pub(super) fn need(weight: i32, desired: i32) -> i32 {
    match weight {
        ..=0 => 0,
        _ if desired == 0 => 0,
        _ => (weight.saturating_mul(desired).saturating_add(99) / 100).max(1),
    }
}

/// The least number of `desired` pods that a share leaves to the other side of a rolling update: shares
/// are whole percents, so it may be short of its share by less than one of them, or two revisions of
/// three pods would need four.
pub(super) fn need_at_least(weight: i32, desired: i32) -> i32 {
    match weight {
        ..=0 => 0,
        _ if desired == 0 => 0,
        _ => (weight - 1).saturating_mul(desired) / 100 + 1,
    }
}

#[cfg(test)]
mod tests;
