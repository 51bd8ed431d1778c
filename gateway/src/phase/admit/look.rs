//! One limit as a request meets it: whether there is room, and what the caller is told of it.
//!
//! Pure. Used by `admit` under the lock of the limits.

use std::sync::Arc;
use std::time::Duration;

use super::{Policy, Standing};
use crate::limit::{Gcra, Id, Quota, Used, share_of};
use crate::table::Rate;

/// The name of the limit on requests in flight.
const IN_FLIGHT: &str = "inflight";
/// Nobody knows when a request ends: who was refused for those in flight may try again after this.
const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);
/// An owner that cannot be asked is looked for all the time.
const OWNER_RETRY: Duration = Duration::from_secs(1);

/// One limit, as it is before the request.
pub(super) struct Look<'a> {
    /// Counted, and never in the way.
    pub(super) shadow: bool,
    /// How long until there is room, if there is none.
    pub(super) wait: Option<Duration>,
    pub(super) what: What<'a>,
}

pub(super) enum What<'a> {
    Rate {
        rate: &'a Rate,
        gcra: Gcra,
        tat: u128,
    },
    InFlight {
        /// Of the plan, and what of it this gateway may use now.
        limit: u32,
        allowed: u32,
        count: u32,
    },
}

pub(super) fn look<'a>(
    policy: &'a Policy,
    used: &Used,
    standing: &Standing,
    now: u128,
) -> Vec<Look<'a>> {
    let (holder, shadow) = (&policy.holder, policy.plan.shadow);
    let mut looks = Vec::with_capacity(policy.plan.rates.len() + 1);
    let hand = used.hands.get(holder);
    for (number, rate) in policy.plan.rates.iter().enumerate() {
        let whole = Gcra::of(rate);
        let told = || hand.map_or(0, |hand| hand.tat(&rate.name));
        let (gcra, tat, wait) = match standing {
            Standing::Here { part, whole: of } => {
                let gcra = whole.share(*part, *of);
                let tat = used.tat(&Id::of(holder, &rate.name), (whole, gcra), now);
                (gcra, tat, gcra.take(tat, now).err())
            }
            Standing::Share { whole: of } => {
                let gcra = whole.share(1, *of);
                let tat = hand.map_or_else(
                    || gcra.last_one(now),
                    |hand| hand.share(&rate.name, gcra, now),
                );
                (gcra, tat, gcra.take(tat, now).err())
            }
            Standing::InHand | Standing::Granted => (whole, told(), None),
            Standing::Lost => (whole, told(), Some(OWNER_RETRY)),
            Standing::Refused { waits, .. } => {
                (whole, told(), waits.get(number).copied().flatten())
            }
        };
        looks.push(Look {
            shadow,
            wait,
            what: What::Rate { rate, gcra, tat },
        });
    }
    if let Some(limit) = policy.plan.concurrency {
        let told = || hand.map_or(0, |hand| hand.in_flight);
        let (allowed, count, full) = match standing {
            Standing::Here { part, whole } => {
                let allowed = share_of(limit, *part, *whole);
                let count = used.total_in_flight(holder, now);
                (allowed, count, count >= allowed)
            }
            Standing::Share { whole } => {
                let leased = hand.map_or(0, |hand| hand.leased);
                let allowed = share_of(limit, 1, *whole).max(leased);
                let count = used.in_flight(holder);
                (allowed, count, count >= allowed)
            }
            Standing::InHand | Standing::Granted => (limit, told(), false),
            Standing::Lost => (limit, told(), true),
            Standing::Refused { full, .. } => (limit, told(), *full),
        };
        looks.push(Look {
            shadow,
            wait: full.then_some(IN_FLIGHT_RETRY),
            what: What::InFlight {
                limit,
                allowed,
                count,
            },
        });
    }
    looks
}

impl Look<'_> {
    pub(super) fn policy(&self) -> Arc<str> {
        match &self.what {
            What::Rate { rate, .. } => Arc::clone(&rate.name),
            What::InFlight { .. } => IN_FLIGHT.into(),
        }
    }

    pub(super) fn quota(&self, now: u128) -> Quota {
        let policy = self.policy();
        match &self.what {
            What::Rate { rate, gcra, tat } => Quota {
                policy,
                quota: rate.requests,
                window: Some(rate.window),
                remaining: gcra.remaining(*tat, now),
                reset: Gcra::full_after(*tat, now),
            },
            What::InFlight {
                limit,
                allowed,
                count,
            } => Quota {
                policy,
                quota: u64::from(*limit),
                window: None,
                remaining: u64::from(allowed.saturating_sub(*count)),
                reset: Duration::ZERO,
            },
        }
    }
}
