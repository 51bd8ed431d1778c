//! The last seconds of a deployment, or of one of its revisions.
//!
//! Pure. Filled by the operator's signals task, read by [`super::recommend`] and [`super::own`]. A
//! ring adds up what it is given; whether all gateways gave something is known to
//! [`super::Coverage`], once for all deployments. Seconds without a request are not stored, so that
//! a deployment that sleeps costs nothing.

use std::collections::VecDeque;
use std::time::Duration;

use super::latency::Histogram;
use super::second::{Counts, Second};
use super::tick::{Milli, Span, Tick, millis, seconds, share};
use super::tuning::Counting;

/// Seconds kept beyond the window: those that are not closed yet.
const OPEN: u64 = 6;
/// Seconds whose answers make a percentile.
const ANSWERS: u64 = 10;
/// Seconds that one report may cover; a gateway that says more is not listened to.
pub(super) const LONGEST: u64 = 60;

/// The seconds of a window.
#[derive(Clone, Debug)]
pub struct Ring {
    /// How many seconds.
    window: u64,
    /// The first second that it knows about.
    began: u64,
    /// Those with requests, ascending; at most `window` + `OPEN`.
    seconds: VecDeque<(u64, Second)>,
    /// Those with answers, ascending; at most `ANSWERS` + `OPEN`.
    answers: VecDeque<(u64, Histogram)>,
    /// The end of the last span with a request; when the ring began, if there was none.
    active: Tick,
    /// In which second gateways last said what they remember one request to take, and what.
    remembered: (u64, u64),
}

impl Ring {
    /// An empty ring, which knows nothing of what was before `now`.
    #[must_use]
    pub fn new(window: Duration, now: Tick) -> Self {
        Self {
            window: seconds(window),
            began: now.second(),
            seconds: VecDeque::new(),
            answers: VecDeque::new(),
            active: now,
            remembered: (0, 0),
        }
    }

    /// Takes over another window: to be called when the spec's has changed. What a shorter one has
    /// dropped is unknown to a longer one.
    pub fn resize(&mut self, window: Duration, now: Tick) {
        let kept = now.second().saturating_add(1).saturating_sub(self.window);
        self.began = self.began.max(kept);
        self.window = seconds(window);
        self.trim();
    }

    /// Adds what one gateway counted for one revision during a span, as placed by
    /// [`super::Coverage::report`]. Means weigh by their time; counts are spread over the seconds of
    /// the span.
    pub fn add(&mut self, span: Span, counts: &Counts<'_>) {
        let pieces = pieces(span, self.began);
        let Some(last) = pieces.last().map(|piece| piece.second) else {
            return;
        };
        if counts.mean_service_us > 0 && last >= self.remembered.0 {
            // by size within a second: the result must not depend on which gateway came first
            let same = if last == self.remembered.0 {
                self.remembered.1
            } else {
                0
            };
            self.remembered = (last, counts.mean_service_us.max(same));
        }
        if counts.idle() {
            return;
        }
        self.active = self.active.max(span.until);
        for piece in &pieces {
            at(&mut self.seconds, piece.second, Second::default, |second| {
                second.add(piece.of(counts));
            });
        }
        if !counts.latency.is_empty() {
            at(&mut self.answers, last, Histogram::new, |histogram| {
                for (bucket, answers) in counts.latency {
                    histogram.add(*bucket, u64::from(*answers));
                }
            });
        }
        self.trim();
    }

    /// Drops what is older than the window, counted from the newest second.
    fn trim(&mut self) {
        let keep = self.window.saturating_add(OPEN);
        drop_old(&mut self.seconds, keep);
        drop_old(&mut self.answers, ANSWERS.saturating_add(OPEN));
    }

    /// Whether it knows all seconds of the window that ends with `end`.
    pub(super) fn covers(&self, end: u64) -> bool {
        self.began.saturating_add(self.window) <= end.saturating_add(1)
    }

    /// How many seconds its window has.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// When the last request was seen.
    pub(super) fn active(&self) -> Tick {
        self.active
    }

    /// How long one request takes: the mean of the window that ends with `end`, else what gateways
    /// remember.
    pub(super) fn service_us(&self, end: u64) -> Option<u64> {
        let after = end.saturating_sub(self.window);
        let (mut service, mut completed) = (0_u64, 0_u64);
        for (_, second) in self.seconds.iter().rev().take_while(|(at, _)| *at > after) {
            service = service.saturating_add(second.service_us);
            completed = completed.saturating_add(second.completed);
        }
        let remembered = Some(self.remembered.1).filter(|mean| *mean > 0);
        service.checked_div(completed).or(remembered)
    }

    /// The means over the `length` seconds up to `end`; over fewer, but at least `least`, where the
    /// ring began later. A second that is not stored had no request.
    pub(super) fn mean(&self, end: u64, (length, least): (u64, u64), demand: Demand) -> Mean {
        let known = end.saturating_add(1).saturating_sub(self.began);
        let over = length.min(known.max(least)).max(1);
        let first = end.saturating_add(1).saturating_sub(length);
        let mut sum = Mean::default();
        for (at, second) in self.seconds.iter().rev() {
            if *at < first {
                break;
            }
            if *at <= end {
                let wanted = second.demand(demand.service_us, demand.counting);
                sum.demand.0 = sum.demand.0.saturating_add(wanted.0);
                let arrived = second.arrived.saturating_mul(1000);
                sum.rate.0 = sum.rate.0.saturating_add(arrived);
            }
        }
        Mean {
            demand: Milli(sum.demand.0 / over),
            rate: Milli(sum.rate.0 / over),
        }
    }

    /// The answers of the last ten seconds up to `end`.
    pub(super) fn answers(&self, end: u64) -> Histogram {
        let after = end.saturating_sub(ANSWERS);
        let mut sum = Histogram::new();
        for (_, histogram) in self.answers.iter().filter(|(at, _)| *at > after) {
            sum.merge(histogram);
        }
        sum
    }
}

/// How demand is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    pub(super) service_us: Option<u64>,
    pub(super) counting: Counting,
}

/// Means over some seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mean {
    pub(super) demand: Milli,
    /// Requests a second.
    pub(super) rate: Milli,
}

/// The part of a span that lies in one second.
#[derive(Clone, Copy, Debug)]
struct Piece {
    second: u64,
    /// Milliseconds counted before this part, in this part, and in all.
    before: u64,
    length: u64,
    whole: u64,
}

impl Piece {
    fn of(&self, counts: &Counts<'_>) -> Second {
        let Self {
            before,
            length,
            whole,
            ..
        } = *self;
        let ends = before.saturating_add(length);
        // what is counted up to the end of the part, less what was counted before it: nothing is lost
        let part = |total| share(total, ends, whole).saturating_sub(share(total, before, whole));
        Second {
            in_flight: Milli(share(counts.in_flight.0, length, 1000)),
            queued: Milli(share(counts.queued.0, length, 1000)),
            arrived: part(counts.arrived),
            service_us: part(counts.service_us),
            completed: part(counts.completed),
        }
    }
}

/// Cuts a span at the borders of seconds. What lies before `began` is left out, with its share of
/// what was counted: it would look like a burst in the first second otherwise.
fn pieces(span: Span, began: u64) -> Vec<Piece> {
    let Span {
        from,
        until,
        counted,
    } = span;
    let last = until.as_millis().saturating_sub(1) / 1000;
    let oldest = began.max(last.saturating_sub(LONGEST));
    let first = from.second().clamp(oldest, last.max(oldest));
    let placed = millis(until.since(from));
    let whole = millis(counted).max(placed);
    (first..=last)
        .map(|second| {
            let begin = from.max(Tick::of_second(second)).min(until);
            let end = until.min(Tick::of_second(second.saturating_add(1)));
            Piece {
                second,
                before: millis(begin.since(from)).saturating_add(whole - placed),
                length: millis(end.since(begin)),
                whole,
            }
        })
        .collect()
}

/// Changes the entry of a second, which is made where it is missing. Nearly always it is one of the
/// last.
fn at<T>(
    entries: &mut VecDeque<(u64, T)>,
    second: u64,
    new: impl Fn() -> T,
    change: impl FnOnce(&mut T),
) {
    let place = entries.partition_point(|(at, _)| *at < second);
    if entries.get(place).is_none_or(|(at, _)| *at != second) {
        entries.insert(place, (second, new()));
    }
    if let Some((_, entry)) = entries.get_mut(place) {
        change(entry);
    }
}

fn drop_old<T>(entries: &mut VecDeque<(u64, T)>, keep: u64) {
    let newest = entries.back().map_or(0, |(at, _)| *at);
    while entries
        .front()
        .is_some_and(|(at, _)| at.saturating_add(keep) <= newest)
    {
        entries.pop_front();
    }
}

#[cfg(test)]
mod tests;
