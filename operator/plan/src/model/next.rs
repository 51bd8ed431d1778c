//! When a model has to be looked at again although nothing changed.
//!
//! Pure. Called by `aimass_operator::model::reconcile` last.

use jiff::Timestamp;

use super::outlook::Outlook;
use super::planned::Applied;
use crate::next::Next;

/// When time alone will change something.
#[must_use]
pub fn next(applied: &Applied, now: Timestamp) -> Next {
    let wake_at = match &applied.outlook {
        Outlook::Deleting => None,
        Outlook::Serving(decided) => decided.wake_at,
    };
    Next::at(wake_at, now)
}
