//! The owner's side: what becomes of a batch.
//!
//! Pure. Called by `peer::serve` under the lock of `limit`. A question is decided as a whole: all of its limits are charged, or
//! none is.

use super::peers::{Place, Said};
use super::wire::{Answer, Ask, Batch, Handover, MAX_GRANT, Reply, Spent, State, nanoseconds};
use super::{Gcra, Id, Uid, Used};

impl Used {
    /// Takes a batch in, and answers it. Of a gateway that is not known, or of a batch that comes too late, nothing is taken.
    pub(crate) fn serve(&mut self, batch: &Batch, now: u128) -> Reply {
        let from = Uid::from(batch.from.as_str());
        let said = Said {
            boot: batch.boot,
            seq: batch.seq,
            view: batch.view,
        };
        let mut reply = Reply {
            view: self.peers.view(),
            taken: vec![false; batch.spent.len()],
            ..Reply::default()
        };
        if !self.peers.hear(&from, said, now) {
            reply.answers = vec![Answer::NotOwner; batch.asks.len()];
            return reply;
        }
        self.advance(now);
        reply.taken = batch
            .spent
            .iter()
            .map(|spent| self.owed(spent, now))
            .collect();
        for hold in &batch.holds {
            if self.peers.will_own(&hold.holder) {
                self.leases.set(&hold.holder, &from, hold.slots, now);
            }
        }
        if let Some(handover) = &batch.handover {
            reply.accepted = self.take_over(&from, handover, now);
        }
        if !batch.owing && reply.taken.iter().all(|taken| *taken) {
            self.peers.even(&from, now);
        }
        self.advance(now);
        let asks = batch.asks.iter();
        reply.answers = asks.map(|ask| self.answer(&from, ask, now)).collect();
        reply
    }

    /// Adds what was spent without asking; it may be more than there was.
    fn owed(&mut self, spent: &Spent, now: u128) -> bool {
        let Spent {
            holder,
            limit,
            requests,
        } = spent;
        let Place::Here { part, whole } = self.peers.place(holder, now) else {
            return false;
        };
        let gcra = limit.gcra();
        let id = Id::of(holder, &limit.name);
        let known = self.tat(&id, (gcra, gcra.share(part, whole)), now);
        let tat = gcra.charge(known, now, *requests);
        self.buckets.set(id, gcra, tat, now);
        true
    }

    /// Takes over what another gateway owned. Of two that know a bucket, the one that knows more of it is right.
    fn take_over(&mut self, from: &Uid, handover: &Handover, now: u128) -> bool {
        if handover.view != self.peers.view() {
            return false;
        }
        for level in &handover.levels {
            let (gcra, id) = (level.limit.gcra(), Id::of(&level.holder, &level.limit.name));
            let told = now.saturating_add(u128::from(level.ahead));
            let known = self.buckets.known(&id, gcra, now).unwrap_or(0);
            self.buckets.set(id, gcra, told.max(known), now);
        }
        self.peers.hear_gone(&handover.gone, now);
        if handover.last {
            self.peers.came(from);
        }
        true
    }

    fn answer(&mut self, from: &Uid, ask: &Ask, now: u128) -> Answer {
        let Place::Here { part, whole } = self.peers.place(&ask.holder, now) else {
            return Answer::NotOwner;
        };
        let concurrency = ask.concurrency.map(|limit| share_of(limit, part, whole));
        if concurrency.is_some() && !self.leases.has_room(&ask.holder) {
            return Answer::NotOwner;
        }
        let wanted = ask.tokens.min(MAX_GRANT);
        let buckets: Vec<Bucket> = ask
            .rates
            .iter()
            .map(|limit| {
                let (id, of) = (Id::of(&ask.holder, &limit.name), limit.gcra());
                let own = of.share(part, whole);
                let tat = self.tat(&id, (of, own), now);
                Bucket { id, of, own, tat }
            })
            .collect();
        let granted = buckets
            .iter()
            .map(|bucket| grant(bucket.own, bucket.tat, now, wanted));
        let granted = granted.min().unwrap_or(wanted);
        let in_flight = self.total_in_flight(&ask.holder, now);
        let after = in_flight.saturating_add(ask.slots);
        let full = ask.slots > 0 && concurrency.is_some_and(|limit| after > limit);
        if full {
            self.leases.contend(&ask.holder, now);
        }
        let refused = full || (wanted > 0 && granted == 0);
        let (tokens, slots) = if refused {
            (0, 0)
        } else {
            (granted, ask.slots)
        };
        let mut state = State {
            ahead: Vec::with_capacity(buckets.len()),
            in_flight: in_flight.saturating_add(slots),
            plenty: true,
            contended: self.leases.is_contended(&ask.holder, now),
        };
        let mut waits = Vec::new();
        for Bucket { id, of, own, tat } in buckets {
            let wait = own.take(tat, now).err();
            waits.push(wait.map(|wait| nanoseconds(wait.as_nanos())));
            let tat = match tokens {
                0 => tat,
                tokens => own.charge(tat, now, u64::from(tokens)),
            };
            if tokens > 0 {
                self.buckets.set(id, of, tat, now);
            }
            state.plenty &= own.remaining(tat, now) > own.burst() / 2;
            state.ahead.push(nanoseconds(tat.saturating_sub(now)));
        }
        if refused {
            return Answer::Refused { waits, full, state };
        }
        if slots > 0 {
            self.leases.add(&ask.holder, from, slots, now);
        }
        Answer::Granted { tokens, state }
    }
}

/// One of the buckets that a question is about.
struct Bucket {
    id: Id,
    /// The whole rate, and what this gateway may let pass of it.
    of: Gcra,
    own: Gcra,
    tat: u128,
}

/// How many of `wanted` requests a bucket gives: one if it can, more only out of the upper half of its burst.
fn grant(gcra: Gcra, tat: u128, now: u128, wanted: u32) -> u32 {
    let left = gcra.remaining(tat, now);
    let spare = left.saturating_sub(gcra.burst() / 2).max(left.min(1));
    u32::try_from(spare).unwrap_or(u32::MAX).min(wanted)
}

/// What `part` of `whole` gateways may have in flight.
pub(crate) fn share_of(limit: u32, part: u64, whole: u64) -> u32 {
    if part >= whole {
        return limit;
    }
    let share = u64::from(limit).saturating_mul(part) / whole.max(1);
    u32::try_from(share).unwrap_or(limit).max(1)
}
