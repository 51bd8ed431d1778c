//! Limits: rates by GCRA in integers, and requests in flight. Local to this gateway.
//!
//! Pure but for the lock that guards the counts: time is an argument, and never goes back in here. [`Limits`] is what holders
//! have used, asked by `phase::admit`; [`Strangers`] bounds addresses before anybody is known, asked by the listener's side
//! of `forward`.

mod buckets;
mod fields;
mod gcra;
mod strangers;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aimass_protocol::Error;
use http::{HeaderName, HeaderValue};

pub(crate) use buckets::{Buckets, Id};
pub use fields::Quota;
pub(crate) use gcra::Gcra;
pub use strangers::{Bounds, Strangers};

/// Buckets that are kept. Each is about 100 bytes, and a holder has one per rate.
pub const MAX_BUCKETS: usize = 1_000_000;

/// Who is limited.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The uid of an APIKey.
    Key(Arc<str>),
    /// The name of a user of Kubernetes.
    User(Arc<str>),
    /// Callers without a key, by [`block`].
    Address(IpAddr),
}

/// The addresses that count as one: an IPv4 address is one, of IPv6 whoever has one has a /64.
#[must_use]
pub fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
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
pub struct Limits(Arc<Mutex<Used>>);

/// Inside of the lock.
pub(crate) struct Used {
    clock: Clock,
    pub(crate) buckets: Buckets,
    /// Only holders with requests in flight: never more than those.
    in_flight: HashMap<Holder, u32>,
}

impl Limits {
    /// With at most `max_buckets`; [`MAX_BUCKETS`] but in tests.
    #[must_use]
    pub fn new(max_buckets: usize) -> Self {
        Self(Arc::new(Mutex::new(Used {
            clock: Clock::default(),
            buckets: Buckets::new(max_buckets),
            in_flight: HashMap::new(),
        })))
    }

    /// Drops buckets that are as good as fresh, looking at no more than `steps`: to be called each second, with 1,000.
    pub fn sweep(&self, steps: usize, now: Instant) {
        let mut used = self.lock();
        let now = used.now(now);
        used.buckets.sweep(steps, now);
    }

    /// Requests that were let pass because there was no room for a bucket (`limit_buckets_full_total`).
    #[must_use]
    pub fn full_total(&self) -> u64 {
        self.lock().buckets.full_total()
    }

    /// Buckets there are.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.lock().buckets.len()
    }

    /// Requests of `holder` in flight, as far as they hold a [`Slot`].
    #[must_use]
    pub fn in_flight(&self, holder: &Holder) -> u32 {
        self.lock().in_flight(holder)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Used> {
        // A panic elsewhere leaves counts, which are whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among the requests in flight; the count is `used`'s, which is the caller's lock of this.
    pub(crate) fn occupy(&self, used: &mut Used, holder: &Holder) -> Slot {
        let count = used.in_flight.entry(holder.clone()).or_insert(0);
        *count = count.saturating_add(1);
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
        let mut used = self.limits.lock();
        if let Some(count) = used.in_flight.get_mut(&self.holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                used.in_flight.remove(&self.holder);
            }
        }
    }
}

/// Time as integers, from the first request on. It never goes back: who asks with an older time is answered for the newest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    start: Option<Instant>,
    newest: u128,
}

impl Clock {
    pub(crate) fn at(&mut self, now: Instant) -> u128 {
        let start = *self.start.get_or_insert(now);
        let elapsed = now.saturating_duration_since(start).as_nanos();
        self.newest = self.newest.max(elapsed);
        self.newest
    }
}

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
    fn time_never_goes_back() {
        let start = tokio::time::Instant::now().into_std();
        let mut clock = Clock::default();
        let at = |clock: &mut Clock, seconds| clock.at(start + Duration::from_secs(seconds));
        assert_eq!(at(&mut clock, 100), 0);
        assert_eq!(at(&mut clock, 103), 3_000_000_000);
        assert_eq!(at(&mut clock, 0), 3_000_000_000);
        assert_eq!(at(&mut clock, 104), 4_000_000_000);
    }

    #[test]
    fn a_block_is_an_address_or_a_64() {
        let of = |text: &str| block(text.parse().unwrap()).to_string();
        assert_eq!(of("10.1.2.3"), "10.1.2.3");
        assert_eq!(of("::ffff:10.1.2.3"), "10.1.2.3");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::1"), "::");
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
