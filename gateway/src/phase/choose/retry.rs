//! Whether a failed attempt is followed by another one.
//!
//! Pure but for the [`Budget`]. Called by `forward`, which then chooses another endpoint, inside of the request's deadline.

use std::time::Instant;

use crate::table::Retry;
use crate::table::live::Budget;

/// Attempts that a request may have.
const ATTEMPTS: u32 = 2;

/// A failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub cause: Cause,
    /// Whether every byte that was taken of the caller's body can be sent once more: it lies in the replay buffer, or none
    /// was taken.
    pub replayable: bool,
}

/// What may happen before the first byte of an answer has gone to the caller. What happens after it is never retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There was no connection to be had: the pod has seen nothing.
    NotConnected,
    /// `draining`: the pod has not run it.
    Draining,
    /// `overloaded`: the pod has not run it.
    Overloaded,
    /// The connection broke before an answer began.
    Reset,
    /// 502, or another 503.
    Unavailable,
    /// No head of an answer within the time.
    TooSlow,
    /// Any other answer: it is the caller's.
    Answered,
}

impl Cause {
    /// That of an answer with `status` and this value of `aimass-error`.
    #[must_use]
    pub fn of(status: u16, kind: Option<&str>) -> Self {
        match (status, kind) {
            (503, Some("draining")) => Self::Draining,
            (503, Some("overloaded")) => Self::Overloaded,
            (502 | 503, _) => Self::Unavailable,
            _ => Self::Answered,
        }
    }

    /// The policy from which on it is retried; `None`: never.
    const fn least_policy(self) -> Option<Retry> {
        match self {
            Self::NotConnected | Self::Draining | Self::Overloaded => Some(Retry::Unsent),
            Self::Reset | Self::Unavailable => Some(Retry::Idempotent),
            Self::TooSlow | Self::Answered => None,
        }
    }
}

/// Whether there is one more attempt, after `attempts` of which the last one ended with `failure`. If so, it is charged to
/// `budget`, which has counted the request by [`Budget::request`].
#[must_use]
pub fn retry(
    budget: &Budget,
    attempts: u32,
    failure: &Failure,
    policy: Retry,
    now: Instant,
) -> bool {
    let allowed = match (policy, failure.cause.least_policy()) {
        (Retry::Never, _) | (_, None) => false,
        (Retry::Unsent, Some(least)) => least == Retry::Unsent,
        (Retry::Idempotent, Some(_)) => true,
    };
    allowed && attempts < ATTEMPTS && failure.replayable && budget.take(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSES: [Cause; 7] = [
        Cause::NotConnected,
        Cause::Draining,
        Cause::Overloaded,
        Cause::Reset,
        Cause::Unavailable,
        Cause::TooSlow,
        Cause::Answered,
    ];

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn again(attempts: u32, cause: Cause, replayable: bool, policy: Retry) -> bool {
        let failure = Failure { cause, replayable };
        retry(&Budget::default(), attempts, &failure, policy, now())
    }

    #[track_caller]
    fn check(policy: Retry, expect: &[Cause]) {
        let again: Vec<_> = CAUSES
            .into_iter()
            .filter(|cause| again(1, *cause, true, policy))
            .collect();
        assert_eq!(again, expect);
    }

    #[test]
    fn the_policy_decides_what_is_sent_again() {
        let unsent = [Cause::NotConnected, Cause::Draining, Cause::Overloaded];
        check(Retry::Never, &[]);
        check(Retry::Unsent, &unsent);
        check(Retry::Idempotent, &CAUSES[..5]);
    }

    #[test]
    fn what_cannot_be_replayed_is_not_sent_again() {
        for cause in CAUSES {
            assert!(!again(1, cause, false, Retry::Idempotent), "{cause:?}");
        }
    }

    #[test]
    fn there_is_one_retry() {
        assert!(again(1, Cause::NotConnected, true, Retry::Unsent));
        assert!(!again(2, Cause::NotConnected, true, Retry::Unsent));
    }

    #[test]
    fn causes_are_sorted_by_status_and_kind() {
        for (status, kind, expect) in [
            (200, None, Cause::Answered),
            (400, Some("bad_json"), Cause::Answered),
            (429, None, Cause::Answered),
            (500, Some("internal"), Cause::Answered),
            (502, None, Cause::Unavailable),
            (503, None, Cause::Unavailable),
            (503, Some("not_ready"), Cause::Unavailable),
            (503, Some("draining"), Cause::Draining),
            (503, Some("overloaded"), Cause::Overloaded),
            (504, Some("deadline"), Cause::Answered),
        ] {
            assert_eq!(Cause::of(status, kind), expect, "{status} {kind:?}");
        }
    }

    #[test]
    fn the_budget_ends_a_storm_and_is_charged_by_retries_alone() {
        let (budget, now) = (Budget::default(), now());
        let failure = |cause| Failure {
            cause,
            replayable: true,
        };
        let storm = |cause| {
            let requests = 0..1000;
            let again = requests.filter(|_| {
                budget.request(now);
                retry(&budget, 1, &failure(cause), Retry::Unsent, now)
            });
            again.count()
        };
        assert_eq!(storm(Cause::Reset), 0);
        assert_eq!(storm(Cause::NotConnected), 430, "a fifth of 2000, and 30");
    }
}
