//! The generic cell rate algorithm: a bucket is one number, the time at which it would be full again ("tat").
//!
//! Pure, in integers: nanoseconds since some start. Source: ITU-T I.371, Annex A. Called by `phase::admit` and `strangers`.

use std::time::Duration;

use crate::table::Rate;

/// A rate, as the algorithm needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gcra {
    /// Nanoseconds from one request to the next ("T"), at least 1.
    interval: u64,
    /// Requests at once ("B"), at least 1.
    burst: u64,
}

impl Gcra {
    /// `requests` per `window`, and `burst` at once after a pause.
    pub(crate) fn new(requests: u64, window: Duration, burst: u64) -> Self {
        // Rounded up: never faster than that.
        let interval = window.as_nanos().div_ceil(u128::from(requests.max(1)));
        Self {
            interval: u64::try_from(interval).unwrap_or(u64::MAX).max(1),
            burst: burst.max(1),
        }
    }

    pub(crate) fn of(rate: &Rate) -> Self {
        Self::new(rate.requests, rate.window, rate.burst)
    }

    /// Of what another gateway says.
    pub(crate) fn from_parts(interval: u64, burst: u64) -> Self {
        Self {
            interval: interval.max(1),
            burst: burst.max(1),
        }
    }

    pub(crate) const fn interval(self) -> u64 {
        self.interval
    }

    pub(crate) const fn burst(self) -> u64 {
        self.burst
    }

    /// What `part` of `whole` gateways may let pass, so that all shares together are no more than the whole: but for one request
    /// of each, since nobody's burst is less than that. A bucket is as far from being full for a share as it is for the whole: so
    /// nothing is gained by turns of being one and the other.
    pub(crate) fn share(self, part: u64, whole: u64) -> Self {
        if part >= whole {
            return self;
        }
        let (part, whole) = (u128::from(part.max(1)), u128::from(whole));
        let interval = (u128::from(self.interval) * whole).div_ceil(part);
        let burst = u128::from(self.burst) * part / whole;
        Self {
            interval: u64::try_from(interval).unwrap_or(u64::MAX),
            burst: u64::try_from(burst).unwrap_or(u64::MAX).max(1),
        }
    }

    /// The bucket after `requests` more, whether there is room for them or not.
    pub(crate) fn charge(self, tat: u128, now: u128, requests: u64) -> u128 {
        let cost = u128::from(requests).saturating_mul(u128::from(self.interval));
        tat.max(now).saturating_add(cost)
    }

    /// The bucket of the share `before` as this share has it: no request more is left in it.
    pub(crate) fn reshare(self, before: Self, tat: u128, now: u128) -> u128 {
        if self == before {
            return tat;
        }
        let left = before.remaining(tat, now).min(self.burst);
        let used = u128::from(self.burst - left) * u128::from(self.interval);
        tat.max(now.saturating_add(used))
    }

    /// A bucket with one request left in it.
    pub(crate) fn last_one(self, now: u128) -> u128 {
        now.saturating_add(self.depth())
            .saturating_sub(u128::from(self.interval))
    }

    /// The bucket after one more request at `now`, or how long until there is room for it.
    pub(crate) fn take(self, tat: u128, now: u128) -> Result<u128, Duration> {
        let later = tat.max(now).saturating_add(u128::from(self.interval));
        let last = now.saturating_add(self.depth());
        if later <= last {
            Ok(later)
        } else {
            Err(duration(later.saturating_sub(last)))
        }
    }

    /// Requests that would pass at `now`.
    pub(crate) fn remaining(self, tat: u128, now: u128) -> u64 {
        let used = tat.saturating_sub(now);
        let left = self.depth().saturating_sub(used) / u128::from(self.interval);
        u64::try_from(left).unwrap_or(u64::MAX)
    }

    /// Until all of the burst would pass again.
    pub(crate) fn full_after(tat: u128, now: u128) -> Duration {
        duration(tat.saturating_sub(now))
    }

    /// The bucket of `before` as this rate has it: what is used stays used, counted in requests.
    ///
    /// Without it a plan that is made wider would hold back for as long as the old one would have.
    pub(crate) fn convert(self, before: Self, tat: u128, now: u128) -> u128 {
        if self == before {
            return tat;
        }
        let used = tat
            .saturating_sub(now)
            .div_ceil(u128::from(before.interval))
            .min(u128::from(self.burst));
        now.saturating_add(used.saturating_mul(u128::from(self.interval)))
    }

    /// Nanoseconds that a bucket may be ahead of now.
    pub(crate) fn depth(self) -> u128 {
        u128::from(self.burst).saturating_mul(u128::from(self.interval))
    }
}

fn duration(nanoseconds: u128) -> Duration {
    let second = 1_000_000_000;
    let seconds = u64::try_from(nanoseconds / second).unwrap_or(u64::MAX);
    Duration::new(seconds, u32::try_from(nanoseconds % second).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u128 = 1_000_000_000;

    fn gcra(requests: u64, seconds: u64, burst: u64) -> Gcra {
        Gcra::new(requests, Duration::from_secs(seconds), burst)
    }

    /// How many of `count` requests at `now` pass.
    fn pass(gcra: Gcra, tat: &mut u128, now: u128, count: usize) -> usize {
        let takes = (0..count).filter(|_| match gcra.take(*tat, now) {
            Ok(later) => {
                *tat = later;
                true
            }
            Err(_) => false,
        });
        takes.count()
    }

    #[test]
    fn a_fresh_bucket_gives_its_burst_and_then_one_per_interval() {
        let (gcra, mut tat) = (gcra(60, 60, 10), 0);
        assert_eq!(gcra.remaining(tat, 0), 10);
        assert_eq!(pass(gcra, &mut tat, 0, 100), 10);
        assert_eq!(gcra.remaining(tat, 0), 0);
        assert_eq!(gcra.take(tat, 0), Err(Duration::from_secs(1)));
        assert_eq!(pass(gcra, &mut tat, SECOND - 1, 100), 0);
        assert_eq!(pass(gcra, &mut tat, SECOND, 100), 1);
        assert_eq!(pass(gcra, &mut tat, 4 * SECOND, 100), 3);
        assert_eq!(Gcra::full_after(tat, 4 * SECOND), Duration::from_secs(10));
        assert_eq!(pass(gcra, &mut tat, 1000 * SECOND, 100), 10);
    }

    #[test]
    fn a_refusal_says_when_it_would_pass() {
        let (gcra, mut tat) = (gcra(3, 10, 2), 0);
        assert_eq!(pass(gcra, &mut tat, 0, 5), 2);
        let wait = gcra.take(tat, 0).unwrap_err().as_nanos();
        assert!(gcra.take(tat, wait - 1).is_err());
        assert!(gcra.take(tat, wait).is_ok());
    }

    #[test]
    fn intervals_are_rounded_up() {
        assert_eq!(gcra(3, 1, 1).interval, 333_333_334);
        assert_eq!(gcra(2_000_000_000, 1, 1).interval, 1);
        assert_eq!(gcra(0, 1, 0), gcra(1, 1, 1));
    }

    #[test]
    fn the_largest_rates_do_not_overflow() {
        let widest = Gcra::new(1, Duration::MAX, u64::MAX);
        assert_eq!(widest.remaining(0, 0), u64::MAX);
        assert!(widest.take(0, u128::MAX).is_ok());
        let days = gcra(1, 86_400, 1_000_000);
        assert_eq!(days.remaining(0, 0), 1_000_000);
    }

    #[test]
    fn another_rate_keeps_what_is_used() {
        let (slow, fast) = (gcra(1, 3600, 5), gcra(100, 1, 50));
        let mut tat = 0;
        assert_eq!(pass(slow, &mut tat, 0, 3), 3);
        let converted = fast.convert(slow, tat, 0);
        assert_eq!(fast.remaining(converted, 0), 47);
        assert_eq!(pass(slow, &mut tat, 0, 5), 2);
        let none = gcra(1, 1, 2).convert(slow, tat, 0);
        assert_eq!(none, 2 * SECOND, "no more than its burst is held back");
        assert_eq!(slow.convert(slow, tat, 0), tat);
    }

    #[test]
    fn shares_are_no_more_than_the_whole() {
        let whole = gcra(60, 60, 10);
        assert_eq!(whole.share(3, 3), whole);
        assert_eq!(whole.share(1, 3), gcra(20, 60, 3));
        assert_eq!(whole.share(2, 3), gcra(40, 60, 6));
        assert_eq!(whole.share(1, 64).burst, 1);
    }

    #[test]
    fn another_share_has_no_request_more() {
        let whole = gcra(60, 60, 9);
        let (of_four, of_three) = (whole.share(1, 4), whole.share(1, 3));
        let mut tat = of_four.last_one(0);
        assert_eq!(pass(of_four, &mut tat, 0, 9), 1);
        let tat = of_three.reshare(of_four, tat, 0);
        assert_eq!(of_three.remaining(tat, 0), 0);
        assert_eq!(of_four.remaining(of_four.reshare(of_three, 0, 0), 0), 2);
    }

    #[test]
    fn what_was_spent_elsewhere_may_be_more_than_there_is() {
        let gcra = gcra(60, 60, 10);
        let tat = gcra.charge(0, 0, 15);
        assert_eq!((gcra.remaining(tat, 0), tat), (0, 15 * SECOND));
        assert_eq!(gcra.remaining(gcra.last_one(7), 7), 1);
        assert_eq!(gcra.take(tat, 0), Err(Duration::from_secs(6)));
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_in_any_interval(
            requests in 1_u64..2000,
            window in 1_u64..100,
            burst in 1_u64..50,
            steps in proptest::collection::vec((0_u64..3_000_000_000, 1_usize..10), 1..30),
        ) {
            let gcra = gcra(requests, window, burst);
            let (mut tat, mut now, mut admitted) = (0, 0_u128, Vec::new());
            for (step, count) in steps {
                now += u128::from(step);
                let passed = pass(gcra, &mut tat, now, count);
                admitted.extend(std::iter::repeat_n(now, passed));
            }
            for (first, from) in admitted.iter().enumerate() {
                for (last, to) in admitted.iter().enumerate().skip(first) {
                    let bound = u128::from(burst) + (to - from) / u128::from(gcra.interval);
                    prop_assert!((last - first + 1) as u128 <= bound);
                }
            }
        }

        #[test]
        fn steps_backwards_let_nothing_more_pass(
            times in proptest::collection::vec(0_u64..20_000_000_000, 1..100),
        ) {
            let gcra = gcra(10, 10, 5);
            let (mut back, mut still, mut newest) = (0, 0, 0_u128);
            let (mut passed_back, mut passed_still) = (0, 0);
            for time in times {
                newest = newest.max(u128::from(time));
                passed_back += pass(gcra, &mut back, u128::from(time), 1);
                passed_still += pass(gcra, &mut still, newest, 1);
            }
            prop_assert!(passed_back <= passed_still);
        }
    }
}
