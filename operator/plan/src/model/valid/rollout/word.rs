//! `spec.rollout.decision` and `pin`: what a person says of revisions.
//!
//! Pure. Called by `rollout`.

use aimass_crds::model_deployment::{Action, Decision};

use super::{Rejection, fields};

/// What a person says of a rollout, and of which one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// Eight characters. Of any other revision nothing is said.
    pub(crate) revision: String,
    pub(crate) word: Word,
}

/// What a person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The step whose approval is given: 1 to 20.
    Continue(i32),
    /// No step waits any more.
    Promote,
    /// Back to the old revision.
    Abort,
    /// Once more after the failure of this attempt: from 1.
    Retry(i32),
}

pub(super) fn words(wire: &Decision) -> Result<Words, Rejection> {
    let Decision {
        revision,
        action,
        step,
        attempt,
    } = wire;
    let needs = |needs| Rejection::Incomplete {
        path: "spec.rollout.decision",
        needs,
    };
    let word = match (action, step, attempt) {
        (Action::Continue, Some(step), _) => {
            Word::Continue(fields::integer("spec.rollout.decision.step", *step, 1, 20)?)
        }
        (Action::Continue, None, _) => return Err(needs("step, for action: Continue")),
        (Action::Retry, _, Some(attempt)) => Word::Retry(fields::integer(
            "spec.rollout.decision.attempt",
            *attempt,
            1,
            1_000_000,
        )?),
        (Action::Retry, _, None) => return Err(needs("attempt, for action: Retry")),
        (Action::Promote, _, _) => Word::Promote,
        (Action::Abort, _, _) => Word::Abort,
    };
    Ok(Words {
        revision: fields::revision("spec.rollout.decision.revision", revision)?,
        word,
    })
}

pub(super) fn pin(text: &str) -> Result<String, Rejection> {
    fields::revision("spec.rollout.pin", text)
}
