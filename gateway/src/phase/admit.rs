//! Phase admit: whether the caller's limits allow one more request.
//!
//! Called by `forward` after `permit`, first [`declared_length`], then [`admit`]. All limits must allow it; where one does not,
//! nothing is charged anywhere. `decide` is pure but for the lock of [`Limits`]; only where another gateway counts and nothing
//! is in hand does [`admit`] wait, and never for longer than a peer has for an answer.

mod fetched;
mod look;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use aimass_protocol::Error;
use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

pub(crate) use self::fetched::{Fate, Fetched};
use self::look::{Look, What, look};
use super::authenticate::Caller;
use crate::limit::wire::{Ask, Limit, duration};
use crate::limit::{
    Gcra, Holder, Id, Limits, Outcome, OwnerLoss, Place, Quota, Ready, Refusal, Slot, Used, headers,
};
use crate::peer::Links;
use crate::table::{Deployment, Plan, Table};

/// Limits, and whose use of them is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who uses them.
    pub holder: Holder,
    /// The limits.
    pub plan: Arc<Plan>,
}

/// The decision.
#[derive(Debug)]
pub enum Admission {
    /// It may go on.
    Admitted(Ticket),
    /// Answer with [`Refusal::error`] and [`Refusal::headers`].
    Refused(Refusal),
}

/// What an admitted request holds, until the last byte of its answer. Without limits it is empty.
#[derive(Debug, Default)]
#[must_use = "the request counts as ended when this is dropped"]
pub struct Ticket {
    /// What the caller has left.
    pub quotas: Vec<Quota>,
    /// Limits that would have refused it if they were enforced (`limited_total{mode="shadow"}`).
    pub shadowed: Vec<Arc<str>>,
    /// Held, never read.
    slots: Vec<Slot>,
}

impl Ticket {
    /// For the answer: `ratelimit-policy` and `ratelimit`.
    #[must_use]
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        headers(&self.quotas)
    }

    /// Requests in flight that it counts as, one for each limit on them.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots.len()
    }
}

/// Whether a body of so many bytes, as `content-length` declares it, may be sent to the model at all.
///
/// # Errors
/// `body_too_large`.
pub fn declared_length(deployment: &Deployment, bytes: Option<u64>) -> Result<(), Error> {
    let limit = deployment.max_request_bytes;
    if bytes.is_some_and(|bytes| bytes > limit) {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        return Err(Error::body_too_large(limit));
    }
    Ok(())
}

/// The limits of `caller`: its key's plan, else, also where there is no such plan, the one named `default`. Who has a token is
/// limited by its name, whichever of its tokens it shows; who has neither, by address. None: no limits.
#[must_use]
pub fn policies(
    table: &Table,
    caller: &Caller,
    address: IpAddr,
    default: Option<&str>,
) -> Vec<Policy> {
    let own = match caller {
        Caller::Key { key, .. } => key.plan.as_deref(),
        Caller::Anonymous | Caller::Token { .. } => None,
    };
    let plan = own
        .and_then(|name| table.plans.get(name))
        .or_else(|| table.plans.get(default?));
    let policy = plan.map(|plan| Policy {
        holder: caller.holder(address),
        plan: Arc::clone(plan),
    });
    policy.into_iter().collect()
}

/// Decides for one request, and charges it to all of `policies` or to none.
///
/// What this gateway owns, or has in hand, is decided at once. For the rest the owner is asked, for no longer than `links`
/// allows; then the own share holds.
pub async fn admit(limits: &Limits, links: &Links, policies: &[Policy]) -> Admission {
    let mut fetched: Vec<Fetched> = policies.iter().map(|_| Fetched::default()).collect();
    let begun = Instant::now();
    let mut now = begun;
    // Each question answers for one of them at least.
    for _ in 0..=policies.len() {
        match decide(limits, policies, &mut fetched, now.into_std()) {
            Step::Decided(admission, ahead) => {
                for ask in ahead {
                    links.fetch_ahead(limits, ask);
                }
                return admission;
            }
            Step::Ask(index, ask) => {
                let fate = links.ask(limits, ask, begun).await;
                if let Some(fetched) = fetched.get_mut(index) {
                    fetched.settle(fate);
                }
            }
        }
        now = Instant::now();
    }
    // Not reached: what has been asked for is not asked for again.
    Admission::Admitted(Ticket::default())
}

/// A decision, or the question that it needs.
#[derive(Debug)]
pub(crate) enum Step {
    /// And what is to be fetched ahead, without waiting for it.
    Decided(Admission, Vec<Ask>),
    /// For the policy of this number.
    Ask(usize, Ask),
}

/// Decides with what is known here. All clocks and all I/O are the caller's.
#[must_use]
pub(crate) fn decide(
    limits: &Limits,
    policies: &[Policy],
    fetched: &mut [Fetched],
    now: StdInstant,
) -> Step {
    if policies.is_empty() {
        return Step::Decided(Admission::Admitted(Ticket::default()), Vec::new());
    }
    // Declared before the lock is taken: a slot that is dropped takes it too.
    let mut ticket = Ticket::default();
    let mut guard = limits.lock();
    let used = &mut *guard;
    let now = used.now(now);
    let (mut question, mut cases) = (None, Vec::with_capacity(policies.len()));
    for (index, (policy, fetched)) in policies.iter().zip(fetched.iter()).enumerate() {
        let (standing, lacks) = stand(policy, &fetched.fate, used, now);
        if let Some(lacks) = lacks {
            question = question.or(Some((index, lacks)));
        }
        let looks = look(policy, used, &standing, now);
        cases.push((policy, standing, looks));
    }
    // Of several the one that takes longest: the caller comes again once, not once for each.
    let looks = || cases.iter().flat_map(|(_, _, looks)| looks);
    let refused = looks()
        .filter(|look| !look.shadow)
        .filter_map(|look| Some((look.wait?, look)))
        .max_by_key(|(wait, _)| *wait);
    let is_alone =
        |standing: &Standing| matches!(standing, Standing::Share { .. } | Standing::Lost);
    let is_decided = refused.is_some() || question.is_none();
    if is_decided && cases.iter().any(|(_, standing, _)| is_alone(standing)) {
        used.fallbacks = used.fallbacks.saturating_add(1);
    }
    if let Some((retry_after, look)) = refused {
        let refusal = Refusal {
            policy: look.policy(),
            retry_after,
            quotas: looks().map(|look| look.quota(now)).collect(),
        };
        put_back(policies, fetched, used);
        return Step::Decided(Admission::Refused(refusal), Vec::new());
    }
    if let Some((index, (tokens, slots))) = question
        && let (Some(policy), Some(fetched)) = (policies.get(index), fetched.get_mut(index))
    {
        // The place that there is stays its own while the owner is asked.
        if slots == 0 && policy.plan.concurrency.is_some() {
            fetched.slot = Some(limits.occupy(used, &policy.holder));
        }
        return Step::Ask(index, ask(policy, tokens, slots));
    }
    let mut ahead = Vec::new();
    for ((policy, standing, mut looks), fetched) in cases.into_iter().zip(fetched) {
        let short = looks.iter().filter(|look| look.wait.is_some());
        ticket.shadowed.extend(short.map(Look::policy));
        let more = charge(policy, &standing, &mut looks, used, now);
        ahead.extend(more.map(|tokens| ask(policy, tokens, 0)));
        if policy.plan.concurrency.is_some() {
            let slot = fetched.slot.take();
            let slot = slot.unwrap_or_else(|| limits.occupy(used, &policy.holder));
            ticket.slots.push(slot);
        }
        ticket
            .quotas
            .extend(looks.iter().map(|look| look.quota(now)));
    }
    Step::Decided(Admission::Admitted(ticket), ahead)
}

fn ask(policy: &Policy, tokens: u32, slots: u32) -> Ask {
    Ask {
        holder: policy.holder.clone(),
        rates: policy.plan.rates.iter().map(Limit::of).collect(),
        tokens,
        concurrency: policy.plan.concurrency,
        slots,
    }
}

/// Where a policy's limits are counted for this request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// By this gateway.
    Here {
        part: u64,
        whole: u64,
    },
    /// By this gateway, because the owner cannot be asked.
    Share {
        whole: u64,
    },
    /// By another one, which has granted it: before, or for this request.
    InHand,
    Granted,
    /// By another one that cannot be asked, and without it nothing passes.
    Lost,
    /// By another one, which has no room.
    Refused {
        waits: Vec<Option<Duration>>,
        full: bool,
    },
}

/// Where the policy stands, and what its owner would have to be asked for: requests, and places in flight.
fn stand(
    policy: &Policy,
    fate: &Fate,
    used: &mut Used,
    now: u128,
) -> (Standing, Option<(u32, u32)>) {
    let Policy { holder, plan } = policy;
    match fate {
        Fate::Said(Outcome::Granted { .. }) => return (Standing::Granted, None),
        Fate::Said(Outcome::Refused { waits, full }) => {
            let waits = waits.iter().map(|wait| wait.map(duration)).collect();
            return (Standing::Refused { waits, full: *full }, None);
        }
        Fate::Open | Fate::Lost | Fate::Here | Fate::Said(Outcome::NotOwner) => {}
    }
    let share = |used: &Used| Standing::Share {
        whole: used.peers.len() as u64,
    };
    let lost = |used: &Used, share| match used.owner_loss {
        OwnerLoss::Share => share,
        OwnerLoss::Refuse => Standing::Lost,
    };
    match used.peers.place(holder, now) {
        Place::Here { part, whole } => {
            if whole > 1 {
                used.absorb(holder, now);
            }
            (Standing::Here { part, whole }, None)
        }
        Place::Lost { whole } => (lost(used, Standing::Share { whole }), None),
        Place::There => {
            if !matches!(fate, Fate::Open) {
                return (lost(used, share(used)), None);
            }
            let count = used.in_flight(holder);
            let Some(hand) = used.hands.of(holder, now) else {
                // Its owner is there; it is this gateway that has no room to remember what it said.
                return (share(used), None);
            };
            match hand.ready(plan, count, now) {
                Ready::Yes => (Standing::InHand, None),
                Ready::Refused => {
                    let waits = plan.rates.iter().map(|rate| {
                        let tat = hand.tat(&rate.name);
                        Gcra::of(rate).take(tat, now).err()
                    });
                    let mut waits: Vec<_> = waits.collect();
                    let again = Some(hand.refused_for(now));
                    if let Some(first) = waits.first_mut().filter(|wait| wait.is_none()) {
                        *first = again;
                    }
                    (Standing::Refused { waits, full: false }, None)
                }
                Ready::Lacks { tokens, slots } => (Standing::InHand, Some((tokens, slots))),
            }
        }
    }
}

/// What was fetched for a request that is refused after all is there for the next one.
fn put_back(policies: &[Policy], fetched: &[Fetched], used: &mut Used) {
    for (policy, fetched) in policies.iter().zip(fetched) {
        let Fate::Said(Outcome::Granted { lapse, .. }) = fetched.fate else {
            continue;
        };
        let hand = used.hands.known(&policy.holder);
        if let Some(hand) = hand.filter(|_| !policy.plan.rates.is_empty()) {
            hand.put_back(lapse);
        }
    }
}

/// Uses one of every limit. A rate without room has nothing to give: its bucket stays empty, it does not get into debt. Says
/// how many more to fetch ahead.
fn charge(
    policy: &Policy,
    standing: &Standing,
    looks: &mut [Look<'_>],
    used: &mut Used,
    now: u128,
) -> Option<u32> {
    let holder = &policy.holder;
    let counted = !matches!(
        standing,
        Standing::Here { .. } | Standing::InHand | Standing::Granted
    );
    if counted && policy.plan.concurrency.is_some() {
        // The owner does not know of this place yet.
        used.peers.soil(holder);
    }
    for look in looks {
        match &mut look.what {
            What::InFlight { count, .. } => *count = count.saturating_add(1),
            What::Rate { rate, gcra, tat } => {
                let Ok(later) = gcra.take(*tat, now) else {
                    continue;
                };
                match standing {
                    Standing::Here { .. } => {
                        *tat = later;
                        let id = Id::of(holder, &rate.name);
                        used.buckets.set(id, Gcra::of(rate), later, now);
                    }
                    Standing::Share { .. } => {
                        *tat = later;
                        if let Some(hand) = used.hands.of(holder, now) {
                            hand.spend_share(&rate.name, (*gcra, later), Gcra::of(rate));
                            used.hands.owe(holder);
                        }
                    }
                    Standing::InHand
                    | Standing::Granted
                    | Standing::Lost
                    | Standing::Refused { .. } => {}
                }
            }
        }
    }
    match standing {
        Standing::InHand => used.hands.known(holder)?.spend(now),
        Standing::Here { .. }
        | Standing::Share { .. }
        | Standing::Granted
        | Standing::Lost
        | Standing::Refused { .. } => None,
    }
}

#[cfg(test)]
mod tests;
