//! Phase admit: whether the caller's limits allow one more request.
//!
//! Pure but for the lock of [`Limits`]. Called by `forward` after `permit`, first [`declared_length`], then [`admit`]. All
//! limits must allow it; where one does not, nothing is charged anywhere.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aimass_protocol::Error;
use http::{HeaderName, HeaderValue};

use super::authenticate::Caller;
use crate::limit::{Gcra, Holder, Id, Limits, Quota, Refusal, Slot, Used, block, headers};
use crate::table::{Deployment, Plan, Rate, Table};

/// The name of the limit on requests in flight.
const IN_FLIGHT: &str = "inflight";
/// Nobody knows when a request ends: who was refused for those in flight may try again after this.
const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);

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
    let (holder, own) = match caller {
        Caller::Anonymous => (Holder::Address(block(address)), None),
        Caller::Key { key, .. } => (Holder::Key(Arc::clone(&key.uid)), key.plan.as_deref()),
        Caller::Token { identity, .. } => (Holder::User(Arc::clone(identity.user())), None),
    };
    let plan = own
        .and_then(|name| table.plans.get(name))
        .or_else(|| table.plans.get(default?));
    let policy = plan.map(|plan| Policy {
        holder,
        plan: Arc::clone(plan),
    });
    policy.into_iter().collect()
}

/// Decides for one request at `now`, and charges it to all of `policies` or to none.
#[must_use]
pub fn admit(limits: &Limits, policies: &[Policy], now: Instant) -> Admission {
    if policies.is_empty() {
        return Admission::Admitted(Ticket::default());
    }
    // Declared before the lock is taken: a slot that is dropped takes it too.
    let mut ticket = Ticket::default();
    let mut used = limits.lock();
    let now = used.now(now);
    let looks: Vec<Look<'_>> = policies
        .iter()
        .flat_map(|policy| look(policy, &used, now))
        .collect();
    // Of several the one that takes longest: the caller comes again once, not once for each.
    let refused = looks
        .iter()
        .filter(|look| !look.shadow)
        .filter_map(|look| Some((look.wait?, look)))
        .max_by_key(|(wait, _)| *wait);
    if let Some((retry_after, look)) = refused {
        return Admission::Refused(Refusal {
            policy: look.policy(),
            retry_after,
            quotas: looks.iter().map(|look| look.quota(now)).collect(),
        });
    }
    for mut look in looks {
        if look.wait.is_some() {
            ticket.shadowed.push(look.policy());
        }
        ticket.slots.extend(look.charge(limits, &mut used, now));
        ticket.quotas.push(look.quota(now));
    }
    Admission::Admitted(ticket)
}

/// One limit, as it is before the request.
struct Look<'a> {
    holder: &'a Holder,
    /// Counted, and never in the way.
    shadow: bool,
    /// How long until there is room, if there is none.
    wait: Option<Duration>,
    what: What<'a>,
}

enum What<'a> {
    Rate {
        rate: &'a Rate,
        gcra: Gcra,
        tat: u128,
    },
    InFlight {
        limit: u32,
        count: u32,
    },
}

fn look<'a>(policy: &'a Policy, used: &Used, now: u128) -> Vec<Look<'a>> {
    let (holder, shadow) = (&policy.holder, policy.plan.shadow);
    let mut looks = Vec::with_capacity(policy.plan.rates.len() + 1);
    for rate in &policy.plan.rates {
        let gcra = Gcra::of(rate);
        let tat = used.buckets.tat(&id(holder, rate), gcra, now);
        looks.push(Look {
            holder,
            shadow,
            wait: gcra.take(tat, now).err(),
            what: What::Rate { rate, gcra, tat },
        });
    }
    if let Some(limit) = policy.plan.concurrency {
        let count = used.in_flight(holder);
        looks.push(Look {
            holder,
            shadow,
            wait: (count >= limit).then_some(IN_FLIGHT_RETRY),
            what: What::InFlight { limit, count },
        });
    }
    looks
}

fn id(holder: &Holder, rate: &Rate) -> Id {
    Id {
        holder: holder.clone(),
        rate: Arc::clone(&rate.name),
    }
}

impl Look<'_> {
    fn policy(&self) -> Arc<str> {
        match &self.what {
            What::Rate { rate, .. } => Arc::clone(&rate.name),
            What::InFlight { .. } => IN_FLIGHT.into(),
        }
    }

    /// Uses one of it. A rate without room has nothing to give: its bucket stays empty, it does not get into debt.
    fn charge(&mut self, limits: &Limits, used: &mut Used, now: u128) -> Option<Slot> {
        match &mut self.what {
            What::Rate { rate, gcra, tat } => {
                *tat = gcra.take(*tat, now).unwrap_or(*tat);
                let id = id(self.holder, rate);
                used.buckets.set(id, *gcra, *tat, now);
                None
            }
            What::InFlight { count, .. } => {
                *count = count.saturating_add(1);
                Some(limits.occupy(used, self.holder))
            }
        }
    }

    fn quota(&self, now: u128) -> Quota {
        let policy = self.policy();
        match &self.what {
            What::Rate { rate, gcra, tat } => Quota {
                policy,
                quota: rate.requests,
                window: Some(rate.window),
                remaining: gcra.remaining(*tat, now),
                reset: Gcra::full_after(*tat, now),
            },
            What::InFlight { limit, count } => Quota {
                policy,
                quota: u64::from(*limit),
                window: None,
                remaining: u64::from(limit.saturating_sub(*count)),
                reset: Duration::ZERO,
            },
        }
    }
}

#[cfg(test)]
mod tests;
