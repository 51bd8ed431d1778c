//! How one revision follows another: which size each gets now, what is remembered, how far it is.
//!
//! Pure. Called by the planner with facts and memory; `rollout/sizes.rs` does the arithmetic. State
//! is derived, not stored: a crash between apply and status finds the same state again. A failure
//! acts only once it is remembered, or a crash in between would begin the rollout anew.

mod sizes;

use std::collections::BTreeMap;

use aimass_crds::reason::Reason;
use jiff::{SignedDuration, Timestamp};

use super::facts::Pods;
use super::outlook::{Failed, PodFailure, Progress, RolloutMemory};
use super::remembered::Remembered;
use super::valid::Rollout;
use sizes::Growth;

/// What is known when it is decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// How many pods there shall be.
    pub(crate) desired: i32,
    /// `spec.suspend`.
    pub(crate) suspended: bool,
    /// `spec.rollout`.
    pub(crate) rules: &'a Rollout,
    /// The revision that the spec asks for; `None` while its references do not resolve.
    pub(crate) target: Option<&'a str>,
    /// Why no pod of the target may be made.
    pub(crate) refused: Option<&'a PodFailure>,
    /// What keeps the target's pods from getting ready.
    pub(crate) failing: Option<&'a PodFailure>,
    /// The revisions that exist, by name.
    pub(crate) pods: &'a BTreeMap<String, Pods>,
    /// Their names, the newest first.
    pub(crate) order: &'a [String],
}

impl Facts<'_> {
    fn of(&self, revision: &str) -> Pods {
        self.pods.get(revision).copied().unwrap_or_default()
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The size of each revision that exists, and of the target unless it is refused.
    pub(crate) sizes: BTreeMap<String, i32>,
    /// To be written to status.
    pub(crate) memory: Remembered,
    /// How far it is.
    pub(crate) progress: Progress,
    /// When time alone changes something.
    pub(crate) wake_at: Option<Timestamp>,
}

/// Decides the next step. Applied to its own result it decides the same.
#[must_use]
pub(crate) fn next(facts: &Facts<'_>, memory: &Remembered, now: Timestamp) -> Decision {
    if facts.suspended {
        let sizes = facts.pods.keys().map(|name| (name.clone(), 0)).collect();
        return Decision {
            sizes,
            memory: stopped(memory),
            progress: Progress::Suspended,
            wake_at: None,
        };
    }
    let Some(target) = facts.target else {
        return unresolved(facts, memory);
    };
    let stable = memory.stable.as_deref();
    if stable == Some(target) {
        return serving(facts, target);
    }
    let mut rollout = advanced(facts, memory, target, now);
    if complete(facts, stable, target, &rollout) {
        return serving(facts, target);
    }
    if rollout.failure.is_some() {
        return failed(facts, stable, rollout);
    }
    if let Some(failure) = failure(facts, target, &rollout, now) {
        let taken_back = stable.is_some() && facts.rules.auto_rollback;
        rollout.failure = Some(failure);
        return Decision {
            sizes: sizes::toward(facts, target, stable, Growth::Frozen),
            memory: Remembered {
                stable: stable.map(str::to_owned),
                rollout: Some(rollout),
            },
            progress: if taken_back {
                Progress::RollingBack
            } else {
                Progress::Failed
            },
            wake_at: Some(now),
        };
    }
    let growth = if facts.rules.paused {
        Growth::Frozen
    } else {
        Growth::Surge
    };
    Decision {
        sizes: sizes::toward(facts, target, stable, growth),
        progress: progress(facts, target),
        wake_at: deadline(facts, &rollout),
        memory: Remembered {
            stable: stable.map(str::to_owned),
            rollout: Some(rollout),
        },
    }
}

/// The target is the stable revision: it has its full size at once, whatever else still serves goes.
fn serving(facts: &Facts<'_>, target: &str) -> Decision {
    let sizes = sizes::toward(facts, target, None, Growth::All);
    let alone = sizes
        .iter()
        .all(|(name, size)| name == target || *size == 0);
    Decision {
        sizes,
        memory: Remembered {
            stable: Some(target.to_owned()),
            rollout: None,
        },
        progress: if alone {
            Progress::Complete
        } else {
            Progress::RollingBack
        },
        wake_at: None,
    }
}

/// The target is unknown: what serves goes on, nothing new begins.
fn unresolved(facts: &Facts<'_>, memory: &Remembered) -> Decision {
    let stable = memory.stable.as_deref();
    let under_way = memory
        .rollout
        .as_ref()
        .filter(|rollout| rollout.failure.is_none() && facts.pods.contains_key(&rollout.revision));
    let sizes = match (under_way, stable) {
        (Some(rollout), _) => sizes::toward(facts, &rollout.revision, stable, Growth::Frozen),
        (None, Some(stable)) => sizes::toward(facts, stable, None, Growth::All),
        (None, None) => facts
            .pods
            .iter()
            .map(|(name, pods)| (name.clone(), pods.size.min(facts.desired)))
            .collect(),
    };
    Decision {
        sizes,
        memory: stopped(memory),
        progress: Progress::NotAccepted,
        wake_at: None,
    }
}

/// The memory with its clock stopped.
fn stopped(memory: &Remembered) -> Remembered {
    let mut memory = memory.clone();
    if let Some(rollout) = &mut memory.rollout {
        rollout.step_started = None;
    }
    memory
}

/// The rollout to `target` as of now: begun, or with its highest number of ready pods.
fn advanced(facts: &Facts<'_>, memory: &Remembered, target: &str, now: Timestamp) -> RolloutMemory {
    let mut rollout = match &memory.rollout {
        Some(rollout) if rollout.revision == target => rollout.clone(),
        _ => RolloutMemory {
            revision: target.to_owned(),
            started: now,
            step: 0,
            step_started: Some(now),
            failure: None,
        },
    };
    let ready = facts.of(target).ready;
    if facts.rules.paused {
        rollout.step_started = None;
    } else if ready > rollout.step {
        rollout.step_started = Some(now);
    } else {
        rollout.step_started.get_or_insert(now);
    }
    rollout.step = rollout.step.max(ready);
    rollout
}

/// All pods of the target are ready. A failure is final where there is a revision to return to.
fn complete(
    facts: &Facts<'_>,
    stable: Option<&str>,
    target: &str,
    rollout: &RolloutMemory,
) -> bool {
    let final_failure = rollout.failure.is_some() && stable.is_some();
    facts.refused.is_none() && !final_failure && facts.of(target).ready >= facts.desired
}

/// Whether the rollout has failed by now, and why.
fn failure(
    facts: &Facts<'_>,
    target: &str,
    rollout: &RolloutMemory,
    now: Timestamp,
) -> Option<Failed> {
    let of = |failure: &PodFailure| Failed {
        time: now,
        reason: failure.reason,
        message: failure.message.clone(),
        pod: failure.pod.clone(),
    };
    if let Some(refused) = facts.refused {
        return Some(of(refused));
    }
    if let Some(failing) = facts.failing.filter(|failing| failing.decisive) {
        return Some(of(failing));
    }
    let late = deadline(facts, rollout).is_some_and(|deadline| deadline <= now);
    late.then(|| match facts.failing {
        Some(failing) => of(failing),
        None => Failed {
            time: now,
            reason: Reason::StartTimeout,
            message: format!(
                "{} of {} pods of revision {target} are ready, and no further one since {} s: see the pods' logs, or raise spec.rollout.progressDeadline",
                facts.of(target).ready,
                facts.desired,
                facts.rules.progress_deadline.as_secs()
            ),
            pod: None,
        },
    })
}

/// What happens after a failure that is remembered.
fn failed(facts: &Facts<'_>, stable: Option<&str>, rollout: RolloutMemory) -> Decision {
    let target = rollout.revision.as_str();
    let (sizes, progress) = match stable {
        Some(stable) if facts.rules.auto_rollback => {
            let sizes = sizes::toward(facts, stable, None, Growth::All);
            let back = sizes
                .iter()
                .all(|(name, size)| name == stable || *size == 0);
            (
                sizes,
                if back {
                    Progress::RolledBack
                } else {
                    Progress::RollingBack
                },
            )
        }
        Some(_) => (
            sizes::toward(facts, target, stable, Growth::Frozen),
            Progress::Failed,
        ),
        // nothing to return to: one pod goes on trying
        None if facts.of(target).ready == 0 => (
            sizes::toward(facts, target, None, Growth::One),
            Progress::Failed,
        ),
        None => (
            sizes::toward(facts, target, None, Growth::Surge),
            Progress::Failed,
        ),
    };
    let memory = Remembered {
        stable: stable.map(str::to_owned),
        rollout: Some(rollout),
    };
    Decision {
        sizes,
        memory,
        progress,
        wake_at: None,
    }
}

fn deadline(facts: &Facts<'_>, rollout: &RolloutMemory) -> Option<Timestamp> {
    let allowed = SignedDuration::try_from(facts.rules.progress_deadline).ok()?;
    rollout.step_started?.checked_add(allowed).ok()
}

fn progress(facts: &Facts<'_>, target: &str) -> Progress {
    let room = [Reason::QuotaExceeded, Reason::Unschedulable];
    if facts.rules.paused {
        Progress::Paused
    } else if facts
        .failing
        .is_some_and(|failing| room.contains(&failing.reason))
    {
        Progress::WaitingForCapacity
    } else if facts.of(target).ready == 0 {
        Progress::Starting
    } else {
        Progress::Progressing
    }
}

#[cfg(test)]
mod tests;
