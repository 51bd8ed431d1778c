//! The last decisions about one model, with everything that they depended on.
//!
//! Pure. Kept by `desk`, shown by `decisions`.

use std::collections::VecDeque;

use aimass_plan::model::scale::Recommendation;
use jiff::Timestamp;
use serde::Serialize;

/// Decisions that are kept of one model: fewer where there are very many models.
const MOST: std::ops::RangeInclusive<usize> = 4..=32;

/// A decision that changed something.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    /// When it was made.
    pub(crate) time: Timestamp,
    /// In words, as in the condition `Scaled`.
    pub(crate) message: String,
    /// With its inputs.
    pub(crate) recommendation: Recommendation,
}

/// The last ones, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(VecDeque<(Timestamp, Recommendation)>);

impl Records {
    /// One more; of all `room` are kept, as far as that is reasonable.
    pub(super) fn push(&mut self, record: (Timestamp, Recommendation), room: usize) {
        while self.0.len() >= room.clamp(*MOST.start(), *MOST.end()) {
            self.0.pop_front();
        }
        self.0.push_back(record);
    }

    /// The newest first.
    pub(super) fn newest_first(&self) -> Vec<Record> {
        let record = |(time, recommendation): &(Timestamp, Recommendation)| Record {
            time: *time,
            message: recommendation.to_string(),
            recommendation: *recommendation,
        };
        self.0.iter().rev().map(record).collect()
    }
}
