//! What is decided for one UsagePlan: whether it can be used, and by how many keys it is.
//!
//! Pure. Called by `aimass_operator::usage_plan::reconcile`: [`plan`] after `observe`, then
//! [`status()`] and [`events()`]. There is nothing to write but the status: the gateways read the
//! plans themselves.

mod status;
mod valid;

use aimass_crds::{UsagePlan, UsagePlanStatus};

use crate::event::{EventRecord, transitions};
use crate::rejection::Rejection;
use valid::valid;

pub use status::{status, undecodable};

/// Everything that `observe` saw of one UsagePlan: facts, no judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// How many APIKeys of the cluster name it.
    pub keys: usize,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// The object is being deleted: nothing is reported any more.
    Deleting,
    /// It can be used.
    Usable {
        /// As observed, as far as status can say it.
        keys: i32,
    },
}

/// Judges a plan.
///
/// # Errors
/// A [`Rejection`] if the spec breaks a rule.
pub fn plan(plan: &UsagePlan, observed: Observed) -> Result<Outlook, Rejection> {
    if plan.metadata.deletion_timestamp.is_some() {
        return Ok(Outlook::Deleting);
    }
    valid(&plan.spec)?;
    let Observed { keys } = observed;
    // The schema's bound.
    let keys = i32::try_from(keys).unwrap_or(i32::MAX).min(1_000_000);
    Ok(Outlook::Usable { keys })
}

/// The Events of a change from `before` to `after`; at most one per reason.
#[must_use]
pub fn events(before: &UsagePlanStatus, after: &UsagePlanStatus) -> Vec<EventRecord> {
    transitions(&before.conditions, &after.conditions)
}

#[cfg(test)]
mod tests;
