//! What a person says of the rollout under way, as `spec.rollout.decision` has it. Pure.

use aimass_crds::ModelDeployment;
use aimass_crds::model_deployment::{RevisionRef, RolloutStatus};
use serde_json::{Value, json};

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Continue,
    Promote,
    Abort,
    Retry,
}

/// What is to be written, and what is told once it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) decision: Value,
    pub(super) text: String,
}

/// Why it would mean nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// The operator has not looked at the last change.
    #[error("the operator has not looked at its last change yet: try again in a moment")]
    Unseen,
    /// Nothing is rolled out.
    #[error("nothing is rolled out: {0} serves")]
    Nothing(String),
    /// It has failed, and no word but one changes that.
    #[error("the rollout of {0} has failed: `aimass rollout retry` tries it once more")]
    Failed(String),
    /// There is nothing to try again.
    #[error("the rollout of {0} has not failed")]
    NotFailed(String),
    /// There is nothing to go back to.
    #[error("{0} is its first revision: there is none to go back to")]
    First(String),
    /// No step has begun.
    #[error("no step of {0} has begun: its first pods are still coming up")]
    NoStep(String),
}

/// What `word` means for the rollout that `model` is in.
pub(super) fn decision(model: &ModelDeployment, word: Word) -> Result<Said, Refused> {
    let status = model.status.clone().unwrap_or_default();
    if status.observed_generation != model.metadata.generation {
        return Err(Refused::Unseen);
    }
    let target = status.target.as_ref().ok_or(Refused::Unseen)?;
    let called = called(target);
    let under_way = status.rollout.as_ref();
    let under_way = under_way.filter(|rollout| rollout.revision == target.revision);
    let Some(rollout) = under_way else {
        return Err(Refused::Nothing(called));
    };
    let decide = |action: &str, step: Option<i32>, attempt: Option<i32>| {
        // Null takes away what an earlier word had.
        json!({"revision": target.revision, "action": action, "step": step, "attempt": attempt})
    };
    let failed = failed(rollout);
    let (decision, text) = match (word, failed) {
        (Word::Retry, None) => return Err(Refused::NotFailed(called)),
        (Word::Retry, Some(attempt)) => {
            let text = format!("{called} is tried once more.");
            (decide("Retry", None, Some(attempt)), text)
        }
        (_, Some(_)) => return Err(Refused::Failed(called)),
        (Word::Abort, None) if status.stable.is_none() => return Err(Refused::First(called)),
        (Word::Abort, None) => {
            let text = format!("{called} is taken back.");
            (decide("Abort", None, None), text)
        }
        (Word::Continue, None) if rollout.step == 0 => return Err(Refused::NoStep(called)),
        (Word::Continue, None) => {
            let step = rollout.step;
            let text = format!("Step {step} of {called} is approved.");
            (decide("Continue", Some(step), None), text)
        }
        (Word::Promote, None) => {
            let text = format!("{called} is promoted: no step waits any more.");
            (decide("Promote", None, None), text)
        }
    };
    Ok(Said { decision, text })
}

/// The attempt that failed, unless another one is under way.
fn failed(rollout: &RolloutStatus) -> Option<i32> {
    let failure = rollout.failure.as_ref()?;
    (failure.attempt == rollout.attempt).then_some(failure.attempt)
}

/// A revision as it is called in texts.
pub(super) fn called(revision: &RevisionRef) -> String {
    let RevisionRef { revision, number } = revision;
    format!("revision {revision} (number {number})")
}
