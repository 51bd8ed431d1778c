//! What was counted: answers, errors and latencies of the revisions that are compared.
//!
//! Pure. Summed by the operator over the gateways' reports, read by `analysis`. Adding saturates.
//! Nothing is a ratio before `tails.rs`: whether one share exceeds another is asked of integers.

use std::time::Duration;

use aimass_crds::signals::Load;

use super::checks::Percent;

/// How many buckets a latency histogram has.
pub const BUCKETS: usize = 80;

/// Counts above this are taken for it, so that products of two of them and a percentage fit
/// 128 bits: a million requests a second for four years.
const MOST: u64 = 1 << 47;

/// One revision's requests since the step began, over all gateways. Pinned requests and errors of
/// the callers are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answers that are not errors of the revision.
    pub ok: u64,
    /// 5xx of the pod, resets, deadlines after the request was forwarded.
    pub failed: u64,
    /// Refused by the engine.
    pub rejected: u64,
    /// Served by another revision, because this one could not.
    pub rerouted: u64,
    /// How long the answers took.
    pub latency: Histogram,
}

impl Counts {
    /// Adds what one gateway reports.
    pub fn report(&mut self, load: &Load) {
        let Load {
            ok,
            rejected,
            failed,
            rerouted,
            latency,
            ..
        } = load;
        for (sum, more) in [
            (&mut self.ok, ok),
            (&mut self.rejected, rejected),
            (&mut self.failed, failed),
            (&mut self.rerouted, rerouted),
        ] {
            *sum = sum.saturating_add(u64::from(*more));
        }
        for (bucket, answers) in latency {
            self.latency.add(usize::from(*bucket), u64::from(*answers));
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what was counted elsewhere, or later.
    pub fn add(&mut self, other: &Self) {
        let Self {
            ok,
            failed,
            rejected,
            rerouted,
            latency,
        } = other;
        self.ok = self.ok.saturating_add(*ok);
        self.failed = self.failed.saturating_add(*failed);
        self.rejected = self.rejected.saturating_add(*rejected);
        self.rerouted = self.rerouted.saturating_add(*rerouted);
        for (bucket, count) in latency.buckets.iter().enumerate() {
            self.latency.add(bucket, *count);
        }
    }

    /// All requests, and those that failed.
    pub(super) fn errors(&self) -> Sample {
        let events = self
            .failed
            .saturating_add(self.rejected)
            .saturating_add(self.rerouted);
        Sample::new(self.ok.saturating_add(events), events)
    }
}

/// What is judged, and what by. Both are counted over the same seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// The new revision.
    pub new: Counts,
    /// The stable one; `None` if there is none to compare with.
    pub stable: Option<Counts>,
    /// How many live gateways do not report: what is counted is not all there is.
    pub silent_gateways: u32,
}

/// How many answers took how long. The upper bound of bucket i is 0.1 ms × 2^(i/4), that is 19 %
/// above the one before; the last one also holds whatever took longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
        }
    }
}

impl Histogram {
    /// Counts `count` more answers in `bucket`; a bucket that does not exist is taken for the last.
    pub fn add(&mut self, bucket: usize, count: u64) {
        if let Some(held) = self.buckets.get_mut(bucket.min(BUCKETS - 1)) {
            *held = held.saturating_add(count);
        }
    }

    /// The bucket up to which at least `percent` of the answers are; `None` without answers.
    pub(super) fn quantile(&self, percent: u32) -> Option<usize> {
        let rank = (u128::from(percent) * self.total()).div_ceil(100);
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += u128::from(*count);
            seen > 0 && seen >= rank
        };
        self.buckets.iter().position(reached)
    }

    /// All answers, and those that took longer than `picoseconds`, which are rounded up to the next
    /// bound. Nothing is longer than the last bound: beyond it nothing is told apart.
    pub(super) fn slower_than(&self, picoseconds: u128) -> Sample {
        let slower: u128 = (0..)
            .zip(&self.buckets)
            .skip_while(|(bucket, _)| bound(*bucket) < picoseconds)
            .skip(1)
            .map(|(_, count)| u128::from(*count))
            .sum();
        Sample::new(saturated(self.total()), saturated(slower))
    }

    fn total(&self) -> u128 {
        self.buckets.iter().copied().map(u128::from).sum()
    }
}

/// The upper bound of a bucket, in picoseconds.
pub(super) fn bound(bucket: usize) -> u128 {
    // 0.1 ms × 2^(0/4), 2^(1/4), 2^(2/4), 2^(3/4)
    let base: u128 = match bucket % 4 {
        0 => 100_000_000,
        1 => 118_920_712,
        2 => 141_421_356,
        _ => 168_179_283,
    };
    base << (bucket.min(BUCKETS - 1) / 4)
}

/// A length of time in picoseconds.
pub(super) fn picoseconds(length: Duration) -> u128 {
    length.as_nanos().saturating_mul(1000)
}

fn saturated(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// How many answers there are, and how many of them are what is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) answers: u64,
    /// At most `answers`.
    pub(super) events: u64,
}

impl Sample {
    pub(super) fn new(answers: u64, events: u64) -> Self {
        let answers = answers.min(MOST);
        Self {
            answers,
            events: events.min(answers),
        }
    }

    /// Whether the share of the events is above `share`.
    pub(super) fn exceeds(self, share: Percent) -> bool {
        let [answers, events] = self.wide();
        events * 10_000 > answers * u128::from(share.hundredths)
    }

    /// Whether the share of the events is above `other`'s by more than `points`.
    pub(super) fn exceeds_by(self, other: Self, points: Percent) -> bool {
        let [answers, events] = self.wide();
        let [other_answers, other_events] = other.wide();
        let allowed = other_events * answers * 10_000
            + answers * other_answers * u128::from(points.hundredths);
        events * other_answers * 10_000 > allowed
    }

    fn wide(self) -> [u128; 2] {
        [self.answers, self.events].map(u128::from)
    }
}
