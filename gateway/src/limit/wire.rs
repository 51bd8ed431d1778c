//! What gateways tell each other: a batch there, a reply back, as JSON.
//!
//! Plain values; bounded by [`MAX_BYTES`] and by the counts here, which [`Batch::is_bounded`] checks. Times are lengths, never
//! points: no two gateways have one clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Gcra, Holder};
use crate::table::Rate;

/// Bytes of a batch, and of a reply.
pub const MAX_BYTES: usize = 4 << 20;
/// Questions in one batch.
pub const MAX_ASKS: usize = 256;
/// Other entries of each kind in one batch.
const MAX_ENTRIES: usize = 4096;
/// So many of them are sent at once: a batch must be read and answered within milliseconds, and requests wait for the next one.
pub(crate) const PART: usize = 512;
/// Rates of one holder.
const MAX_RATES: usize = 64;
/// Requests that are granted at once.
pub(crate) const MAX_GRANT: u32 = 10_000;

/// What one gateway tells another, at most one at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Who tells it: the uid of its pod.
    pub from: String,
    /// Another number for each process that the pod has had.
    pub boot: u64,
    /// Counted up; what comes too late is left aside.
    pub seq: u64,
    /// Which members it sees.
    pub view: u64,
    /// It has spent on its own share what it has not told yet.
    pub owing: bool,
    /// Requests that wait.
    pub asks: Vec<Ask>,
    /// Places among the requests in flight that it holds, in all.
    pub holds: Vec<Hold>,
    /// What it has spent on its own share.
    pub spent: Vec<Spent>,
    /// What was its own, and is the receiver's from now on.
    pub handover: Option<Handover>,
}

/// One request, or some that will come, of a holder whom the receiver owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Whose limits.
    pub holder: Holder,
    /// Its rates; all of them are charged alike.
    pub rates: Vec<Limit>,
    /// Requests wanted of them.
    pub tokens: u32,
    /// Requests in flight over all gateways.
    pub concurrency: Option<u32>,
    /// Places wanted among them.
    pub slots: u32,
}

/// A rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Its name.
    pub name: String,
    /// Nanoseconds from one request to the next.
    pub interval: u64,
    /// Requests at once.
    pub burst: u64,
}

impl Limit {
    pub(crate) fn of(rate: &Rate) -> Self {
        Self::from(&rate.name, Gcra::of(rate))
    }

    pub(crate) fn from(name: &str, gcra: Gcra) -> Self {
        Self {
            name: name.to_owned(),
            interval: gcra.interval(),
            burst: gcra.burst(),
        }
    }

    pub(crate) fn gcra(&self) -> Gcra {
        Gcra::from_parts(self.interval, self.burst)
    }
}

/// Places of one holder that a gateway holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Whose.
    pub holder: Holder,
    /// How many, in all.
    pub slots: u32,
}

/// What a gateway has spent without asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Whose.
    pub holder: Holder,
    /// Of which rate.
    pub limit: Limit,
    /// Requests.
    pub requests: u64,
}

/// A part of what is handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// Between which members it was shared out.
    pub view: u64,
    /// Buckets that are not full.
    pub levels: Vec<Level>,
    /// Owners that have gone without handing over.
    pub gone: Vec<Gone>,
    /// Nothing follows.
    pub last: bool,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Whose.
    pub holder: Holder,
    /// Of which rate.
    pub limit: Limit,
    /// Nanoseconds until it is full.
    pub ahead: u64,
}

/// An owner that has gone, with all that it knew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gone {
    /// Which.
    pub uid: String,
    /// Between whom it owned a part.
    pub members: Vec<String>,
    /// Nanoseconds ago.
    pub ago: u64,
}

/// What comes back for a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// Which members the other side sees.
    pub view: u64,
    /// One for each question.
    pub answers: Vec<Answer>,
    /// One for each entry of `spent`: whether it counts there now.
    pub taken: Vec<bool>,
    /// Whether it has what was handed over.
    pub accepted: bool,
}

/// What becomes of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Answer {
    /// It may.
    Granted {
        /// So many of the requests that were wanted, at least one of them.
        tokens: u32,
        /// How each rate stands now.
        state: State,
    },
    /// It may not, and nothing was charged.
    Refused {
        /// Nanoseconds until each rate has room; `None`: it has.
        waits: Vec<Option<u64>>,
        /// So many are in flight that there is no place.
        full: bool,
        /// How each rate stands.
        state: State,
    },
    /// The receiver does not own this holder, or not yet.
    NotOwner,
}

/// How a holder's limits stand at its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Nanoseconds until each bucket is full.
    pub ahead: Vec<u64>,
    /// Requests in flight, over all gateways.
    pub in_flight: u32,
    /// More than half of each burst is left: more may be fetched ahead.
    pub plenty: bool,
    /// Others want places: those not used should be given back at once.
    pub contended: bool,
}

impl Batch {
    /// Whether it is no larger than batches are.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let handover = self.handover.as_ref();
        let entries = handover.map_or(0, |handover| handover.levels.len());
        let gone = handover.map_or(0, |handover| handover.gone.len());
        let asks = self.asks.iter();
        self.asks.len() <= MAX_ASKS
            && self.holds.len() <= MAX_ENTRIES
            && self.spent.len() <= MAX_ENTRIES
            && entries <= MAX_ENTRIES
            && gone <= super::ring::MAX_MEMBERS
            && asks.into_iter().all(|ask| ask.rates.len() <= MAX_RATES)
    }
}

/// For lengths of time on the wire.
pub(crate) fn nanoseconds(time: u128) -> u64 {
    u64::try_from(time).unwrap_or(u64::MAX)
}

/// The other way round.
pub(crate) fn duration(nanoseconds: u64) -> Duration {
    Duration::from_nanos(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_bounds() {
        let ask = Ask {
            holder: Holder::Key("u".into()),
            rates: Vec::new(),
            tokens: 1,
            concurrency: None,
            slots: 0,
        };
        let batch = |count| Batch {
            asks: vec![ask.clone(); count],
            ..Batch::default()
        };
        assert!(batch(MAX_ASKS).is_bounded());
        assert!(!batch(MAX_ASKS + 1).is_bounded());
    }

    #[test]
    fn intervals_of_nothing_are_none() {
        let limit: Limit = serde_json::from_str(r#"{"name":"r","interval":0,"burst":0}"#).unwrap();
        let gcra = limit.gcra();
        assert_eq!((gcra.interval(), gcra.burst()), (1, 1));
    }
}
