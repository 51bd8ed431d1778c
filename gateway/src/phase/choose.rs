//! Phase choose: which revision answers, and which of its pods.
//!
//! Pure but for the counts in [`crate::table::live`]: time and chance are arguments. Called by `phase` once all else is decided,
//! and again for a second attempt; [`retry`] says whether there is one. Where nobody has given revisions weights, the endpoints
//! of all of them are equal. `revision` says whose turn it is, `endpoint` which pod has it, `lack` what becomes of requests
//! for a revision without pods.

pub(super) mod endpoint;
pub(super) mod lack;
pub mod retry;
mod revision;
#[cfg(test)]
mod simulation;
#[cfg(test)]
pub(in crate::phase) mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use aimass_protocol::Error;
use http::HeaderMap;

pub use self::endpoint::Placed;
use self::endpoint::{Found, find, slots};
use self::lack::{Lack, lack, reason};
use super::permit::Bound;
use crate::table::live::RevisionLive;
use crate::table::{Deployment, Revision};

/// The header whose value keeps callers on one revision.
const STICKY: &str = "aimass-sticky";
/// Bytes that it has at most.
const STICKY_BYTES: usize = 128;

/// What a model without endpoints is, where nothing else is known of it.
pub(super) const STARTING: &str = "Starting";
/// What a model is that has no pods because nobody called.
pub(super) const AT_ZERO: &str = "AtZero";

/// A revision, apart from the table that it stands in.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its name, without that of the model.
    pub name: Arc<str>,
    /// Its number, for the header `aimass-model-version`.
    pub number: i64,
    /// What is remembered of it.
    pub live: Arc<RevisionLive>,
}

impl Named {
    fn of(revision: &Revision) -> Self {
        Self {
            name: Arc::clone(&revision.name),
            number: revision.number,
            live: Arc::clone(&revision.live),
        }
    }
}

/// What of a request decides, besides its model and its pin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Callers with one value stay on one revision.
    pub sticky: Option<&'a [u8]>,
    /// The revision that it was given already.
    pub given: Option<&'a str>,
    /// The address that an attempt before this one failed at, which is left out.
    pub tried: Option<SocketAddr>,
}

impl<'a> Wish<'a> {
    /// What the headers of a request say.
    ///
    /// # Errors
    /// `bad_request`: the value is too long.
    pub fn of(headers: &'a HeaderMap) -> Result<Self, Error> {
        let value = headers.get(STICKY).map(http::HeaderValue::as_bytes);
        match value {
            Some(value) if value.len() > STICKY_BYTES => {
                let text = String::from_utf8_lossy(value);
                Err(Error::invalid_header(STICKY, &text))
            }
            // Who has nothing to be told apart by must not all be on one.
            value => Ok(Self {
                sticky: value.filter(|value| !value.is_empty()),
                ..Self::default()
            }),
        }
    }
}

/// What decides that is no part of the request.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Any number, another one each time.
    pub random: u64,
    /// Any number, one for each gateway: so that not all begin with the same turn.
    pub offset: u64,
    /// Gateways that requests come through, this one included.
    pub gateways: u32,
    /// Now.
    pub now: Instant,
}

/// The decision.
#[derive(Debug)]
pub enum Choice {
    /// This pod answers.
    Forward(Placed),
    /// Pods of this revision are busy, or on their way.
    Wait(Wait),
    /// Nobody answers.
    Refuse(Refused),
}

/// What is to be waited for.
#[derive(Debug)]
pub struct Wait {
    /// The revision.
    pub revision: Named,
    /// What its pods are like.
    pub pods: Pods,
}

/// Why a request cannot go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// They have as many requests as they may have.
    Busy,
    /// There is none.
    Missing,
}

/// Why a request is not answered.
#[derive(Debug)]
pub struct Refused {
    /// `not_ready`, with what is known.
    pub error: Error,
    /// The revision that would have answered, if one was chosen.
    pub revision: Option<Named>,
    /// Whether its pods might come if somebody asked for them.
    pub wake: bool,
}

/// Chooses for a request. What it gives is counted on the endpoint already; that of the revision is the caller's to count.
#[must_use]
pub fn choose(bound: &Bound, wish: &Wish<'_>, draw: &Draw) -> Choice {
    let case = Case {
        deployment: &bound.deployment,
        pinned: bound.pin.is_some(),
        tried: wish.tried,
        draw,
    };
    match revision::of(bound, wish, draw) {
        Some(revision) => case.settle(revision),
        None => case.anywhere(bound.pin),
    }
}

struct Case<'a> {
    deployment: &'a Deployment,
    pinned: bool,
    tried: Option<SocketAddr>,
    draw: &'a Draw,
}

impl Case<'_> {
    /// For a request that is meant for `revision`.
    fn settle(&self, revision: &Revision) -> Choice {
        match self.find(&[revision]) {
            Found::Placed(placed) => return Choice::Forward(placed),
            Found::Busy => return wait(revision, Pods::Busy),
            Found::Nothing => {}
        }
        let deployment = self.deployment;
        if self.tried.is_some() {
            return self.refuse(reason(deployment), Some(revision), false);
        }
        match lack(deployment, revision, self.pinned, self.draw.now) {
            Lack::Wait => wait(revision, Pods::Missing),
            Lack::Elsewhere(other) => {
                revision.live.meter.reroute();
                let rerouted = &deployment.live.rerouted;
                rerouted.fetch_add(1, Ordering::Relaxed);
                match self.find(&[other]) {
                    Found::Placed(placed) => Choice::Forward(placed),
                    Found::Busy => wait(other, Pods::Busy),
                    // Gone between two looks.
                    Found::Nothing => wait(other, Pods::Missing),
                }
            }
            Lack::Failing(reason) => self.refuse(reason, Some(revision), true),
            Lack::Down => self.refuse(reason(deployment), Some(revision), false),
            Lack::Never(reason) => self.refuse(reason, Some(revision), false),
        }
    }

    /// For a request of a model whose revisions are all equal, or of a revision that is not there.
    fn anywhere(&self, pin: Option<i64>) -> Choice {
        let meant = |revision: &&Revision| pin.is_none_or(|pin| revision.number == pin);
        let revisions: Vec<&Revision> = self.deployment.revisions.iter().filter(meant).collect();
        match self.find(&revisions) {
            Found::Placed(placed) => return Choice::Forward(placed),
            Found::Busy => {
                let usable = |revision: &&&Revision| endpoint::count(revision, self.draw.now);
                if let Some(most) = revisions.iter().max_by_key(usable) {
                    return wait(most, Pods::Busy);
                }
            }
            Found::Nothing => {}
        }
        self.refuse(reason(self.deployment), None, false)
    }

    fn find(&self, revisions: &[&Revision]) -> Found {
        let mut lines = revisions.iter().map(|revision| &revision.live.line);
        // Whoever comes does not overtake those that wait; a second attempt has waited its turn.
        let slots = match self.tried.is_none() && lines.any(|line| line.count() > 0) {
            true => 0,
            false => slots(self.deployment.capacity.per_pod, self.draw.gateways),
        };
        find(revisions, self.tried, slots, self.draw)
    }

    fn refuse(&self, reason: &str, revision: Option<&Revision>, wake: bool) -> Choice {
        Choice::Refuse(Refused {
            error: Error::not_ready(&self.deployment.served_name, reason),
            revision: revision.map(Named::of),
            wake,
        })
    }
}

fn wait(revision: &Revision, pods: Pods) -> Choice {
    Choice::Wait(Wait {
        revision: Named::of(revision),
        pods,
    })
}
