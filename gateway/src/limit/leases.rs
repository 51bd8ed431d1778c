//! Requests in flight at other gateways, as their owner counts them.
//!
//! Pure. Used by `limit` under its lock. A gateway tells what it holds every 5 s; what it has not renewed for 15 s is free
//! again, so that nothing is left behind of a gateway that was killed.

use std::collections::HashMap;

use super::{Holder, Uid};

/// From the last word of a gateway on.
pub(crate) const TTL: u128 = 15 * super::SECOND;
/// For so long after a refusal those who hold places without using them are asked for them.
const CONTENDED: u128 = super::SECOND;
/// Holders that are remembered; further ones are answered as if somebody else owned them.
const MAX_HOLDERS: usize = 100_000;

/// All leases of an owner.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    holders: HashMap<Holder, Leased>,
}

#[derive(Debug, Default)]
struct Leased {
    gateways: Vec<Lease>,
    contended_until: u128,
}

#[derive(Debug)]
struct Lease {
    gateway: Uid,
    slots: u32,
    expires: u128,
}

impl Leases {
    /// Places that other gateways hold.
    pub(crate) fn total(&self, holder: &Holder, now: u128) -> u32 {
        let leased = self.holders.get(holder).map(|leased| &leased.gateways);
        let live = leased.into_iter().flatten();
        let live = live.filter(|lease| lease.expires > now);
        live.fold(0, |sum, lease| sum.saturating_add(lease.slots))
    }

    /// Whether there is room to count for one more holder.
    pub(crate) fn has_room(&self, holder: &Holder) -> bool {
        self.holders.len() < MAX_HOLDERS || self.holders.contains_key(holder)
    }

    /// `gateway` holds so many more.
    pub(crate) fn add(&mut self, holder: &Holder, gateway: &Uid, slots: u32, now: u128) {
        let known = self.of(holder, gateway, now);
        self.set(holder, gateway, known.saturating_add(slots), now);
    }

    /// `gateway` holds so many, in all.
    pub(crate) fn set(&mut self, holder: &Holder, gateway: &Uid, slots: u32, now: u128) {
        if slots == 0 && !self.holders.contains_key(holder) || !self.has_room(holder) {
            return;
        }
        let leased = self.holders.entry(holder.clone()).or_default();
        leased.gateways.retain(|lease| lease.gateway != *gateway);
        if slots > 0 {
            leased.gateways.push(Lease {
                gateway: Uid::clone(gateway),
                slots,
                expires: now.saturating_add(TTL),
            });
        }
    }

    fn of(&self, holder: &Holder, gateway: &Uid, now: u128) -> u32 {
        let leased = self.holders.get(holder).map(|leased| &leased.gateways);
        let mut leased = leased.into_iter().flatten();
        let lease = leased.find(|lease| lease.gateway == *gateway && lease.expires > now);
        lease.map_or(0, |lease| lease.slots)
    }

    /// Somebody was refused a place.
    pub(crate) fn contend(&mut self, holder: &Holder, now: u128) {
        if let Some(leased) = self.holders.get_mut(holder) {
            leased.contended_until = now.saturating_add(CONTENDED);
        }
    }

    pub(crate) fn is_contended(&self, holder: &Holder, now: u128) -> bool {
        let leased = self.holders.get(holder);
        leased.is_some_and(|leased| leased.contended_until > now)
    }

    /// Keeps only what `ours` says.
    pub(crate) fn retain(&mut self, ours: impl Fn(&Holder) -> bool) {
        self.holders.retain(|holder, _| ours(holder));
    }

    /// Forgets what has run out.
    pub(crate) fn sweep(&mut self, now: u128) {
        self.holders.retain(|_, leased| {
            leased.gateways.retain(|lease| lease.expires > now);
            !leased.gateways.is_empty()
        });
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.holders.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u128 = crate::limit::SECOND;

    #[test]
    fn places_are_counted_over_gateways_and_run_out() {
        let (mut leases, holder) = (Leases::default(), Holder::Key("k".into()));
        let (a, b) = (Uid::from("a"), Uid::from("b"));
        leases.add(&holder, &a, 2, 0);
        leases.add(&holder, &b, 1, 0);
        leases.add(&holder, &a, 1, 0);
        assert_eq!(leases.total(&holder, 0), 4);
        leases.set(&holder, &a, 1, 10 * SECOND);
        assert_eq!(leases.total(&holder, 10 * SECOND), 2);
        assert_eq!(leases.total(&holder, 15 * SECOND), 1, "b was not renewed");
        leases.sweep(15 * SECOND);
        leases.sweep(25 * SECOND);
        assert_eq!((leases.total(&holder, 25 * SECOND), leases.len()), (0, 0));
    }

    #[test]
    fn a_refusal_is_remembered_for_a_second() {
        let (mut leases, holder) = (Leases::default(), Holder::Key("k".into()));
        leases.contend(&holder, 0);
        assert!(!leases.is_contended(&holder, 0), "nobody holds anything");
        leases.add(&holder, &"a".into(), 1, 0);
        leases.contend(&holder, 0);
        assert!(leases.is_contended(&holder, SECOND - 1));
        assert!(!leases.is_contended(&holder, SECOND));
    }
}
