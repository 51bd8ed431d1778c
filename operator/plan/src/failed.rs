//! The conditions of an object without children whose reconcile failed.
//!
//! Pure. Called by the `status` of APIKeys and UsagePlans. What is known stays, what is wrong is said.

use aimass_crds::condition::{Condition, ConditionStatus, ConditionType};
use aimass_crds::reason::Reason;
use jiff::Timestamp;

use crate::conditions::Conditions;
use crate::model::Failure;

/// `previous` with what `failure` changes about it.
pub(crate) fn failed(
    previous: &[Condition],
    generation: Option<i64>,
    failure: &Failure,
    now: Timestamp,
) -> Vec<Condition> {
    let Failure {
        terminal: _,
        reason,
        message,
    } = failure;
    let refused = matches!(reason, Reason::InvalidSpec | Reason::Undecodable);
    let mut made = Conditions::new(previous, generation, now);
    for of in [ConditionType::Ready, ConditionType::Accepted] {
        if refused {
            // What is not accepted is promised to nobody.
            made.set(of, ConditionStatus::False, *reason, message);
        } else if !made.keep(of) {
            made.set(of, ConditionStatus::Unknown, *reason, message);
        }
    }
    let of = if refused {
        ConditionType::Stalled
    } else {
        ConditionType::Reconciling
    };
    made.set(of, ConditionStatus::True, *reason, message);
    made.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(previous: &[Condition], reason: Reason) -> Vec<(String, String, String)> {
        let failure = Failure {
            terminal: true,
            reason,
            message: "why".to_owned(),
        };
        let conditions = failed(previous, Some(2), &failure, Timestamp::UNIX_EPOCH);
        let again = failed(&conditions, Some(2), &failure, Timestamp::MAX);
        assert_eq!(again, conditions, "a fixed point");
        let told = |c: Condition| (c.type_, c.status, c.reason);
        conditions.into_iter().map(told).collect()
    }

    fn row(of: &str, status: &str, reason: &str) -> (String, String, String) {
        (of.to_owned(), status.to_owned(), reason.to_owned())
    }

    fn active() -> Vec<Condition> {
        let mut made = Conditions::new(&[], Some(1), Timestamp::UNIX_EPOCH);
        made.set(
            ConditionType::Ready,
            ConditionStatus::True,
            Reason::Active,
            "",
        );
        made.set(
            ConditionType::Accepted,
            ConditionStatus::True,
            Reason::Valid,
            "",
        );
        made.finish()
    }

    #[test]
    fn a_spec_that_is_refused_holds_no_longer() {
        let expect = [
            row("Ready", "False", "InvalidSpec"),
            row("Accepted", "False", "InvalidSpec"),
            row("Stalled", "True", "InvalidSpec"),
        ];
        assert_eq!(after(&active(), Reason::InvalidSpec), expect);
        assert_eq!(after(&[], Reason::InvalidSpec), expect);
    }

    #[test]
    fn a_failure_of_ours_leaves_what_is_known() {
        let expect = [
            row("Ready", "True", "Active"),
            row("Accepted", "True", "Valid"),
            row("Reconciling", "True", "InternalError"),
        ];
        assert_eq!(after(&active(), Reason::InternalError), expect);
        let expect = [
            row("Ready", "Unknown", "InternalError"),
            row("Accepted", "Unknown", "InternalError"),
            row("Reconciling", "True", "InternalError"),
        ];
        assert_eq!(after(&[], Reason::InternalError), expect);
    }
}
