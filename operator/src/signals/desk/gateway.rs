//! One gateway, as its stream has told: which traffic it obeys for each model, and who waits where.
//!
//! Pure. Kept by `desk` as long as the gateway is live. What a stream says holds until the next one of
//! the same gateway has said as much: a connection that is made anew, every ten minutes, is no news.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aimass_crds::signals::{Load, Seen};
use aimass_plan::model;
use aimass_plan::model::scale::{Span, Tick};

use crate::signals::known::Uid;

/// Without a report for longer, nobody knows what a gateway does.
pub(super) const SILENT: Duration = Duration::from_secs(3);
/// Revisions of one model that somebody waits for or is served by. There are ten at most.
const REVISIONS: usize = 32;

/// What is known of one gateway.
#[derive(Debug, Default)]
pub(super) struct Gateway {
    /// Whether somebody reads it now.
    pub(super) connected: bool,
    /// Whether it was silent when that was last asked, each second.
    pub(super) was_silent: bool,
    /// When its last report was received.
    heard: Option<Tick>,
    /// The time that its last report counts for.
    span: Option<Span>,
    /// What the stream that has begun says of all models; it holds from the first report on.
    introduction: Option<Introduction>,
    models: BTreeMap<Uid, Taken>,
}

/// A stream's first lines.
#[derive(Debug, Default)]
struct Introduction {
    versions: BTreeMap<Uid, i64>,
    complete: bool,
}

/// What is known of one model there.
#[derive(Debug, Default)]
struct Taken {
    /// The `trafficVersion` that it obeys.
    version: Option<i64>,
    /// Revisions that requests are on or wait for; all others have none.
    busy: BTreeMap<String, Busy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Busy {
    assigned: u32,
    waits: bool,
}

impl Gateway {
    /// A stream has begun.
    pub(super) fn connected(&mut self) {
        self.connected = true;
        self.introduction = Some(Introduction::default());
    }

    /// A part of what it says of all models; `last`: there is no more.
    pub(super) fn introduce(&mut self, versions: impl Iterator<Item = (Uid, i64)>, last: bool) {
        // A second one on the same stream replaces the first one, too.
        let known = self.introduction.take().filter(|known| !known.complete);
        let mut introduction = known.unwrap_or_default();
        introduction.versions.extend(versions);
        introduction.complete = last;
        self.introduction = Some(introduction);
    }

    /// A report was received; whether the stream's first lines hold from now on.
    ///
    /// Only from here on: by then every request that the report counts goes by those versions, and a
    /// revision that it does not name has none.
    pub(super) fn heard(&mut self, now: Tick) -> bool {
        self.heard = Some(now);
        let Some(introduction) = self.introduction.take_if(|known| known.complete) else {
            return false;
        };
        let taken = |(uid, version)| {
            let busy = BTreeMap::new();
            let version = Some(version);
            (uid, Taken { version, busy })
        };
        self.models = introduction.versions.into_iter().map(taken).collect();
        true
    }

    /// The time that a report counts for is `span`; `None`: it goes on with the last one.
    pub(super) fn spans(&mut self, span: Option<Span>, now: Tick) -> Span {
        let until_now = Span {
            from: now,
            until: now,
            counted: Duration::ZERO,
        };
        let span = span.or(self.span).unwrap_or(until_now);
        self.span = Some(span);
        span
    }

    /// What a report says of a model; returns the version that held before.
    pub(super) fn seen(&mut self, uid: &Uid, seen: &Seen) -> Option<i64> {
        let taken = self.models.entry(Arc::clone(uid)).or_default();
        let before = taken.version.replace(seen.traffic_version);
        for load in &seen.revisions {
            taken.set(&load.revision, busy(load));
        }
        before
    }

    /// Somebody waits for a revision; whether that is news.
    pub(super) fn woken(&mut self, uid: &Uid, revision: &str, queued: u32) -> bool {
        let taken = self.models.entry(Arc::clone(uid)).or_default();
        let known = taken.busy.values().any(|busy| busy.waits);
        let assigned = taken.busy.get(revision).map_or(0, |busy| busy.assigned);
        let busy = Busy {
            assigned: assigned.max(queued),
            waits: true,
        };
        taken.set(revision, busy);
        !known
    }

    /// The model is gone.
    pub(super) fn forget(&mut self, uid: &str) {
        self.models.remove(uid);
        if let Some(introduction) = &mut self.introduction {
            introduction.versions.remove(uid);
        }
    }

    /// Whether it has said nothing for more than 3 s, or never.
    pub(super) fn silent(&self, now: Tick) -> bool {
        self.heard.is_none_or(|heard| now.since(heard) > SILENT)
    }

    /// Whether it has told once what it does.
    pub(super) fn has_told(&self) -> bool {
        self.heard.is_some() && self.introduction.is_none()
    }

    /// The `trafficVersion` that it obeys for a model.
    pub(super) fn version(&self, uid: &str) -> Option<i64> {
        self.models.get(uid)?.version
    }

    /// Whether somebody waits there for a model.
    pub(super) fn waits(&self, uid: &str) -> bool {
        let taken = self.models.get(uid);
        taken.is_some_and(|taken| taken.busy.values().any(|busy| busy.waits))
    }

    /// Requests on a revision, or waiting for it.
    pub(super) fn assigned(&self, uid: &str, revision: &str) -> u32 {
        let taken = self.models.get(uid);
        taken
            .and_then(|taken| taken.busy.get(revision))
            .map_or(0, |busy| busy.assigned)
    }

    /// The same as a plan takes it.
    pub(super) fn observed(&self, uid: &str, now: Tick) -> model::Gateway {
        let taken = self.models.get(uid);
        let busy = taken.into_iter().flat_map(|taken| &taken.busy);
        model::Gateway {
            silent: self.silent(now),
            traffic_version: taken.and_then(|taken| taken.version),
            assigned: busy
                .map(|(revision, busy)| (revision.clone(), busy.assigned))
                .collect(),
        }
    }
}

impl Taken {
    fn set(&mut self, revision: &str, busy: Busy) {
        if busy.assigned == 0 && !busy.waits {
            self.busy.remove(revision);
        } else if let Some(known) = self.busy.get_mut(revision) {
            *known = busy;
        } else if self.busy.len() < REVISIONS {
            self.busy.insert(revision.to_owned(), busy);
        }
    }
}

/// Whoever waits for pods that are there will be served by them; by the time alone it is not told
/// from one that came this millisecond.
fn busy(load: &Load) -> Busy {
    let (usable, _) = load.endpoints;
    Busy {
        assigned: load.assigned,
        waits: load.oldest_ms > 0 || usable == 0 && load.assigned > 0,
    }
}
