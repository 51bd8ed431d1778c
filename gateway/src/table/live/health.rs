//! When an endpoint is left out, for how long, and how it comes back.
//!
//! Pure: time and chance are arguments. Kept in `live` under a lock; that never more than half of a model's endpoints are out
//! is seen to by `phase::choose`, which knows how many there are.

use std::time::{Duration, Instant};

use super::window::Window;

/// Failures in a row after which it is out.
const IN_A_ROW: u32 = 5;
/// Requests within the window from which on half of them having failed counts.
const ENOUGH: u64 = 20;
/// Out for so long at first, and twice as long each time.
const SHORTEST: Duration = Duration::from_secs(1);
/// And never for longer, but for the spread. Also: whoever was in for so long is out for the shortest time again.
const LONGEST: Duration = Duration::from_secs(60);
/// How long an endpoint rests that said that it stops.
const REST: Duration = Duration::from_secs(5);

/// What came of a request, as far as it says something about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, whatever it was that it said.
    Answered,
    /// It had no capacity: it is well, but how fast it said so is no measure of it.
    Busy,
    /// Not connected, reset, no head in time, or 500, 502, 504.
    Failed,
    /// It stops or is not ready, and said so: it rests, and it is no failure.
    Draining,
}

impl Outcome {
    /// That of an answer with `status` and this value of `aimass-error`.
    #[must_use]
    pub fn of(status: u16, kind: Option<&str>) -> Self {
        match (status, kind) {
            (500 | 502 | 504, _) => Self::Failed,
            // Its readiness probe will say the same in a moment.
            (503, Some("draining" | "not_ready")) => Self::Draining,
            (503, _) => Self::Busy,
            _ => Self::Answered,
        }
    }
}

/// Whether an endpoint may be given a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    In,
    /// One, to see whether it is well again.
    Trial,
    /// No: it failed too often.
    Out {
        /// When there is a trial; a time that has passed while one is under way.
        until: Instant,
    },
    /// No: it stops.
    Resting,
}

/// What is remembered of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Health {
    failures_in_row: u32,
    /// Requests, and those of them that failed.
    window: Window,
    /// Set while it is out.
    out: Option<Out>,
    /// How often it was out before, without having been in for long between.
    times: u32,
    /// When it came back last.
    back: Option<Instant>,
    resting_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Out {
    until: Instant,
    trial_under_way: bool,
}

impl Health {
    pub(super) fn standing(&self, now: Instant) -> Standing {
        if self.resting_until.is_some_and(|until| now < until) {
            return Standing::Resting;
        }
        match self.out {
            None => Standing::In,
            Some(out) if out.trial_under_way || now < out.until => {
                Standing::Out { until: out.until }
            }
            Some(_) => Standing::Trial,
        }
    }

    /// Whether [`Self::standing`] can be anything but "in", at any time.
    pub(super) const fn is_troubled(&self) -> bool {
        self.out.is_some() || self.resting_until.is_some()
    }

    /// Whether the caller is the one that tries.
    pub(super) fn claim_trial(&mut self, now: Instant) -> bool {
        let claimed = self.standing(now) == Standing::Trial;
        if let Some(out) = &mut self.out {
            out.trial_under_way |= claimed;
        }
        claimed
    }

    /// Nothing came of the trial: the next request is one.
    pub(super) const fn give_up_trial(&mut self) {
        if let Some(out) = &mut self.out {
            out.trial_under_way = false;
        }
    }

    pub(super) fn report(&mut self, outcome: Outcome, trial: bool, now: Instant, random: u64) {
        if self.resting_until.is_some_and(|until| now >= until) {
            self.resting_until = None;
        }
        match outcome {
            Outcome::Answered | Outcome::Busy => {
                self.failures_in_row = 0;
                self.window.add(now, 1, 0);
                if trial {
                    self.out = None;
                    self.back = Some(now);
                }
            }
            Outcome::Failed => {
                self.failures_in_row = self.failures_in_row.saturating_add(1);
                self.window.add(now, 1, 1);
                // What was under way before it was out says nothing new.
                if trial || (self.out.is_none() && self.is_failing(now)) {
                    self.eject(now, random);
                }
            }
            Outcome::Draining => {
                self.resting_until = Some(now + REST);
                if trial {
                    self.give_up_trial();
                }
            }
        }
    }

    fn is_failing(&mut self, now: Instant) -> bool {
        let (requests, failures) = self.window.sums(now);
        self.failures_in_row >= IN_A_ROW || (requests >= ENOUGH && failures * 2 >= requests)
    }

    fn eject(&mut self, now: Instant, random: u64) {
        let was_well = |back: Instant| now.saturating_duration_since(back) >= LONGEST;
        let first = self.out.is_none() && self.back.is_none_or(was_well);
        self.times = if first {
            0
        } else {
            self.times.saturating_add(1)
        };
        // 2⁶ s are more than the longest time already.
        let time = SHORTEST.saturating_mul(1 << self.times.min(6)).min(LONGEST);
        self.out = Some(Out {
            until: now + spread(time, random),
            trial_under_way: false,
        });
        self.failures_in_row = 0;
        self.window.clear();
    }
}

/// `time` ± 25 %, so that endpoints, and gateways, do not try at the same time.
fn spread(time: Duration, random: u64) -> Duration {
    let thousandths = u32::try_from(750 + random % 501).unwrap_or(1000);
    time.saturating_mul(thousandths) / 1000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What spreads by nothing.
    const MIDDLE: u64 = 250;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn fail(health: &mut Health, times: usize, now: Instant) {
        for _ in 0..times {
            health.report(Outcome::Failed, false, now, MIDDLE);
        }
    }

    #[track_caller]
    fn out_for(health: &Health, now: Instant) -> Duration {
        match health.standing(now) {
            Standing::Out { until } => until - now,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn answers_are_sorted_by_status_and_kind() {
        for (status, kind, expect) in [
            (200, None, Outcome::Answered),
            (400, Some("bad_json"), Outcome::Answered),
            (404, Some("unknown_model"), Outcome::Answered),
            (500, Some("internal"), Outcome::Failed),
            (501, None, Outcome::Answered),
            (502, None, Outcome::Failed),
            (503, Some("overloaded"), Outcome::Busy),
            (503, Some("not_ready"), Outcome::Draining),
            (503, Some("draining"), Outcome::Draining),
            (503, None, Outcome::Busy),
            (504, Some("deadline"), Outcome::Failed),
        ] {
            assert_eq!(Outcome::of(status, kind), expect, "{status} {kind:?}");
        }
    }

    #[test]
    fn five_failures_in_a_row_put_it_out() {
        let (mut health, now) = (Health::default(), start());
        fail(&mut health, 4, now);
        health.report(Outcome::Answered, false, now, MIDDLE);
        fail(&mut health, 4, now);
        health.report(Outcome::Busy, false, now, MIDDLE);
        fail(&mut health, 4, now);
        assert_eq!(health.standing(now), Standing::In);
        fail(&mut health, 1, now);
        assert_eq!(out_for(&health, now), ms(1000));
    }

    #[test]
    fn half_of_twenty_within_ten_seconds_put_it_out() {
        let with = |requests: usize, seconds: u64| {
            let (mut health, start) = (Health::default(), start());
            for number in 0..requests {
                let now = start + Duration::from_secs(seconds) * u32::try_from(number).unwrap();
                let outcome = if number % 2 == 0 {
                    Outcome::Answered
                } else {
                    Outcome::Failed
                };
                health.report(outcome, false, now, MIDDLE);
            }
            health.out.is_none()
        };
        assert!(with(19, 0), "too few");
        assert!(!with(20, 0));
        assert!(with(100, 1), "never twenty within ten seconds");
    }

    #[test]
    fn it_is_out_for_twice_as_long_each_time_up_to_a_minute() {
        let (mut health, mut now) = (Health::default(), start());
        fail(&mut health, 5, now);
        let mut times = vec![out_for(&health, now).as_secs()];
        for _ in 0..8 {
            now += out_for(&health, now);
            assert!(health.claim_trial(now));
            health.report(Outcome::Failed, true, now, MIDDLE);
            times.push(out_for(&health, now).as_secs());
        }
        assert_eq!(times, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn one_that_answers_and_fails_again_soon_is_out_for_longer() {
        let after = |seconds: u64| {
            let (mut health, now) = (Health::default(), start());
            fail(&mut health, 5, now);
            let back = now + ms(1000);
            assert!(health.claim_trial(back));
            health.report(Outcome::Answered, true, back, MIDDLE);
            assert_eq!(health.standing(back), Standing::In);
            let again = back + Duration::from_secs(seconds);
            fail(&mut health, 5, again);
            out_for(&health, again)
        };
        assert_eq!(after(59), ms(2000));
        assert_eq!(after(60), ms(1000));
    }

    #[test]
    fn there_is_one_trial_at_a_time() {
        let (mut health, now) = (Health::default(), start());
        fail(&mut health, 5, now);
        assert!(!health.claim_trial(now), "not yet");
        let later = now + ms(1000);
        assert_eq!(health.standing(later), Standing::Trial);
        assert!(health.claim_trial(later));
        assert_eq!(health.standing(later), Standing::Out { until: later });
        assert!(!health.claim_trial(later));
        health.give_up_trial();
        assert!(health.claim_trial(later));
    }

    #[test]
    fn what_was_under_way_before_changes_nothing() {
        let (mut health, now) = (Health::default(), start());
        fail(&mut health, 5, now);
        let before = out_for(&health, now);
        fail(&mut health, 20, now + ms(500));
        health.report(Outcome::Answered, false, now + ms(500), MIDDLE);
        assert_eq!(out_for(&health, now), before);
    }

    #[test]
    fn who_stops_rests_for_five_seconds_and_has_not_failed() {
        let (mut health, now) = (Health::default(), start());
        for _ in 0..10 {
            health.report(Outcome::Draining, false, now, MIDDLE);
        }
        assert!(health.is_troubled());
        assert_eq!(health.standing(now + ms(4999)), Standing::Resting);
        assert_eq!(health.standing(now + ms(5000)), Standing::In);
        health.report(Outcome::Answered, false, now + ms(5000), MIDDLE);
        assert!(!health.is_troubled(), "and nobody needs to look any more");
    }

    #[test]
    fn a_trial_that_meets_a_stop_is_none() {
        let (mut health, now) = (Health::default(), start());
        fail(&mut health, 5, now);
        let later = now + ms(1000);
        assert!(health.claim_trial(later));
        health.report(Outcome::Draining, true, later, MIDDLE);
        assert_eq!(health.standing(later), Standing::Resting);
        assert_eq!(health.standing(later + REST), Standing::Trial);
    }

    #[test]
    fn times_are_spread_by_a_quarter() {
        let time = Duration::from_secs(4);
        assert_eq!(spread(time, 0), Duration::from_secs(3));
        assert_eq!(spread(time, MIDDLE), time);
        assert_eq!(spread(time, 500), Duration::from_secs(5));
        assert_eq!(spread(time, 501), Duration::from_secs(3));
    }

    proptest! {
        #[test]
        fn it_always_comes_back(
            steps in proptest::collection::vec((0_u8..4, 0_u64..3000, any::<u64>()), 1..200),
        ) {
            let (mut health, mut now) = (Health::default(), start());
            for (outcome, step, random) in steps {
                now += ms(step);
                let outcome = match outcome {
                    0 => Outcome::Answered,
                    1 => Outcome::Draining,
                    _ => Outcome::Failed,
                };
                let trial = health.claim_trial(now);
                health.report(outcome, trial, now, random);
                if let Standing::Out { until } = health.standing(now) {
                    prop_assert!(until > now && until - now <= LONGEST * 5 / 4);
                }
                let later = now + LONGEST * 2;
                prop_assert!(matches!(health.standing(later), Standing::In | Standing::Trial));
                prop_assert!(health.is_troubled() || health.standing(now) == Standing::In);
            }
        }
    }
}
