//! Phase choose: which pod answers.
//!
//! Pure but for the counts in [`crate::table::live`]: time and chance are arguments. Called by `forward` for every attempt;
//! [`retry`] says whether there is another one. Until traffic has weights, the endpoints of all revisions of a model are
//! equal.

pub mod retry;

use std::cmp::Ordering as Compared;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use aimass_protocol::Error;

use super::permit::Bound;
use crate::table::live::Flight;
use crate::table::live::health::Standing;
use crate::table::{Endpoint, EndpointState, Revision};

/// What a model without endpoints is, where nothing else is known of it.
const STARTING: &str = "Starting";

/// The pod that answers.
#[derive(Debug)]
pub struct Choice {
    /// Its revision's name, without that of the model.
    pub revision: Arc<str>,
    /// Its revision's number, for the header `aimass-model-version`.
    pub number: i64,
    /// Where it is.
    pub endpoint: Arc<Endpoint>,
    /// The request counts on it until this is dropped.
    pub flight: Flight,
}

/// Chooses for a request; `tried` is the address that an attempt before this one failed at, which is left out if it is given.
/// `random`: any number, another one each time.
///
/// Of two endpoints, drawn among those that are ready and well, the one with fewer requests in flight; of equals the one
/// whose answers take less than half as long, else either. So one that is slow gets little even when nothing is in flight.
///
/// # Errors
/// `not_ready`, with what is known of the model: no pod may be asked.
pub fn choose(
    bound: &Bound,
    tried: Option<SocketAddr>,
    random: u64,
    now: Instant,
) -> Result<Choice, Error> {
    let mut usable = usable(bound, tried, now);
    while !usable.is_empty() {
        let place = draw(&usable, random);
        let Some(candidate) = usable.get(place) else {
            break;
        };
        if let Some(choice) = candidate.take(now) {
            return Ok(choice);
        }
        // Another request is its trial already.
        usable.swap_remove(place);
    }
    let deployment = &bound.deployment;
    let reason = deployment.unready.as_ref().map(|unready| &*unready.reason);
    let reason = reason.unwrap_or(STARTING);
    Err(Error::not_ready(&deployment.served_name, reason))
}

/// An endpoint that may be given the request.
struct Candidate<'a> {
    revision: &'a Revision,
    endpoint: &'a Arc<Endpoint>,
    standing: Standing,
}

impl Candidate<'_> {
    fn take(&self, now: Instant) -> Option<Choice> {
        let live = &self.endpoint.live;
        let flight = if self.standing == Standing::Trial {
            live.begin_trial(now)?
        } else {
            live.begin(now)
        };
        Some(Choice {
            revision: Arc::clone(&self.revision.name),
            number: self.revision.number,
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
fn usable(bound: &Bound, tried: Option<SocketAddr>, now: Instant) -> Vec<Candidate<'_>> {
    let in_state = |state| candidates(bound, state, now);
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

fn candidates(bound: &Bound, state: EndpointState, now: Instant) -> Vec<Candidate<'_>> {
    let pinned = |revision: &&Revision| bound.pin.is_none_or(|pin| revision.number == pin);
    let revisions = bound.deployment.revisions.iter().filter(pinned);
    let endpoints = revisions.flat_map(move |revision| {
        let endpoints = revision.endpoints.iter();
        let in_state = endpoints.filter(move |endpoint| endpoint.state == state);
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
fn draw(usable: &[Candidate<'_>], random: u64) -> usize {
    let count = u64::try_from(usable.len()).unwrap_or(u64::MAX).max(1);
    let (low, high) = (random & 0xffff_ffff, random >> 32);
    let first = low % count;
    // Another one, each as likely.
    let step = 1 + high % count.saturating_sub(1).max(1);
    let second = (first + step) % count;
    let place = |number: u64| usize::try_from(number).unwrap_or(0);
    let (first, second) = (place(first), place(second));
    match (usable.get(first), usable.get(second)) {
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
mod simulation;
#[cfg(test)]
mod tests;
