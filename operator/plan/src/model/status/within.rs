//! The condition `WithinObjectives`: whether the model keeps to `spec.objectives`.
//!
//! Pure. Called by `message`. A message holds the figures of the moment in which the condition changed:
//! it stays until the next change, or status would move with every window. So it does after a restart of the
//! operator, until a whole window has been seen.

use aimass_crds::condition::{Condition, ConditionStatus};
use aimass_crds::reason::Reason;

use super::message::Saying;
use crate::model::objectives::{Standing, Within};

/// Whether the model keeps to its objectives; `before` is what this condition said.
pub(super) fn within(within: &Within, before: Option<&Condition>) -> Saying {
    let before = before.and_then(|said| Some((Standing::of(said)?, &said.message)));
    match within {
        Within::NotAsked => {
            let message = "spec.objectives is not set: nothing is asked of the model";
            unknown(Reason::NoObjectives, message)
        }
        Within::NobodyCounts => {
            let message = "no gateway is installed: nobody counts requests";
            unknown(Reason::NoGateway, message)
        }
        Within::Judged {
            standing,
            message,
            ask,
        } => {
            let same = before.filter(|(was, said)| was == standing && said.ends_with(ask));
            says(*standing, same.map_or(message, |(_, said)| said))
        }
        Within::Awaited { message, silent } => match before {
            Some((was, _)) if was == Standing::NoTraffic => says(was, message),
            Some((was, said)) => says(was, said),
            None if *silent => {
                let message = "no gateway says what became of requests: nothing can be judged";
                unknown(Reason::NoSignals, message)
            }
            None => says(Standing::NoTraffic, message),
        },
    }
}

fn says(standing: Standing, message: &str) -> Saying {
    (standing.status(), standing.reason(), message.to_owned())
}

fn unknown(reason: Reason, message: &str) -> Saying {
    (ConditionStatus::Unknown, reason, message.to_owned())
}
