//! What a client did and saw, for the oracles: every call with its answer, every watch event.
//!
//! Pure values; filled by the fault layer, read by the tests.

use std::time::Duration;

use tokio::time::Instant;

use super::point::Verb;

/// At most so many calls, and events, are kept; a test that makes more has lost control.
pub const MAX_RECORDS: usize = 200_000;

/// One call of the client.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its name, as in a plan.
    pub point: String,
    /// What it does.
    pub verb: Verb,
    /// Plural name of the kind.
    pub kind: String,
    /// The query, as sent.
    pub query: String,
    /// When the client made it.
    pub at: Instant,
    /// The API server's own status; absent while it runs and where it never saw the call.
    pub status: Option<u16>,
    /// How the audit log names it; absent where the API server never saw it.
    pub audit_id: Option<String>,
    /// How long the API server took to answer.
    pub took: Option<Duration>,
    /// What was done to it.
    pub struck: Option<String>,
}

/// One line of a watch that reached the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Plural name of the kind.
    pub kind: String,
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`, `ERROR`.
    pub event: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
}
