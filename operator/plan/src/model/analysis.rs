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
mod measured;
mod question;
mod tails;
mod text;
mod verdict;

pub use checks::{Checks, ErrorRate, Latency, Metric, Percent};
pub use counts::{BUCKETS, Compared, Counts, Histogram};
pub use measured::{Measured, asked, measure};
pub use verdict::{CheckResult, CheckVerdict, Hold, Judgement, Verdict, Violation};

use checks::Check;
use question::Question;
use tails::Alpha;

/// How many requests make a second look one of its own. With two per interval, second looks at all
/// but the same requests failed 27 of 10,000 equal revisions; so they are 5.
const FRESH: u64 = 10;

/// The verdict at the end of an interval.
///
/// `last` is what the interval before ended with, as status remembers it: empty at the first
/// interval of a step. A check that is violated in both fails the revision; one that is violated
/// for the first time only holds it, so that no step passes on the very evidence against it. An
/// error rate that chance explains less than once in 10⁸ fails it at once. After a violation, an
/// interval of a check lasts until ten more requests came: until then its result stays.
///
/// Never Pass without `checks.min_requests` requests on the new revision, nor with a silent
/// gateway. Turning one of the new revision's errors into a success never turns Pass into Fail.
/// Total; at most six checks.
#[must_use]
pub fn judge(checks: &Checks, counts: &Compared, last: &[CheckResult]) -> Judgement {
    let findings: Vec<Finding> = checks
        .list()
        .into_iter()
        .map(|check| {
            let before = last.iter().find(|before| before.metric == check.metric);
            finding(&check, checks, counts, before)
        })
        .collect();
    Judgement {
        verdict: verdict(&findings, checks, counts),
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
    /// Whether the violation is the last word.
    is_final: bool,
    /// Set if there is too little to judge by.
    hold: Option<Hold>,
}

fn finding(
    check: &Check,
    checks: &Checks,
    counts: &Compared,
    before: Option<&CheckResult>,
) -> Finding {
    let question = Question::of(check, counts);
    let violation =
        Alpha::at(question.new.answers).and_then(|alpha| violation(check, &question, alpha));
    let hold = hold(check, checks, &question);
    let verdict = match (&violation, &hold) {
        (Some(_), _) => CheckVerdict::Fail,
        (None, Some(_)) => CheckVerdict::Hold,
        (None, None) => CheckVerdict::Pass,
    };
    let result = CheckResult {
        metric: check.metric,
        verdict,
        requests: question.new.answers,
        new: text::compact(question.shown.0.as_ref()),
        stable: text::compact(question.shown.1.as_ref()),
        limit: text::compact(Some(&text::limit(check.bound))),
    };
    let is_decisive = check.metric.is_error() && question.violated(Alpha::DECISIVE).is_some();
    let before = before.filter(|before| before.verdict == CheckVerdict::Fail);
    let (is_final, result) = match (&violation, before) {
        (None, _) => (false, result),
        (Some(_), _) if is_decisive => (true, result),
        (Some(_), Some(before)) if is_stale(before, &result) => (false, before.clone()),
        (Some(_), before) => (before.is_some(), result),
    };
    Finding {
        result,
        violation,
        is_final,
        hold,
    }
}

/// Whether hardly a request came since. Fewer than before: the counts began anew, all are fresh.
fn is_stale(before: &CheckResult, now: &CheckResult) -> bool {
    let since = now.requests.checked_sub(before.requests);
    since.is_some_and(|since| since < FRESH)
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

fn verdict(findings: &[Finding], checks: &Checks, counts: &Compared) -> Verdict {
    let last_word = findings.iter().find(|found| found.is_final);
    if let Some(violation) = last_word.and_then(|found| found.violation.clone()) {
        return Verdict::Fail(violation);
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
