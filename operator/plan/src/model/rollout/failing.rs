//! Why a rollout has failed: a person's word, its pods, or time.
//!
//! Pure. Called by `course`. What the gateways counted is judged in `watch`.

use aimass_crds::reason::Reason;
use jiff::{SignedDuration, Timestamp};

use super::{Facts, signed};
use crate::model::facts::Pods;
use crate::model::outlook::{Failed, PodFailure, RolloutMemory};
use crate::model::valid::Word;

/// How long a stable revision is without a ready pod before nobody waits for it.
const BROKEN: SignedDuration = SignedDuration::from_secs(30);

/// A failure that no waiting mends.
pub(super) fn at_once(
    facts: &Facts<'_>,
    rollout: &RolloutMemory,
    now: Timestamp,
) -> Option<Failed> {
    if let Some(aborted) = aborted(facts, rollout, now) {
        return Some(aborted);
    }
    if let Some(refused) = facts.refused {
        return Some(of_pods(rollout, refused, now));
    }
    let failing = facts.failures.get(&rollout.revision)?;
    failing.decisive.then(|| of_pods(rollout, failing, now))
}

/// A person takes it back.
pub(super) fn aborted(
    facts: &Facts<'_>,
    rollout: &RolloutMemory,
    now: Timestamp,
) -> Option<Failed> {
    let is_meant = facts.word(&rollout.revision) == Some(Word::Abort);
    let message = "taken back by spec.rollout.decision";
    is_meant.then(|| failed(rollout, (Reason::Aborted, message.to_owned()), now))
}

/// No further pod got ready in time.
pub(super) fn late(facts: &Facts<'_>, rollout: &RolloutMemory, now: Timestamp) -> Option<Failed> {
    deadline(facts, rollout).filter(|deadline| *deadline <= now)?;
    let target = rollout.revision.as_str();
    Some(match facts.failures.get(target) {
        Some(failing) => of_pods(rollout, failing, now),
        None => {
            let Pods { ready, .. } = facts.of(target);
            let message = format!(
                "{ready} of {} pods of revision {target} are ready, and no further one since {} s: see the pods' logs, or raise spec.rollout.progressDeadline",
                facts.desired.max(1),
                facts.rules.progress_deadline.as_secs()
            );
            failed(rollout, (Reason::StartTimeout, message), now)
        }
    })
}

/// When a further pod must be ready.
pub(super) fn deadline(facts: &Facts<'_>, rollout: &RolloutMemory) -> Option<Timestamp> {
    let allowed = signed(facts.rules.progress_deadline);
    rollout.progressed?.checked_add(allowed).ok()
}

/// Since when, or from when on, `stable` is no revision that one could compare with or wait for: it
/// has pods, and none gets ready. `None`: it serves, or sleeps.
pub(super) fn broken_at(facts: &Facts<'_>, stable: &str, now: Timestamp) -> Option<Timestamp> {
    let pods = facts.of(stable);
    if facts.desired == 0 || pods.size == 0 || pods.ready > 0 {
        return None;
    }
    if facts.failures.contains_key(stable) {
        return Some(now);
    }
    pods.unavailable?.checked_add(BROKEN).ok()
}

fn of_pods(rollout: &RolloutMemory, failure: &PodFailure, now: Timestamp) -> Failed {
    Failed {
        pod: failure.pod.clone(),
        ..failed(rollout, (failure.reason, failure.message.clone()), now)
    }
}

/// The failure of the present attempt.
pub(super) fn failed(
    rollout: &RolloutMemory,
    (reason, message): (Reason, String),
    now: Timestamp,
) -> Failed {
    Failed {
        attempt: rollout.attempt,
        time: now,
        reason,
        message,
        pod: None,
    }
}
