//! Limits: rates by GCRA in integers, and requests in flight, over all gateways together.
//!
//! Pure but for the lock that guards the counts: time is an argument, and never goes back in here. [`Limits`] is what holders
//! have used, asked by `phase::admit`; [`Strangers`] bounds addresses before anybody is known, asked by the listener's side
//! of `forward`, for this gateway alone.
//!
//! Each holder is counted by one gateway, its owner (`ring`, `peers`). There `serve` grants requests out of `buckets`, and
//! places in flight as `leases`; the others spend what they were granted out of their `hands`, told and asked by `spend` in the
//! words of `wire`. Who carries them is `crate::peer`. A gateway that is alone owns everything, and none of this is touched.

mod buckets;
mod clock;
mod fields;
mod gcra;
mod hands;
mod holder;
mod leases;
mod peers;
mod ring;
mod serve;
mod spend;
mod strangers;
pub mod wire;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aimass_protocol::Error;
use http::{HeaderName, HeaderValue};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

pub(crate) use buckets::{Buckets, Id};
pub(crate) use clock::Clock;
pub use fields::Quota;
pub(crate) use gcra::Gcra;
use hands::Hands;
pub(crate) use hands::Ready;
pub use holder::{Holder, block};
use leases::Leases;
use peers::Peers;
pub(crate) use peers::Place;
pub use peers::{MAX_PEERS, Member};
pub use ring::Uid;
pub(crate) use serve::share_of;
pub(crate) use spend::{Outcome, Replied, Sent};
pub use strangers::{Bounds, Strangers};

/// Buckets that are kept. Each is about 100 bytes, and a holder has one per rate.
pub const MAX_BUCKETS: usize = 1_000_000;

/// Holders of whom something is in hand. All of them are looked at each second: more would hold requests up for too long.
const MAX_HANDS: usize = 100_000;
/// Nanoseconds.
const SECOND: u128 = 1_000_000_000;
/// After so many looks at what is in hand everything that is held is told again: each 5 s.
const RENEW: u32 = 5;

/// What holds for a holder whose owner cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnerLoss {
    /// Each gateway lets pass its share.
    #[default]
    Share,
    /// Nothing passes.
    Refuse,
}

/// Why a request is refused with 429.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The limit's name: for the text, the headers and the label `policy`.
    pub policy: Arc<str>,
    /// When the same request would pass, if nobody else came.
    pub retry_after: Duration,
    /// What the caller has left.
    pub quotas: Vec<Quota>,
}

impl Refusal {
    /// `rate_limited`.
    #[must_use]
    pub fn error(&self) -> Error {
        Error::rate_limited(&self.policy)
    }

    /// `retry-after` and what goes with it, and the headers of [`headers`].
    #[must_use]
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = headers(&self.quotas);
        headers.extend(fields::retry_after(self.retry_after));
        headers
    }
}

/// `ratelimit-policy` and `ratelimit`, for every answer to a limited caller; none for others.
#[must_use]
pub fn headers(quotas: &[Quota]) -> Vec<(HeaderName, HeaderValue)> {
    fields::quotas(quotas)
}

/// What holders have used. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Limits(Arc<Shared>);

struct Shared {
    used: Mutex<Used>,
    /// Those that `used` knows of, or knew within the last second: every choice of a pod asks, and need not wait for the lock.
    gateways: AtomicUsize,
    /// Others have to be told something at once.
    changed: Notify,
}

/// Inside of the lock.
pub(crate) struct Used {
    clock: Clock,
    pub(crate) buckets: Buckets,
    /// Requests here. Only holders with requests in flight: never more than those.
    in_flight: HashMap<Holder, u32>,
    pub(crate) peers: Peers,
    pub(crate) hands: Hands,
    pub(crate) leases: Leases,
    /// Looks at what is in hand, so far.
    looks: u32,
    /// It is time to hand over.
    urgent: bool,
    pub(crate) owner_loss: OwnerLoss,
    pub(crate) fallbacks: u64,
}

impl Limits {
    /// With at most `max_buckets`, and alone; [`MAX_BUCKETS`] but in tests.
    #[must_use]
    pub fn new(max_buckets: usize) -> Self {
        Self(Arc::new(Shared {
            used: Mutex::new(Used {
                clock: Clock::default(),
                buckets: Buckets::new(max_buckets),
                in_flight: HashMap::new(),
                peers: Peers::default(),
                hands: Hands::new(max_buckets.min(MAX_HANDS)),
                leases: Leases::default(),
                looks: 0,
                urgent: false,
                owner_loss: OwnerLoss::default(),
                fallbacks: 0,
            }),
            gateways: AtomicUsize::new(1),
            changed: Notify::new(),
        }))
    }

    /// From now on this is one of several: the pod `me`, in its process `boot`, which is another number each time and not 0.
    pub fn join(&self, me: Uid, boot: u64) {
        self.lock().peers = Peers::new(me, boot);
    }

    /// What holds while an owner cannot be asked.
    pub fn on_owner_loss(&self, choice: OwnerLoss) {
        self.lock().owner_loss = choice;
    }

    /// Who there is, this gateway included.
    pub fn members(&self, members: Vec<Member>, now: Instant) {
        let mut used = self.lock();
        let now = used.now(now);
        used.peers.members(members, now);
        self.tell(used, now);
    }

    /// This gateway ends: the others get what it owns.
    pub fn drain(&self, now: Instant) {
        let mut used = self.lock();
        let now = used.now(now);
        used.peers.drain(now);
        self.tell(used, now);
    }

    /// There are other members than before.
    fn tell(&self, mut used: MutexGuard<'_, Used>, now: u128) {
        used.advance(now);
        self.count(&used);
        drop(used);
        self.0.changed.notify_waiters();
    }

    fn count(&self, used: &Used) {
        self.0.gateways.store(used.peers.len(), Ordering::Relaxed);
    }

    /// Gateways that count together, this one included.
    #[must_use]
    pub fn gateways(&self) -> usize {
        self.0.gateways.load(Ordering::Relaxed)
    }

    /// Those of them that were heard lately and answer.
    #[must_use]
    pub fn reachable(&self, now: Instant) -> usize {
        let mut used = self.lock();
        let now = used.now(now);
        used.peers.reachable(now)
    }

    /// Whether this gateway counts for `holder` now.
    #[must_use]
    pub fn owns(&self, holder: &Holder) -> bool {
        self.lock().peers.owns(holder)
    }

    /// Whether it moves at the moment who owns what.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.lock().peers.is_moving()
    }

    /// Tells the others at once, if something has to be told; `used` is the caller's lock of this.
    pub(crate) fn release(&self, mut used: MutexGuard<'_, Used>) {
        let urgent = used.is_urgent();
        drop(used);
        if urgent {
            self.0.changed.notify_waiters();
        }
    }

    /// Completes when the others have to be told something at once.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    /// Drops buckets that are as good as fresh, looking at no more than `steps`, and gives back what is in hand and not used:
    /// to be called each second, with 1,000.
    pub fn sweep(&self, steps: usize, now: Instant) {
        let mut used = self.lock();
        let now = used.now(now);
        used.buckets.sweep(steps, now);
        used.leases.sweep(now);
        used.looks = used.looks.wrapping_add(1);
        let renew = used.looks.is_multiple_of(RENEW);
        used.tend(renew, now);
        used.advance(now);
        // Of changes that came one upon the other, the later ones take effect by themselves.
        self.count(&used);
    }

    /// Requests that were let pass because there was no room for a bucket (`limit_buckets_full_total`).
    #[must_use]
    pub fn full_total(&self) -> u64 {
        let used = self.lock();
        let hands = used.hands.full_total();
        used.buckets.full_total().saturating_add(hands)
    }

    /// Requests that were decided without the gateway that counts (`limit_fallback_total`).
    #[must_use]
    pub fn fallback_total(&self) -> u64 {
        self.lock().fallbacks
    }

    /// Buckets there are.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.lock().buckets.len()
    }

    /// Requests of `holder` in flight here, as far as they hold a [`Slot`].
    #[must_use]
    pub fn in_flight(&self, holder: &Holder) -> u32 {
        self.lock().in_flight(holder)
    }

    /// Those that other gateways hold, as far as this one counts them.
    #[must_use]
    pub fn leased(&self, holder: &Holder, now: Instant) -> u32 {
        let mut used = self.lock();
        let now = used.now(now);
        used.leases.total(holder, now)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Used> {
        // A panic elsewhere leaves counts, which are whole at any time.
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among the requests in flight; the count is `used`'s, which is the caller's lock of this.
    pub(crate) fn occupy(&self, used: &mut Used, holder: &Holder) -> Slot {
        let count = used.in_flight.entry(holder.clone()).or_insert(0);
        *count = count.saturating_add(1);
        let count = *count;
        if let Some(hand) = used.hands.known(holder) {
            hand.peak = hand.peak.max(count);
        }
        Slot {
            limits: self.clone(),
            holder: holder.clone(),
        }
    }
}

impl fmt::Debug for Limits {
    /// Without what is in it: there may be a million of it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(MAX_BUCKETS)
    }
}

impl Used {
    /// Nanoseconds since the first request.
    pub(crate) fn now(&mut self, now: Instant) -> u128 {
        self.clock.at(now)
    }

    pub(crate) fn in_flight(&self, holder: &Holder) -> u32 {
        self.in_flight.get(holder).copied().unwrap_or(0)
    }

    /// Over all gateways, at their owner.
    pub(crate) fn total_in_flight(&self, holder: &Holder, now: u128) -> u32 {
        let others = self.leases.total(holder, now);
        self.in_flight(holder).saturating_add(others)
    }

    /// When a bucket that this gateway owns is full again, at the rate `whole`, of which it may let pass `own` now.
    pub(crate) fn tat(&self, id: &Id, (whole, own): (Gcra, Gcra), now: u128) -> u128 {
        let known = self.buckets.known(id, whole, now);
        known.unwrap_or_else(|| self.peers.start(&id.holder, (whole, own), now))
    }

    /// Whether the others have to be told something at once. To be asked once.
    pub(crate) fn is_urgent(&mut self) -> bool {
        std::mem::take(&mut self.urgent)
    }

    /// What was spent while somebody else owned `holder` counts here, now that this gateway does.
    pub(crate) fn absorb(&mut self, holder: &Holder, now: u128) {
        let Some(hand) = self.hands.known(holder) else {
            return;
        };
        hand.leased = 0;
        for (limit, requests) in std::mem::take(&mut hand.spent) {
            let (gcra, id) = (limit.gcra(), Id::of(holder, &limit.name));
            let tat = gcra.charge(self.tat(&id, (gcra, gcra), now), now, requests);
            self.buckets.set(id, gcra, tat, now);
        }
    }
}

/// A place among a holder's requests in flight: given back when it is dropped, wherever that happens. To be kept until the
/// last byte of the answer.
#[derive(Debug)]
#[must_use = "the request counts as ended when this is dropped"]
pub struct Slot {
    limits: Limits,
    holder: Holder,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut guard = self.limits.lock();
        let used = &mut *guard;
        if let Some(count) = used.in_flight.get_mut(&self.holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                used.in_flight.remove(&self.holder);
            }
        }
        let count = used.in_flight(&self.holder);
        let hand = used.hands.known(&self.holder);
        // Others wait for it: it is not kept for the next one here.
        let Some(hand) = hand.filter(|hand| hand.contended && hand.leased > count) else {
            return;
        };
        hand.leased = count;
        used.peers.soil(&self.holder);
        drop(guard);
        self.limits.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        Holder::Key("uid".into())
    }

    fn occupy(limits: &Limits) -> Slot {
        let mut used = limits.lock();
        limits.occupy(&mut used, &holder())
    }

    #[test]
    fn a_slot_is_given_back_wherever_it_is_dropped() {
        let limits = Limits::default();
        let (first, second) = (occupy(&limits), occupy(&limits));
        assert_eq!(limits.in_flight(&holder()), 2);
        drop(first);
        assert_eq!(limits.in_flight(&holder()), 1);
        std::thread::spawn(move || drop(second)).join().unwrap();
        assert_eq!(limits.in_flight(&holder()), 0);
        assert!(limits.lock().in_flight.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_slot_is_given_back_by_a_panic() {
        let limits = Limits::default();
        let slot = occupy(&limits);
        let thread = std::thread::spawn(move || {
            let _slot = slot;
            panic!("of a request");
        });
        assert!(thread.join().is_err());
        assert_eq!(limits.in_flight(&holder()), 0);
    }

    #[test]
    fn a_refusal_says_what_and_when() {
        let refusal = Refusal {
            policy: "per-minute".into(),
            retry_after: Duration::from_millis(1500),
            quotas: Vec::new(),
        };
        assert_eq!(refusal.error(), Error::rate_limited("per-minute"));
        let headers: Vec<_> = refusal.headers();
        let shown: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        assert_eq!(shown, ["retry-after: 2", "retry-after-ms: 1500"]);
    }
}
