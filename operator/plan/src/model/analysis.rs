//! The verdict on a new revision: whether it is worse than it may be, by what the gateways counted.
//!
//! Pure. [`judge`] is called at the end of each interval of `spec.rollout.analysis`, [`alarm`] each
//! second in between, by whoever sums the gateways' reports; the rollout acts on the verdict. Knows
//! nothing of steps, weights or time: the counts are those since the step began, of both revisions
//! over the same seconds.
//!
//! Evidence, not figures: a check is violated if its limit is exceeded *and* chance is no
//! explanation. Chance is `tails.rs`, the only place with floating-point numbers; the more often
//! one looks, the less it may explain.

mod checks;
mod counts;
mod question;
mod tails;
mod text;
mod verdict;

pub use checks::{Checks, ErrorRate, Latency, Metric, Percent};
pub use counts::{BUCKETS, Compared, Counts, Histogram};
pub use verdict::{CheckResult, CheckVerdict, Hold, Judgement, Verdict, Violation};

use checks::Check;
use question::Question;
use tails::Alpha;

/// The verdict at the end of an interval.
///
/// `last` is what the interval before ended with, as status remembers it: empty at the first
/// interval of a step. A check that is violated in both fails the revision; one that is violated
/// for the first time only holds it, so that no step passes on the very evidence against it. An
/// error rate that chance explains less than once in 10⁸ fails it at once.
///
/// Never Pass without `checks.min_requests` requests on the new revision, nor with a gateway silent.
/// Turning one of the new revision's errors into a success never turns Pass into Fail. Total; at
/// most six checks.
#[must_use]
pub fn judge(checks: &Checks, counts: &Compared, last: &[CheckResult]) -> Judgement {
    let findings: Vec<Finding> = checks
        .list()
        .into_iter()
        .map(|check| finding(&check, checks, counts))
        .collect();
    Judgement {
        verdict: verdict(&findings, checks, counts, last),
        checks: findings.into_iter().map(|found| found.result).collect(),
    }
}

/// The one violation that is not waited an interval for: an error rate that chance explains less
/// than once in 10⁸. To be asked each second, so that a dead revision is seen when it is dead.
#[must_use]
pub fn alarm(checks: &Checks, counts: &Compared) -> Option<Violation> {
    checks
        .list()
        .into_iter()
        .filter(|check| check.metric.is_error())
        .find_map(|check| violation(&check, &Question::of(&check, counts), Alpha::DECISIVE))
}

/// What came out of one check.
struct Finding {
    result: CheckResult,
    /// Set if the check is violated.
    violation: Option<Violation>,
    /// Whether once is enough.
    decisive: bool,
    /// Set if there is too little to judge by.
    hold: Option<Hold>,
}

fn finding(check: &Check, checks: &Checks, counts: &Compared) -> Finding {
    let question = Question::of(check, counts);
    let violation =
        Alpha::at(question.new.answers).and_then(|alpha| violation(check, &question, alpha));
    let decisive = violation.is_some()
        && check.metric.is_error()
        && question.violated(Alpha::DECISIVE).is_some();
    let hold = hold(check, checks, &question);
    let verdict = match (&violation, &hold) {
        (Some(_), _) => CheckVerdict::Fail,
        (None, Some(_)) => CheckVerdict::Hold,
        (None, None) => CheckVerdict::Pass,
    };
    Finding {
        result: CheckResult {
            metric: check.metric,
            verdict,
            requests: question.new.answers,
            new: text::compact(question.shown.0.as_ref()),
            stable: text::compact(question.shown.1.as_ref()),
            limit: text::compact(Some(&text::limit(check.bound))),
        },
        violation,
        decisive,
        hold,
    }
}

fn violation(check: &Check, question: &Question, alpha: Alpha) -> Option<Violation> {
    let chance = question.violated(alpha)?;
    Some(Violation {
        metric: check.metric,
        message: text::sentence(check, question, chance),
    })
}

/// Whether there are too few requests. Stable's count only where nothing else is asked: a limit of
/// the new revision alone can be judged without any.
fn hold(check: &Check, checks: &Checks, question: &Question) -> Option<Hold> {
    let want = checks.least();
    let stable = question.stable.map_or(0, |stable| stable.answers);
    if question.new.answers < want {
        let have = question.new.answers;
        Some(Hold::NewRequests { have, want })
    } else if check.is_alone && check.metric.is_increase() && stable < want {
        Some(Hold::StableRequests { have: stable, want })
    } else {
        None
    }
}

fn verdict(
    findings: &[Finding],
    checks: &Checks,
    counts: &Compared,
    last: &[CheckResult],
) -> Verdict {
    let violated_before = |metric: Metric| {
        last.iter()
            .any(|before| before.metric == metric && before.verdict == CheckVerdict::Fail)
    };
    let final_violation = findings.iter().find_map(|found| {
        let violation = found.violation.as_ref()?;
        (found.decisive || violated_before(violation.metric)).then_some(violation)
    });
    if let Some(violation) = final_violation {
        return Verdict::Fail(violation.clone());
    }
    if counts.silent_gateways > 0 {
        return Verdict::Hold(Hold::SilentGateways(counts.silent_gateways));
    }
    let (have, want) = (counts.new.errors().answers, checks.least());
    if findings.is_empty() && have < want {
        return Verdict::Hold(Hold::NewRequests { have, want });
    }
    if let Some(hold) = findings.iter().find_map(|found| found.hold) {
        return Verdict::Hold(hold);
    }
    match findings.iter().find_map(|found| found.violation.as_ref()) {
        Some(violation) => Verdict::Hold(Hold::Unconfirmed(violation.metric)),
        None => Verdict::Pass,
    }
}

#[cfg(test)]
mod tests;
