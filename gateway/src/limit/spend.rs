//! The spender's side: what is sent to an owner, and what becomes of its reply.
//!
//! Pure. Called by `peer::link` under the lock of `limit`; at most one batch is under way to each owner, so nothing that it
//! says is out of date when it comes.

use super::wire::nanoseconds;
use super::wire::{Answer, Ask, Batch, Handover, Hold, Level, Limit, PART, Reply, Spent};
use super::{Limits, Slot, Uid, Used};

/// A batch that is under way.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) batch: Batch,
    at: u128,
}

/// A batch that was answered.
#[derive(Debug)]
pub(crate) struct Replied {
    pub(crate) sent: Sent,
    /// For each question, whether a request waits for it.
    pub(crate) waiting: Vec<bool>,
    pub(crate) reply: Reply,
}

/// What became of a question, for who has asked.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It may.
    Granted {
        /// Its place, if it wanted one.
        slot: Option<Slot>,
        /// Until when it may be used for another request instead.
        lapse: u128,
    },
    /// It may not.
    Refused {
        /// Nanoseconds until each rate has room.
        waits: Vec<Option<u64>>,
        /// There is no place.
        full: bool,
    },
    /// Somebody else has to be asked.
    NotOwner,
}

impl Used {
    /// What `to` is told now, with these questions.
    pub(crate) fn batch(&mut self, to: &Uid, asks: Vec<Ask>, now: u128) -> Option<Sent> {
        self.advance(now);
        let (from, boot) = (self.peers.me().to_string(), self.peers.boot());
        let (view, seq) = (self.peers.view(), self.peers.next_seq());
        let Self { peers, hands, .. } = self;
        let (spent, owing) = hands.owed(PART, |holder| peers.is_at(to, holder));
        let owed = self.peers.is_owed(to);
        let told = owed.then(|| self.peers.told_gone(now));
        let other = self.peers.other(to)?;
        let soiled: Vec<_> = other.soiled.iter().take(PART).cloned().collect();
        for holder in &soiled {
            other.soiled.remove(holder);
        }
        let handover = told.map(|gone| {
            let part = other.outgoing.iter().take(PART);
            let level = |(id, gcra, tat): &(super::Id, super::Gcra, u128)| Level {
                holder: id.holder.clone(),
                limit: Limit::from(&id.rate, *gcra),
                ahead: nanoseconds(tat.saturating_sub(now)),
            };
            Handover {
                view,
                levels: part.map(level).collect(),
                gone,
                last: other.outgoing.len() <= PART && other.soiled.is_empty(),
            }
        });
        let held = |used: &Self, holder: &super::Holder| {
            let leased = used.hands.get(holder).map_or(0, |hand| hand.leased);
            leased.max(used.in_flight(holder))
        };
        let holds = soiled.into_iter().map(|holder| Hold {
            slots: held(self, &holder),
            holder,
        });
        let holds = holds.collect();
        let batch = Batch {
            from,
            boot,
            seq,
            view,
            owing,
            asks,
            holds,
            spent,
            handover,
        };
        Some(Sent { batch, at: now })
    }

    /// Of a batch that was not answered nobody knows what became of it: all is said again, with what is true then.
    pub(crate) fn unsent(&mut self, to: &Uid, sent: Sent, connected: bool, now: u128) {
        self.peers.failed(to, connected);
        for spent in sent.batch.spent {
            self.owe_again(spent, now);
        }
        let asks = sent.batch.asks.into_iter();
        let asked = asks.filter(|ask| ask.slots > 0).map(|ask| ask.holder);
        let held = sent.batch.holds.into_iter().map(|hold| hold.holder);
        for holder in asked.chain(held) {
            self.peers.soil(&holder);
        }
    }

    fn owe_again(&mut self, spent: Spent, now: u128) {
        if let Some(hand) = self.hands.of(&spent.holder, now) {
            hand.owe(spent.limit, spent.requests);
            self.hands.owe(&spent.holder);
        }
    }

    /// Takes in what `to` has answered.
    pub(crate) fn settle(
        &mut self,
        limits: &Limits,
        to: &Uid,
        Replied {
            sent,
            waiting,
            reply,
        }: Replied,
        now: u128,
    ) -> Vec<Outcome> {
        let Sent { batch, at } = sent;
        self.peers.answered(to, reply.view);
        let taken = reply.taken.into_iter().chain(std::iter::repeat(false));
        for (spent, taken) in batch.spent.into_iter().zip(taken) {
            if !taken {
                self.owe_again(spent, now);
            }
        }
        for hold in batch.holds {
            let used = self.in_flight(&hold.holder);
            if let Some(hand) = self.hands.of(&hold.holder, now) {
                hand.leased = hand.leased.max(hold.slots.min(used));
                hand.renewed = now;
            }
        }
        if let Some(handover) = batch.handover.filter(|_| reply.accepted) {
            if let Some(other) = self.peers.other(to) {
                let count = handover.levels.len().min(other.outgoing.len());
                other.outgoing.drain(..count);
            }
            if handover.last {
                self.peers.handed(to);
            }
        }
        let answers = reply.answers.into_iter();
        // Fewer answers than questions: the rest has none.
        let answers = answers.chain(std::iter::repeat(Answer::NotOwner));
        let asks = batch.asks.into_iter().zip(waiting).zip(answers);
        let outcomes = asks
            .map(|((ask, waiting), answer)| self.outcome(limits, (ask, waiting), answer, (at, now)))
            .collect();
        self.advance(now);
        outcomes
    }

    fn outcome(
        &mut self,
        limits: &Limits,
        (ask, waiting): (Ask, bool),
        answer: Answer,
        (at, now): (u128, u128),
    ) -> Outcome {
        match answer {
            Answer::NotOwner => Outcome::NotOwner,
            Answer::Refused { waits, full, state } => {
                if let Some(hand) = self.hands.of(&ask.holder, now) {
                    let wait = waits.iter().flatten().max().copied().map(u128::from);
                    hand.refused(wait, now);
                    hand.heard(&ask.rates, &state, now);
                }
                Outcome::Refused { waits, full }
            }
            Answer::Granted { tokens, state } => {
                let tokens = tokens.min(ask.tokens);
                let spare = tokens.saturating_sub(u32::from(waiting));
                let mut lapse = at;
                if let Some(hand) = self.hands.of(&ask.holder, now) {
                    lapse = hand.granted(spare, at);
                    hand.heard(&ask.rates, &state, now);
                    hand.leased = hand.leased.saturating_add(ask.slots);
                }
                let slot = (ask.slots > 0).then(|| limits.occupy(self, &ask.holder));
                Outcome::Granted { slot, lapse }
            }
        }
    }

    /// Goes on with what moves between gateways.
    pub(crate) fn advance(&mut self, now: u128) {
        if self.peers.advance(now) {
            self.urgent = true;
            self.lay_out(now);
            self.peers.advance(now);
        }
    }

    /// Lays out what is to be handed over: buckets that are not full, and what is held of those.
    ///
    /// O(buckets), once for each change of members.
    fn lay_out(&mut self, now: u128) {
        let Self { buckets, peers, .. } = self;
        let moved = |(id, gcra, tat): (&super::Id, super::Gcra, u128)| {
            let to = peers.moved(&id.holder)?;
            Some((Uid::clone(to), (id.clone(), gcra, tat)))
        };
        let outgoing: Vec<_> = buckets.live(now).filter_map(moved).collect();
        for (to, bucket) in outgoing {
            if let Some(other) = peers.other(&to) {
                other.outgoing.push(bucket);
            }
        }
        let held: Vec<_> = self.in_flight.keys().cloned().collect();
        for holder in held {
            self.peers.soil(&holder);
        }
        let Self { leases, peers, .. } = self;
        leases.retain(|holder| peers.will_own(holder));
    }
}
