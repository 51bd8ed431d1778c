//! What is told about an object as Events: transitions, in plain values.
//!
//! Pure. Made by the kinds' `events`, published by `aimass_operator::report`. An Event has the
//! reason of its condition.

use aimass_crds::reason::Reason;

/// Whether an Event tells something bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It does not.
    Normal,
    /// It does.
    Warning,
}

/// One Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// The reason, that of a condition where there is one.
    pub reason: Reason,
    /// Good or bad.
    pub kind: EventKind,
    /// The text, at most 1 KiB.
    pub note: String,
}
