//! What this gateway has in hand of limits that others own: requests it was granted, places it was given, and what it spends
//! on its own share while the owner cannot be asked.
//!
//! Pure. Used by `limit` under its lock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::wire::{Limit, MAX_GRANT, Spent, State, duration, nanoseconds};
use super::{Gcra, Holder, SECOND, Used};
use crate::table::Plan;

/// What was granted and not used by then is gone. It is not given back: after an idle time that would credit it twice.
const LAPSE: u128 = SECOND / 10;
/// From here on more than one request is fetched at once.
const FAST: u128 = 20;
/// Over which the pace of a holder is taken.
const PACE: u128 = SECOND / 2;
/// A refusal is repeated without asking for no longer than this.
const REPEAT: u128 = SECOND;
/// What is not used for so long is forgotten.
const IDLE: u128 = 60 * SECOND;

/// Rates of a holder that are owed at most. It has a handful; a plan that changes all the time must not fill the memory.
const SPENT: usize = 64;

/// Everything in hand.
#[derive(Debug)]
pub(crate) struct Hands {
    limit: usize,
    holders: HashMap<Holder, Hand>,
    /// Of whom something was spent that is not told yet.
    owing: HashSet<Holder>,
    full_total: u64,
}

/// What is in hand of one holder.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    /// Requests that were granted, and when they lapse; the oldest first.
    lots: VecDeque<(u32, u128)>,
    /// How many were granted last.
    size: u32,
    /// Until when not to fetch ahead again.
    fetching_until: u128,
    /// As the owner said last: each rate, and when it is full.
    rates: Vec<(Limit, u128)>,
    pub(crate) in_flight: u32,
    plenty: bool,
    pub(crate) contended: bool,
    refused_until: u128,
    pace: Pace,
    /// Places that the owner has given.
    pub(crate) leased: u32,
    /// The most that were used since the last look.
    pub(crate) peak: u32,
    /// When the owner was told or asked last.
    pub(crate) renewed: u128,
    /// Buckets of its own share: not those of the owner.
    share: Vec<Share>,
    /// What was spent there and is not told yet.
    pub(crate) spent: Vec<(Limit, u64)>,
    touched: u128,
}

#[derive(Debug)]
struct Share {
    name: Arc<str>,
    gcra: Gcra,
    tat: u128,
}

/// How often a holder's requests come.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    since: u128,
    count: u32,
    per_second: u128,
}

impl Pace {
    fn note(&mut self, now: u128) {
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= PACE {
            self.per_second = u128::from(self.count) * SECOND / elapsed.max(1);
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
    }

    /// How many to fetch at once: one, or what 50 ms need.
    fn fetch(self) -> u32 {
        if self.per_second < FAST {
            return 1;
        }
        let need = self.per_second.div_ceil(1000 / 50);
        u32::try_from(need).unwrap_or(u32::MAX).clamp(1, MAX_GRANT)
    }
}

/// Whether a request can be decided with what is in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// It passes.
    Yes,
    /// It was refused a moment ago, and until then nothing changes.
    Refused,
    /// The owner has to be asked for this.
    Lacks { tokens: u32, slots: u32 },
}

impl Hands {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            holders: HashMap::new(),
            owing: HashSet::new(),
            full_total: 0,
        }
    }

    pub(crate) fn get(&self, holder: &Holder) -> Option<&Hand> {
        self.holders.get(holder)
    }

    pub(crate) fn known(&mut self, holder: &Holder) -> Option<&mut Hand> {
        self.holders.get_mut(holder)
    }

    /// That of `holder`; `None` if there is no room for it.
    pub(crate) fn of(&mut self, holder: &Holder, now: u128) -> Option<&mut Hand> {
        if !self.holders.contains_key(holder) {
            if self.holders.len() >= self.limit {
                self.full_total = self.full_total.saturating_add(1);
                return None;
            }
            self.holders.insert(holder.clone(), Hand::default());
        }
        let hand = self.holders.get_mut(holder)?;
        hand.touched = now;
        Some(hand)
    }

    /// Something was spent of `holder` that its owner has to be told.
    pub(crate) fn owe(&mut self, holder: &Holder) {
        self.owing.insert(holder.clone());
    }

    /// What was spent of those holders that `theirs` names, no more than about `most`, and whether there is more. It counts as
    /// told from now on.
    pub(crate) fn owed(
        &mut self,
        most: usize,
        theirs: impl Fn(&Holder) -> bool,
    ) -> (Vec<Spent>, bool) {
        let owing = self.owing.iter().filter(|holder| theirs(holder));
        let owing: Vec<Holder> = owing.take(most.saturating_add(1)).cloned().collect();
        let mut all = Vec::new();
        for holder in owing {
            if all.len() >= most {
                return (all, true);
            }
            self.owing.remove(&holder);
            let spent = self.holders.get_mut(&holder).map(|hand| &mut hand.spent);
            let spent = spent.map(std::mem::take).unwrap_or_default();
            all.extend(spent.into_iter().map(|(limit, requests)| Spent {
                holder: holder.clone(),
                limit,
                requests,
            }));
        }
        (all, false)
    }

    pub(crate) fn iter(&mut self) -> impl Iterator<Item = (&Holder, &mut Hand)> {
        self.holders.iter_mut()
    }

    /// Forgets those that hold nothing and were not used lately.
    pub(crate) fn sweep(&mut self, now: u128) {
        self.holders.retain(|_, hand| {
            let used = hand.leased > 0 || !hand.spent.is_empty();
            used || now.saturating_sub(hand.touched) < IDLE
        });
    }

    pub(crate) const fn full_total(&self) -> u64 {
        self.full_total
    }
}

impl Hand {
    /// What a request by `plan` needs of the owner, when `used` places are taken here.
    pub(crate) fn ready(&mut self, plan: &Plan, used: u32, now: u128) -> Ready {
        self.lots
            .retain(|(tokens, lapse)| *tokens > 0 && *lapse > now);
        self.pace.note(now);
        let wants_slot = plan.concurrency.is_some() && used >= self.leased;
        let wants_token = !plan.rates.is_empty() && (wants_slot || self.lots.is_empty());
        if !wants_slot && !wants_token {
            return Ready::Yes;
        }
        if wants_token && self.refused_until > now && self.is_by(plan) {
            return Ready::Refused;
        }
        let tokens = match (wants_token, wants_slot) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => self.pace.fetch(),
        };
        Ready::Lacks {
            tokens,
            slots: u32::from(wants_slot),
        }
    }

    /// How long the owner's refusal holds on.
    pub(crate) fn refused_for(&self, now: u128) -> Duration {
        duration(nanoseconds(self.refused_until.saturating_sub(now).max(1)))
    }

    /// Whether the owner's last word was about these rates.
    fn is_by(&self, plan: &Plan) -> bool {
        let same = |(rate, (limit, _)): (_, &(Limit, u128))| Limit::of(rate) == *limit;
        plan.rates.len() == self.rates.len() && plan.rates.iter().zip(&self.rates).all(same)
    }

    /// One of the requests that were granted is used. Says how many to fetch ahead, if it is time for that.
    pub(crate) fn spend(&mut self, now: u128) -> Option<u32> {
        if let Some((tokens, _)) = self.lots.front_mut() {
            *tokens = tokens.saturating_sub(1);
        }
        let left: u32 = self.lots.iter().map(|(tokens, _)| *tokens).sum();
        let due = self.size > 1 && left.saturating_mul(2) <= self.size && self.plenty;
        if !due || self.fetching_until > now {
            return None;
        }
        self.fetching_until = now.saturating_add(LAPSE);
        Some(self.pace.fetch())
    }

    /// One that was fetched for a request is not used by it.
    pub(crate) fn put_back(&mut self, lapse: u128) {
        self.lots.push_back((1, lapse));
    }

    /// The owner has granted `tokens` beyond those that somebody waits for, to a question of `sent`.
    pub(crate) fn granted(&mut self, tokens: u32, sent: u128) -> u128 {
        let lapse = sent.saturating_add(LAPSE);
        if tokens > 0 {
            self.lots.push_back((tokens, lapse));
        }
        self.size = tokens.saturating_add(1);
        self.refused_until = 0;
        // The owner counts again: so ends the own share.
        self.share.clear();
        lapse
    }

    pub(crate) fn refused(&mut self, wait: Option<u128>, now: u128) {
        let wait = wait.unwrap_or(0).min(REPEAT);
        self.refused_until = now.saturating_add(wait);
        self.share.clear();
    }

    /// How the owner says that the limits stand.
    pub(crate) fn heard(&mut self, rates: &[Limit], state: &State, now: u128) {
        let ahead = state.ahead.iter().copied().map(u128::from);
        let rates = rates.iter().cloned();
        let at = |(limit, ahead): (Limit, u128)| (limit, now.saturating_add(ahead));
        self.rates = rates.zip(ahead).map(at).collect();
        self.in_flight = state.in_flight;
        self.plenty = state.plenty;
        self.contended = state.contended;
        self.renewed = now;
        self.fetching_until = 0;
    }

    /// When the bucket of a rate is full again, as the owner said.
    pub(crate) fn tat(&self, name: &str) -> u128 {
        let told = self.rates.iter().find(|(limit, _)| limit.name == name);
        told.map_or(0, |(_, tat)| *tat)
    }

    /// When the bucket of the own share is full again. It begins with one request.
    pub(crate) fn share(&self, name: &str, gcra: Gcra, now: u128) -> u128 {
        let share = self.share.iter().find(|share| &*share.name == name);
        share.map_or_else(
            || gcra.last_one(now),
            |share| gcra.reshare(share.gcra, share.tat, now),
        )
    }

    /// A request is spent on the own share of a rate, which is `whole` at its owner.
    pub(crate) fn spend_share(&mut self, name: &Arc<str>, own: (Gcra, u128), whole: Gcra) {
        let (gcra, tat) = own;
        match self.share.iter_mut().find(|share| share.name == *name) {
            Some(share) => (share.gcra, share.tat) = own,
            None => self.share.push(Share {
                name: Arc::clone(name),
                gcra,
                tat,
            }),
        }
        self.owe(Limit::from(name, whole), 1);
    }

    /// Notes what the owner has to be told.
    pub(crate) fn owe(&mut self, limit: Limit, requests: u64) {
        if let Some((_, spent)) = self.spent.iter_mut().find(|(known, _)| *known == limit) {
            *spent = spent.saturating_add(requests);
        } else if self.spent.len() < SPENT {
            self.spent.push((limit, requests));
        }
    }
}

impl Used {
    /// Once a second: gives back places that were not used since, and has those renewed that are.
    pub(crate) fn tend(&mut self, renew: bool, now: u128) {
        let Self {
            hands,
            in_flight,
            peers,
            ..
        } = self;
        for (holder, hand) in hands.iter().filter(|(_, hand)| hand.leased > 0) {
            let used = in_flight.get(holder).copied().unwrap_or(0);
            let keep = hand.leased.min(hand.peak.max(used));
            hand.peak = used;
            if keep < hand.leased || renew {
                hand.leased = keep;
                peers.soil(holder);
            }
            // The owner has forgotten by now what it was not told for so long.
            if now.saturating_sub(hand.renewed) >= super::leases::TTL {
                hand.leased = 0;
            }
        }
        hands.sweep(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Rate;

    fn plan() -> Plan {
        Plan {
            rates: vec![Rate {
                name: "r".into(),
                requests: 1000,
                window: Duration::from_secs(1),
                burst: 1000,
            }],
            concurrency: None,
            shadow: false,
        }
    }

    #[test]
    fn who_comes_seldom_fetches_one_and_who_comes_often_fetches_for_50_ms() {
        let (mut hand, plan) = (Hand::default(), plan());
        let one = Ready::Lacks {
            tokens: 1,
            slots: 0,
        };
        for number in 0..50 {
            assert_eq!(hand.ready(&plan, 0, number * SECOND), one);
        }
        let mut last = one;
        for number in 0..200 {
            last = hand.ready(&plan, 0, 100 * SECOND + number * SECOND / 100);
        }
        assert_eq!(
            last,
            Ready::Lacks {
                tokens: 5,
                slots: 0
            }
        );
    }

    #[test]
    fn what_was_granted_lapses_after_100_ms() {
        let (mut hand, plan) = (Hand::default(), plan());
        hand.granted(2, 0);
        assert_eq!(hand.ready(&plan, 0, LAPSE - 1), Ready::Yes);
        hand.spend(LAPSE - 1);
        assert_ne!(hand.ready(&plan, 0, LAPSE), Ready::Yes);
    }

    #[test]
    fn more_is_fetched_when_half_is_spent_and_only_of_plenty() {
        let mut hand = Hand::default();
        hand.granted(9, 0);
        for _ in 0..8 {
            assert_eq!(hand.spend(1), None);
        }
        let mut hand = Hand::default();
        let state = State {
            plenty: true,
            ..State::default()
        };
        hand.granted(9, 0);
        hand.heard(&[], &state, 0);
        let due: Vec<bool> = (0..6).map(|_| hand.spend(1).is_some()).collect();
        assert_eq!(due, [false, false, false, true, false, false]);
    }

    #[test]
    fn the_own_share_begins_with_one() {
        let (mut hand, whole) = (Hand::default(), Gcra::new(60, Duration::from_secs(60), 30));
        let own = whole.share(1, 3);
        let name = Arc::from("r");
        let tat = own.take(hand.share("r", own, 0), 0).unwrap();
        hand.spend_share(&name, (own, tat), whole);
        assert!(own.take(hand.share("r", own, 0), 0).is_err());
        assert_eq!(
            own.remaining(hand.share("r", own, 30 * SECOND), 30 * SECOND),
            10
        );
        assert_eq!(hand.spent, [(Limit::from("r", whole), 1)]);
        hand.granted(0, 0);
        assert_eq!(
            own.remaining(hand.share("r", own, 30 * SECOND), 30 * SECOND),
            1
        );
    }
}
