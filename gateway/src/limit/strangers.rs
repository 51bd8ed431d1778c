//! Bounds on addresses, before it is known who calls.
//!
//! Pure but for its lock. Called by `phase`: [`Strangers::request`] for every head, [`Strangers::failure`] for every refused
//! credential, [`Strangers::token_review`] and [`Strangers::access_review`] before the API server is asked. The youngest 50,000 addresses are remembered, and at most 100,000: they stand in two generations, and when
//! the younger one is full, the older one is forgotten. An address that was forgotten starts anew.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Clock, Gcra, Refusal, block};

/// Addresses of one generation.
const GENERATION: usize = 50_000;

/// What one address may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Requests a second.
    pub requests: u64,
    /// Requests at once after a pause.
    pub burst: u64,
    /// Credentials a minute that turn out to be wrong.
    pub failures: u64,
    /// Tokens a second that the API server is asked about.
    pub token_reviews: u64,
    /// Models a second that it is asked about: one caller has one token, and many models.
    pub access_reviews: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            requests: 1000,
            burst: 2000,
            failures: 10,
            token_reviews: 5,
            access_reviews: 25,
        }
    }
}

/// What addresses have done lately.
#[derive(Debug)]
pub struct Strangers {
    requests: Gcra,
    failures: Gcra,
    token_reviews: Gcra,
    access_reviews: Gcra,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    clock: Clock,
    generation: usize,
    young: HashMap<IpAddr, Stranger>,
    old: HashMap<IpAddr, Stranger>,
}

#[derive(Clone, Copy)]
enum What {
    Request,
    Failure,
    TokenReview,
    AccessReview,
}

/// Four buckets, by when they are full again.
#[derive(Clone, Copy, Debug, Default)]
struct Stranger {
    requests: u128,
    failures: u128,
    token_reviews: u128,
    access_reviews: u128,
}

impl Strangers {
    /// That remembers nobody yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self::with_generation(bounds, GENERATION)
    }

    fn with_generation(bounds: Bounds, generation: usize) -> Self {
        let Bounds {
            requests,
            burst,
            failures,
            token_reviews,
            access_reviews,
        } = bounds;
        let per_second = |count| Gcra::new(count, Duration::from_secs(1), count);
        Self {
            requests: Gcra::new(requests, Duration::from_secs(1), burst),
            failures: Gcra::new(failures, Duration::from_secs(60), failures),
            token_reviews: per_second(token_reviews),
            access_reviews: per_second(access_reviews),
            seen: Mutex::new(Seen {
                clock: Clock::default(),
                generation,
                young: HashMap::new(),
                old: HashMap::new(),
            }),
        }
    }

    /// A request arrives from `address`, whoever it may be.
    ///
    /// # Errors
    /// Too many came from there: it is answered with 429 and read no further.
    pub fn request(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.take(What::Request, address, now)
    }

    /// A request from `address` showed a credential that is wrong. One without any is no attempt.
    ///
    /// # Errors
    /// Too many such came from there: it is answered with 429 instead of 401, so that nobody learns from trying. Who shows a
    /// right one from the same address is not asked about this, and passes.
    pub fn failure(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.take(What::Failure, address, now)
    }

    /// The API server is to be asked about a token from `address`, because nobody has asked lately.
    ///
    /// # Errors
    /// Too many came from there: it is answered with 429, and the API server left in peace.
    pub fn token_review(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.take(What::TokenReview, address, now)
    }

    /// The API server is to be asked about a model for somebody from `address`, because nobody has asked lately.
    ///
    /// # Errors
    /// The same as with tokens.
    pub fn access_review(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.take(What::AccessReview, address, now)
    }

    fn take(&self, what: What, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seen.clock.at(now);
        let stranger = seen.stranger(block(address));
        let (policy, gcra, tat) = match what {
            What::Request => ("address", self.requests, &mut stranger.requests),
            What::Failure => ("authentication", self.failures, &mut stranger.failures),
            What::TokenReview => {
                let tat = &mut stranger.token_reviews;
                ("token-reviews", self.token_reviews, tat)
            }
            What::AccessReview => {
                let tat = &mut stranger.access_reviews;
                ("access-reviews", self.access_reviews, tat)
            }
        };
        match gcra.take(*tat, now) {
            Ok(later) => {
                *tat = later;
                Ok(())
            }
            Err(retry_after) => Err(Refusal {
                policy: policy.into(),
                retry_after,
                quotas: Vec::new(),
            }),
        }
    }
}

impl Seen {
    fn stranger(&mut self, address: IpAddr) -> &mut Stranger {
        if self.young.len() >= self.generation && !self.young.contains_key(&address) {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young
            .entry(address)
            .or_insert_with(|| old.remove(&address).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn an_address_has_a_burst_and_a_rate() {
        let (strangers, start) = (Strangers::new(Bounds::default()), start());
        let passed = |seconds: u64, count: usize| {
            let now = start + Duration::from_secs(seconds);
            let passes = (0..count).filter(|_| strangers.request(address(1), now).is_ok());
            passes.count()
        };
        assert_eq!(passed(0, 5000), 2000);
        assert_eq!(passed(1, 5000), 1000);
        assert_eq!(passed(100, 5000), 2000);
        let refusal = strangers.request(address(1), start).unwrap_err();
        assert_eq!(&*refusal.policy, "address");
        assert_eq!(refusal.retry_after, Duration::from_millis(1));
        assert!(strangers.request(address(2), start).is_ok());
    }

    #[test]
    fn after_ten_failures_a_minute_there_are_no_more_answers() {
        let (strangers, start) = (Strangers::new(Bounds::default()), start());
        for _ in 0..10 {
            assert_eq!(strangers.failure(address(1), start), Ok(()));
        }
        let refusal = strangers.failure(address(1), start).unwrap_err();
        assert_eq!(refusal.retry_after, Duration::from_secs(6));
        let text = "Rate limit \"authentication\" exceeded";
        assert_eq!(refusal.error().text, text);
        assert!(strangers.request(address(1), start).is_ok(), "it may go on");
        let later = start + Duration::from_secs(6);
        assert!(strangers.failure(address(1), later).is_ok());
        assert!(strangers.failure(address(1), later).is_err());
    }

    #[test]
    fn the_api_server_is_asked_a_few_times_a_second_for_one_address() {
        let (strangers, start) = (Strangers::new(Bounds::default()), start());
        let asked = |milliseconds| {
            let now = start + Duration::from_millis(milliseconds);
            let tokens = (0..99).filter(|_| strangers.token_review(address(1), now).is_ok());
            let models = (0..99).filter(|_| strangers.access_review(address(1), now).is_ok());
            (tokens.count(), models.count())
        };
        assert_eq!(asked(0), (5, 25));
        assert_eq!(asked(400), (2, 10));
        assert_eq!(asked(9000), (5, 25));
        let refusal = strangers.token_review(address(1), start).unwrap_err();
        let text = "Rate limit \"token-reviews\" exceeded";
        assert_eq!(refusal.error().text, text);
        assert!(strangers.token_review(address(2), start).is_ok());
        assert!(strangers.request(address(1), start).is_ok(), "it may go on");
    }

    #[test]
    fn all_of_a_64_are_one_address() {
        let strangers = Strangers::new(Bounds {
            failures: 1,
            ..Bounds::default()
        });
        let start = start();
        let failure = |text: &str| strangers.failure(text.parse().unwrap(), start).is_ok();
        assert!(failure("2001:db8::1"));
        assert!(!failure("2001:db8::2"));
        assert!(failure("2001:db8:0:1::1"));
        assert!(failure("10.0.0.1"));
        assert!(!failure("::ffff:10.0.0.1"));
    }

    #[test]
    fn whoever_comes_often_is_not_forgotten_and_there_is_a_bound() {
        let bounds = Bounds {
            failures: 1,
            ..Bounds::default()
        };
        let (strangers, start) = (Strangers::with_generation(bounds, 4), start());
        assert!(strangers.failure(address(0), start).is_ok());
        for last in 1..200 {
            assert!(strangers.failure(address(last), start).is_ok());
            if last % 3 == 0 {
                assert!(strangers.failure(address(0), start).is_err(), "{last}");
            }
            let seen = strangers.seen.lock().unwrap();
            assert!(seen.young.len() <= 4 && seen.old.len() <= 4);
        }
        let forgotten = strangers.failure(address(1), start);
        assert!(forgotten.is_ok(), "it starts anew");
    }
}
