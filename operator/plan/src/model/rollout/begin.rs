//! The rollout that the memory tells of, or a new one.
//!
//! Pure. Called by `course` first.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Facts;
use crate::model::outlook::RolloutMemory;
use crate::model::remembered::Remembered;
use crate::model::valid::Word;

/// The rollout to `target`: as remembered, once more if a person says so, else begun now.
pub(super) fn rollout(
    facts: &Facts<'_>,
    memory: &Remembered,
    target: &str,
    now: Timestamp,
) -> RolloutMemory {
    let known = memory.rollout.as_ref();
    let Some(rollout) = known.filter(|rollout| rollout.revision == target) else {
        return begun(target, now);
    };
    let failed = rollout.failed();
    match (facts.word(target), failed) {
        (Some(Word::Retry(attempt)), Some(failed)) if failed.attempt == attempt => RolloutMemory {
            attempt: attempt.saturating_add(1),
            failure: rollout.failure.clone(),
            ..begun(target, now)
        },
        _ => RolloutMemory {
            // it never has more than it was given: the share may have been lost, or taken away
            weight: rollout.weight.min(memory.traffic.of(target)),
            ..rollout.clone()
        },
    }
}

fn begun(target: &str, now: Timestamp) -> RolloutMemory {
    RolloutMemory {
        revision: target.to_owned(),
        attempt: 1,
        started: now,
        step: 0,
        step_started: None,
        progressed: None,
        ready: 0,
        weight: 0,
        passed: BTreeSet::new(),
        checked: None,
        checks: Vec::new(),
        failure: None,
    }
}
