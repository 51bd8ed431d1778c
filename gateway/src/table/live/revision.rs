//! What is remembered of a revision.
//!
//! Hangs on the table; found again by the next one, by the model's uid and the revision's name.

use super::meter::Meter;

/// Of one revision.
#[derive(Debug, Default)]
pub struct RevisionLive {
    /// What it has to do, for the operator.
    pub meter: Meter,
}
