//! Whether a step has passed, and what the gateways counted against a new revision.
//!
//! Pure. Called by `course`. The counts are those since every gateway obeys the step's share; with a new
//! operator they begin anew, the step's clock does not.

use aimass_crds::reason::Reason;
use jiff::{SignedDuration, Timestamp};

use super::failing::failed;
use super::steps::Listed;
use super::{Facts, signed, soonest};
use crate::model::analysis::{self, Compared, Verdict};
use crate::model::outlook::{Failed, RolloutMemory, Wait};
use crate::model::valid::{Analysis, Word};

/// Nobody waits an interval to see that a revision is dead.
const ALARM: SignedDuration = SignedDuration::from_secs(1);

/// What became of a step.
pub(super) enum Look {
    /// It has passed.
    Passed,
    /// For what, and when time alone changes that.
    Waits(Wait, Option<Timestamp>),
    /// Nothing was found out for too long.
    Failed(Failed),
}

/// Whether a step that every gateway obeys has passed.
pub(super) fn look(
    facts: &Facts<'_>,
    stable: Option<&str>,
    (step, rollout): (&Listed, &RolloutMemory),
    now: Timestamp,
) -> Look {
    let number = step.number;
    let watched = Wait::Watched {
        step: number,
        seconds: step.duration.as_secs(),
    };
    let over = |since: Timestamp| since.checked_add(signed(step.duration)).ok();
    let Some(over) = rollout.step_started.and_then(over) else {
        return Look::Waits(watched, None);
    };
    if now < over {
        return Look::Waits(watched, Some(over));
    }
    if let Some(analysis) = facts.rules.analysis.as_ref().filter(|_| step.is_judged)
        && !has_passed(facts, stable, (analysis, rollout))
    {
        let wait = Wait::Verdict {
            step: number,
            want: analysis.checks.min_requests,
            nobody_counts: !facts.gateways.signals.expected,
        };
        match held(analysis, over, now) {
            Held::Until(at) => return Look::Waits(wait, at),
            Held::Passes => {}
            Held::Fails => return Look::Failed(inconclusive(analysis, rollout, now)),
        }
    }
    if step.approval && facts.word(&rollout.revision) != Some(Word::Continue(number)) {
        return Look::Waits(Wait::Approval { step: number }, None);
    }
    Look::Passed
}

/// Judged at the end of one interval at least, and nothing speaks against it now.
fn has_passed(
    facts: &Facts<'_>,
    stable: Option<&str>,
    (analysis, rollout): (&Analysis, &RolloutMemory),
) -> bool {
    let counted = compared(facts, stable, &rollout.revision);
    let verdict = || analysis::judge(&analysis.checks, &counted, &rollout.checks).verdict;
    facts.gateways.signals.expected && rollout.checked.is_some() && verdict() == Verdict::Pass
}

enum Held {
    Until(Option<Timestamp>),
    Passes,
    Fails,
}

/// What becomes of a step without a verdict, whose duration was over at `over`.
fn held(analysis: &Analysis, over: Timestamp, now: Timestamp) -> Held {
    let Some(most) = analysis.max_hold else {
        return Held::Until(None);
    };
    match over.checked_add(signed(most.after)) {
        Ok(until) if until > now => Held::Until(Some(until)),
        Ok(_) if most.promotes => Held::Passes,
        Ok(_) => Held::Fails,
        Err(_) => Held::Until(None),
    }
}

fn inconclusive(analysis: &Analysis, rollout: &RolloutMemory, now: Timestamp) -> Failed {
    let most = analysis.max_hold.map_or(0, |most| most.after.as_secs());
    let message = format!(
        "no verdict on revision {} for {most} s beyond the step's duration (spec.rollout.analysis.maxHold): it needs {} requests in a step",
        rollout.revision, analysis.checks.min_requests
    );
    failed(rollout, (Reason::AnalysisInconclusive, message), now)
}

/// What the gateways counted against the rollout, as of now; the second is when to look again. What
/// the end of an interval says is remembered for the next one.
pub(super) fn judge(
    facts: &Facts<'_>,
    stable: &str,
    rollout: &mut RolloutMemory,
    now: Timestamp,
) -> (Option<Failed>, Option<Timestamp>) {
    let is_counted = rollout.weight > 0 && facts.gateways.signals.expected;
    let analysis = facts.rules.analysis.as_ref().filter(|_| is_counted);
    let (Some(analysis), Some(started)) = (analysis, rollout.step_started) else {
        return (None, None);
    };
    let counted = compared(facts, Some(stable), &rollout.revision);
    let fails = |message: String| failed(rollout, (Reason::AnalysisFailed, message), now);
    if let Some(violation) = analysis::alarm(&analysis.checks, &counted) {
        return (Some(fails(violation.message)), None);
    }
    let due = |since: Timestamp| since.checked_add(signed(analysis.interval)).ok();
    if due(rollout.checked.unwrap_or(started)).is_some_and(|due| due <= now) {
        let judgement = analysis::judge(&analysis.checks, &counted, &rollout.checks);
        let found = match judgement.verdict {
            Verdict::Fail(violation) => Some(fails(violation.message)),
            Verdict::Pass | Verdict::Hold(_) => None,
        };
        rollout.checks = judgement.checks;
        rollout.checked = Some(now);
        if found.is_some() {
            return (found, None);
        }
    }
    let again = due(rollout.checked.unwrap_or(started));
    (None, soonest([again, now.checked_add(ALARM).ok()]))
}

fn compared(facts: &Facts<'_>, stable: Option<&str>, target: &str) -> Compared {
    let counts = &facts.gateways.signals.counts;
    let of = |revision: &str| counts.get(revision).cloned().unwrap_or_default();
    Compared {
        new: of(target),
        stable: stable.map(of),
        silent_gateways: u32::try_from(facts.gateways.silent()).unwrap_or(u32::MAX),
    }
}
