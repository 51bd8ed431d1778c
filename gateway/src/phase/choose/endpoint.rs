//! Which of a revision's pods has the next request.
//!
//! Pure but for the counts. Called by `choose`, and by `wait` for those that wait.

use std::cmp::Ordering as Compared;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Draw, Named};
use crate::table::live::Flight;
use crate::table::live::health::Standing;
use crate::table::{Endpoint, EndpointState, Revision};

/// The pod that answers.
#[derive(Debug)]
pub struct Placed {
    /// Its revision.
    pub revision: Named,
    /// Where it is.
    pub endpoint: Arc<Endpoint>,
    /// The request counts on it until this is dropped.
    pub flight: Flight,
}

/// What a look at the endpoints comes to.
#[derive(Debug)]
pub(in crate::phase) enum Found {
    /// One that has room.
    Placed(Placed),
    /// Some that have none.
    Busy,
    /// None at all.
    Nothing,
}

/// How many requests one gateway may give a pod that is to have at most `most` at once, where there are so many gateways.
///
/// Rounded up, and never none: what is meant is how much work is given at once, and each gateway must be able to give some.
#[must_use]
pub(in crate::phase) const fn slots(most: u32, gateways: u32) -> u32 {
    let gateways = if gateways == 0 { 1 } else { gateways };
    let slots = most.div_ceil(gateways);
    if slots == 0 { 1 } else { slots }
}

/// Finds an endpoint with fewer than `slots` requests; `tried` is left out.
///
/// Of two, drawn among those that are ready and well, the one with fewer requests in flight; of equals the one whose answers
/// take less than half as long, else either. So one that is slow gets little even when nothing is in flight.
#[must_use]
pub(in crate::phase) fn find(
    revisions: &[&Revision],
    tried: Option<SocketAddr>,
    slots: u32,
    draw_of: &Draw,
) -> Found {
    let now = draw_of.now;
    let mut free = usable(revisions, tried, now);
    if free.is_empty() {
        return Found::Nothing;
    }
    free.retain(|candidate| candidate.in_flight() < slots);
    while !free.is_empty() {
        let place = draw(&free, draw_of.random);
        let Some(candidate) = free.get(place) else {
            break;
        };
        if let Some(placed) = candidate.take(slots, now) {
            return Found::Placed(placed);
        }
        // Another request has had its last place, or is its trial already.
        free.swap_remove(place);
    }
    Found::Busy
}

/// How many endpoints of a revision may be given requests, if they have room.
#[must_use]
pub(in crate::phase) fn count(revision: &Revision, now: Instant) -> usize {
    usable(&[revision], None, now).len()
}

/// An endpoint that may be given the request.
struct Candidate<'a> {
    revision: &'a Revision,
    endpoint: &'a Arc<Endpoint>,
    standing: Standing,
}

impl Candidate<'_> {
    fn take(&self, slots: u32, now: Instant) -> Option<Placed> {
        let live = &self.endpoint.live;
        let flight = if self.standing == Standing::Trial {
            live.begin_trial(slots, now)?
        } else {
            live.begin(slots, now)?
        };
        Some(Placed {
            revision: Named::of(self.revision),
            endpoint: Arc::clone(self.endpoint),
            flight,
        })
    }

    fn in_flight(&self) -> u32 {
        self.endpoint.live.in_flight.load(Ordering::Relaxed)
    }
}

/// Those that are ready and well; else those that still serve, because what drains is better than nothing; else all that
/// said that they stop or failed, for it may be another pod's address by now.
fn usable<'a>(
    revisions: &[&'a Revision],
    tried: Option<SocketAddr>,
    now: Instant,
) -> Vec<Candidate<'a>> {
    let in_state = |state| candidates(revisions, state, now);
    let untried = |candidate: &Candidate<'_>| Some(candidate.endpoint.address) != tried;
    for state in [EndpointState::Ready, EndpointState::Serving] {
        let mut well = well(in_state(state));
        well.retain(untried);
        if !well.is_empty() {
            return well;
        }
    }
    let mut rest = in_state(EndpointState::Ready);
    rest.extend(in_state(EndpointState::Serving));
    rest.retain(untried);
    rest
}

fn candidates<'a>(
    revisions: &[&'a Revision],
    state: EndpointState,
    now: Instant,
) -> Vec<Candidate<'a>> {
    let endpoints = revisions.iter().flat_map(move |revision| {
        let endpoints = revision.endpoints.iter();
        let in_state = endpoints.filter(move |endpoint| endpoint.now() == state);
        in_state.map(move |endpoint| Candidate {
            revision,
            endpoint,
            standing: endpoint.live.standing(now),
        })
    });
    endpoints.collect()
}

/// Without those that rest or are out. Never more than half are left out for having failed: of more, those stay whose time
/// is over soonest. If everything fails, it is not the endpoints.
fn well(candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    let all = candidates.len();
    let (mut well, mut out) = (Vec::with_capacity(all), Vec::new());
    for candidate in candidates {
        match candidate.standing {
            Standing::In | Standing::Trial => well.push(candidate),
            Standing::Out { until } => out.push((until, candidate)),
            Standing::Resting => {}
        }
    }
    let too_many = out.len().saturating_sub(all / 2);
    if too_many > 0 {
        out.sort_by_key(|(until, _)| *until);
        let back = out.into_iter().take(too_many);
        well.extend(back.map(|(_, candidate)| candidate));
    }
    well
}

/// The place of the better of two.
fn draw(free: &[Candidate<'_>], random: u64) -> usize {
    let count = u64::try_from(free.len()).unwrap_or(u64::MAX).max(1);
    let (low, high) = (random & 0xffff_ffff, random >> 32);
    let first = low % count;
    // Another one, each as likely.
    let step = 1 + high % count.saturating_sub(1).max(1);
    let second = (first + step) % count;
    let place = |number: u64| usize::try_from(number).unwrap_or(0);
    let (first, second) = (place(first), place(second));
    match (free.get(first), free.get(second)) {
        (Some(one), Some(other)) if is_better(other, one) => second,
        _ => first,
    }
}

/// Which of two comes first is chance: so it is no preference to keep to the first of equals.
fn is_better(this: &Candidate<'_>, that: &Candidate<'_>) -> bool {
    match this.in_flight().cmp(&that.in_flight()) {
        Compared::Less => true,
        Compared::Greater => false,
        Compared::Equal => {
            let latency = |candidate: &Candidate<'_>| candidate.endpoint.live.latency();
            match (latency(this), latency(that)) {
                (Some(this), Some(that)) => this < that / 2,
                _ => false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_shared_by_gateways_and_each_has_one() {
        for (most, gateways, expect) in [
            (16, 1, 16),
            (16, 2, 8),
            (16, 3, 6),
            (1, 3, 1),
            (16, 0, 16),
            (0, 1, 1),
        ] {
            assert_eq!(slots(most, gateways), expect, "{most} by {gateways}");
        }
    }
}
