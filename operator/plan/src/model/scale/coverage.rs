//! Which seconds all gateways have reported: what is missing must never look like nothing to do.
//!
//! Pure. One for all deployments, kept by the operator's signals task: [`Coverage::connected`] and
//! [`Coverage::report`] for what gateways send, [`Coverage::close`] each second with the gateways
//! that are live. Read by [`super::recommend`].
//!
//! A gateway's reports follow each other without a gap on its own clock, so a report that is late
//! is placed where it belongs by the least delay seen on its connection: neither jitter nor a pause
//! of the operator makes holes or peaks. A second is closed once every gateway that was live in it
//! has covered it; as partial, once one of them is three seconds late.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ring::LONGEST;
use super::tick::{Span, Tick, millis};

/// A gateway is silent once it has reported nothing for this long (scaling-and-rollout.md §1).
const SILENT: Duration = Duration::from_secs(3);
/// Between two reports, less than this is a delay, not a gap.
const SLACK: Duration = Duration::from_millis(500);
/// A decrease needs what all gateways counted up to this long ago: reports come once a second, so
/// none of them is overdue. One that is merely late delays a decrease by a second.
const INTERVAL: Duration = Duration::from_secs(1);
/// Clocks drift, and spans are cut to whole milliseconds: the least delay is forgotten by so many
/// milliseconds a report.
const DRIFT: u64 = 1;
/// Seconds that are closed one by one after a pause of the caller; older ones are partial at once.
const CATCH_UP: u64 = 10;
/// No installation has more gateways; seconds of further ones stay partial.
const MOST: usize = 1024;

/// What is known of the reports of all gateways.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// The last second that is closed.
    closed: u64,
    /// The last closed second that is partial.
    partial: u64,
    /// In which second it was last said who is live.
    asked: u64,
    /// By pod uid; those that are live or were in a second that is not closed.
    gateways: BTreeMap<String, Gateway>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Gateway {
    /// The first and last second in which it was live.
    live: Option<(u64, u64)>,
    /// What its reports cover without a gap.
    covered: Option<Span>,
    /// When it last reported.
    heard: Option<Tick>,
    /// Milliseconds reported on its connection.
    elapsed: u64,
    /// The leader's time at which its connection's would have begun, by the least delay seen.
    origin: Option<u64>,
}

impl Coverage {
    /// Nothing is known of what was before `now`.
    #[must_use]
    pub fn new(now: Tick) -> Self {
        Self {
            closed: now.second(),
            partial: now.second(),
            asked: now.second(),
            gateways: BTreeMap::new(),
        }
    }

    /// A connection to a gateway has begun: what it reports is not known to follow what it reported
    /// before. Also to be called where a report is missing.
    pub fn connected(&mut self, gateway: &str) {
        if let Some(gateway) = self.gateways.get_mut(gateway) {
            gateway.elapsed = 0;
            gateway.origin = None;
        }
    }

    /// A report over `span` was received: says which piece of the leader's time it counts for, to be
    /// given to [`super::Ring::add`] with each of its revisions. No time counts twice.
    pub fn report(&mut self, gateway: &str, span: Duration, now: Tick) -> Span {
        let span = span.min(Duration::from_secs(LONGEST));
        let by_receipt = Span {
            from: Tick::from_millis(now.as_millis().saturating_sub(millis(span))),
            until: now,
            counted: span,
        };
        if !self.gateways.contains_key(gateway) {
            if self.gateways.len() >= MOST {
                return by_receipt;
            }
            self.gateways.insert(gateway.to_owned(), Gateway::default());
        }
        match self.gateways.get_mut(gateway) {
            Some(gateway) => gateway.report(span, now),
            None => by_receipt,
        }
    }

    /// Closes what can be closed, with the uids of the gateways that are live now: listed and
    /// serving. To be called each second, after the reports received.
    pub fn close(&mut self, live: &BTreeSet<String>, now: Tick) {
        let second = now.second();
        self.asked = second;
        for uid in live.iter().take(MOST) {
            let gateway = self.gateways.entry(uid.clone()).or_default();
            let first = gateway.live.map_or(second, |(first, _)| first);
            gateway.live = Some((first, second));
        }
        let late = second.saturating_sub(CATCH_UP);
        if self.closed < late {
            self.closed = late;
            self.partial = late;
        }
        while let Some(complete) = self.next(now) {
            self.closed = self.closed.saturating_add(1);
            if !complete {
                self.partial = self.closed;
            }
        }
        let closed = self.closed;
        self.gateways
            .retain(|_, gateway| gateway.live.is_some_and(|(_, last)| last > closed));
    }

    /// Whether the next second is complete; `None`: it is not to be closed yet.
    fn next(&self, now: Tick) -> Option<bool> {
        let second = self.closed.saturating_add(1);
        let end = Tick::of_second(second.saturating_add(1));
        if end > now {
            return None;
        }
        let needed = || {
            self.gateways
                .values()
                .filter(|gateway| gateway.live_in(second))
        };
        // without a gateway nobody could have counted
        let complete = needed().next().is_some() && needed().all(|gateway| gateway.covers(second));
        let never = needed().any(|gateway| gateway.began_after(second));
        (complete || never || now.since(end) >= SILENT).then_some(complete)
    }

    /// The last second that is closed: later ones may still get more.
    pub(super) fn closed(&self) -> u64 {
        self.closed
    }

    /// Whether each of the last `window` closed seconds is complete.
    pub(super) fn complete(&self, window: u64) -> bool {
        self.partial.saturating_add(window) <= self.closed
    }

    /// The end of the last second that is partial.
    pub(super) fn complete_since(&self) -> Tick {
        Tick::of_second(self.partial.saturating_add(1))
    }

    /// Whether nothing is overdue, of a live gateway or of one that has just gone: what is missing
    /// could be what keeps the number.
    pub(super) fn recent(&self, now: Tick) -> bool {
        let overdue = self.closed.saturating_add(2) < now.second();
        !overdue
            && self.live().all(|gateway| {
                gateway
                    .covered
                    .is_some_and(|covered| now.since(covered.until) < INTERVAL)
            })
    }

    /// Whether no live gateway has reported for three seconds, or there is none.
    #[must_use]
    pub fn silent(&self, now: Tick) -> bool {
        !self.live().any(|gateway| {
            gateway
                .heard
                .is_some_and(|heard| now.since(heard) <= SILENT)
        })
    }

    fn live(&self) -> impl Iterator<Item = &Gateway> {
        self.gateways
            .values()
            .filter(|gateway| gateway.live_in(self.asked))
    }
}

impl Gateway {
    fn live_in(&self, second: u64) -> bool {
        self.live
            .is_some_and(|(first, last)| first <= second && second <= last)
    }

    fn covers(&self, second: u64) -> bool {
        self.covered.is_some_and(|covered| {
            covered.from <= Tick::of_second(second)
                && covered.until >= Tick::of_second(second.saturating_add(1))
        })
    }

    /// Whether what it reports without a gap began too late for a second.
    fn began_after(&self, second: u64) -> bool {
        self.covered
            .is_some_and(|covered| covered.from > Tick::of_second(second))
    }

    fn report(&mut self, span: Duration, now: Tick) -> Span {
        self.heard = Some(now);
        self.elapsed = self.elapsed.saturating_add(millis(span));
        let origin = now.as_millis().saturating_sub(self.elapsed);
        let least = self
            .origin
            .map_or(origin, |least| origin.min(least.saturating_add(DRIFT)));
        let mut until = Tick::from_millis(least.saturating_add(self.elapsed)).min(now);
        self.origin = Some(least);
        if now.since(until) >= SILENT {
            // what is missing is not coming any more: its clock begins anew
            self.elapsed = 0;
            self.origin = Some(now.as_millis());
            until = now;
        }
        let begin = Tick::from_millis(until.as_millis().saturating_sub(millis(span)));
        let Some(covered) = self.covered else {
            let placed = Span {
                from: begin,
                until,
                counted: span,
            };
            self.covered = Some(placed);
            return placed;
        };
        let until = until.max(covered.until);
        let gap = begin.since(covered.until);
        let from = if gap <= SLACK { covered.until } else { begin };
        self.covered = Some(Span {
            from: if gap <= SLACK { covered.from } else { begin },
            until,
            counted: span,
        });
        Span {
            from,
            until,
            counted: span,
        }
    }
}

#[cfg(test)]
mod tests;
