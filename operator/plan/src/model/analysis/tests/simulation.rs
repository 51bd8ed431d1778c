//! How the verdict fares in the long run: how seldom it is wrong, and how soon it is right.
//!
//! Requests come from a seeded generator. With 30,000 runs of each case, at most 9 of 10,000 equal
//! revisions failed. How soon worse ones fail is expected with a third of room above the design's
//! figures.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive numbers far below the types' bounds"
)]

use super::*;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Between 0 and 1, neither of them.
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// How many of `tries` come true, each with this probability: from hit to hit.
    fn hits(&mut self, tries: u64, share: f64) -> u64 {
        let gap = (1.0 - share).ln();
        (0..)
            .scan(0, |at, hit| {
                *at += 1 + (self.share().ln() / gap) as u64;
                (*at <= tries).then_some(hit + 1)
            })
            .last()
            .unwrap_or(0)
    }

    /// Arrivals of a Poisson process.
    fn arrivals(&mut self, mean: u32) -> u64 {
        let mut time = 0.0;
        (0..)
            .take_while(|_| {
                time -= self.share().ln();
                time < f64::from(mean)
            })
            .map(|_: u64| 1)
            .sum()
    }
}

/// How a revision answers.
#[derive(Clone, Copy)]
enum Service {
    /// With this share of errors.
    Failing(f64),
    /// With this share of answers that are slower than all the others.
    Slow(f64),
    /// As the stable revision of [`Service::Slow`]: latencies spread evenly over some buckets.
    Even,
}

/// The slowest bucket of even latencies.
const SLOWEST: usize = 58;

impl Service {
    fn answer(self, counts: &mut Counts, requests: u64, random: &mut Random) {
        let (errors, slow) = match self {
            Self::Failing(share) => (random.hits(requests, share), requests),
            Self::Slow(share) => (0, random.hits(requests, share)),
            Self::Even => (0, 0),
        };
        counts.failed += errors;
        counts.ok += requests - errors;
        counts.latency.add(SLOWEST + 8, slow);
        for _ in slow..requests {
            let bucket = 20 + usize::try_from(random.below(39)).unwrap();
            counts.latency.add(bucket.min(SLOWEST), 1);
        }
    }
}

/// One step of a rollout: requests arrive at random, nine in ten on the stable revision.
struct Step {
    random: Random,
    new: Service,
    stable: Option<Service>,
    counts: Compared,
    last: Vec<CheckResult>,
}

impl Step {
    fn new(seed: u64, new: Service, stable: Option<Service>) -> Self {
        Self {
            random: Random(seed),
            new,
            stable,
            counts: Compared {
                stable: stable.map(|_| Counts::default()),
                ..Compared::default()
            },
            last: Vec::new(),
        }
    }

    /// About so many more requests on the new revision, and nine times as many on the stable one.
    fn requests(&mut self, about: u32) {
        let random = &mut self.random;
        let arrived = random.arrivals(about);
        self.new.answer(&mut self.counts.new, arrived, random);
        if let (Some(stable), Some(counts)) = (self.stable, &mut self.counts.stable) {
            stable.answer(counts, 9 * u64::from(about), random);
        }
    }

    fn fails(&mut self, checks: &Checks) -> bool {
        let judged = judge(checks, &self.counts, &self.last);
        self.last = judged.checks;
        matches!(judged.verdict, Verdict::Fail(_))
    }
}

/// How many of five hundred revisions fail within 60 intervals. One of a thousand may; two of these
/// leave room for chance.
#[track_caller]
fn check_false_alarms(checks: &Checks, new: Service, stable: Option<Service>, about: u32) {
    let failed = (0..RUNS).filter(|seed| {
        let mut step = Step::new(*seed, new, stable);
        (0..60).any(|_| {
            step.requests(about);
            step.fails(checks)
        })
    });
    let failed = failed.count();
    assert!(failed <= 2, "{failed} of {RUNS} failed");
}

const RUNS: u64 = 500;
/// Looks after which a worse revision counts as never seen.
const LONGEST: u64 = 1000;

/// Median and 95th percentile of requests on the new revision until it fails, at most.
#[track_caller]
fn check_requests(checks: &Checks, new: Service, stable: Service, at_most: [u64; 2]) {
    let seen = quantiles(|seed| {
        let mut step = Step::new(seed, new, Some(stable));
        let failed = (0..LONGEST).any(|_| {
            step.requests(20);
            step.fails(checks)
        });
        assert!(failed, "never");
        step.counts.new.errors().answers
    });
    assert!(seen[0] <= at_most[0] && seen[1] <= at_most[1], "{seen:?}");
}

/// Median and 95th percentile of seconds until it fails, at 20 requests a second on it, at most.
#[track_caller]
fn check_seconds(checks: &Checks, new: Service, stable: Service, at_most: [u64; 2]) {
    let seen = quantiles(|seed| {
        let mut step = Step::new(seed, new, Some(stable));
        let failed = (1..=LONGEST).find(|second| {
            step.requests(20);
            let is_interval = second % 30 == 0;
            alarm(checks, &step.counts).is_some() || is_interval && step.fails(checks)
        });
        failed.expect("it fails")
    });
    assert!(seen[0] <= at_most[0] && seen[1] <= at_most[1], "{seen:?}");
}

/// Of a hundred runs.
fn quantiles(run: impl Fn(u64) -> u64) -> [u64; 2] {
    let mut values: Vec<u64> = (0..100).map(run).collect();
    values.sort_unstable();
    [values[50], values[95]]
}

/// A limit at the slowest of even latencies.
fn limit() -> Duration {
    let nanoseconds = counts::bound(SLOWEST) / 1000;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap())
}

const HEALTHY: Service = Service::Failing(0.001);

#[test]
fn equal_revisions_hardly_ever_fail_by_an_increase_of_errors() {
    let equal = Service::Failing(0.01);
    check_false_alarms(&errors(None, Some(100)), equal, Some(equal), 20);
    let equal = Service::Failing(0.05);
    check_false_alarms(&errors(None, Some(0)), equal, Some(equal), 20);
}

#[test]
fn revisions_just_at_a_limit_of_errors_hardly_ever_fail() {
    let at = Service::Failing(0.01);
    check_false_alarms(&errors(Some(100), None), at, Some(at), 20);
    check_false_alarms(&errors(Some(100), None), at, None, 20);
}

/// Two requests per interval: nearly every interval looks at what the one before has seen.
#[test]
fn equal_revisions_hardly_ever_fail_with_few_requests_either() {
    let equal = Service::Failing(0.2);
    check_false_alarms(&errors(None, Some(0)), equal, Some(equal), 2);
    let equal = Service::Even;
    check_false_alarms(&latency(None, Some(0)), equal, Some(equal), 2);
}

#[test]
fn equal_revisions_hardly_ever_fail_by_an_increase_of_latency() {
    check_false_alarms(
        &latency(None, Some(0)),
        Service::Even,
        Some(Service::Even),
        20,
    );
}

#[test]
fn revisions_just_at_a_limit_of_latency_hardly_ever_fail() {
    let at = Service::Slow(0.05);
    check_false_alarms(&latency(Some(limit()), None), at, Some(at), 20);
}

/// The design's medians and 95th percentiles: 20 / 27, 66 / 115, 112 / 217, 310 / 616.
#[test]
fn worse_error_rates_fail_within_few_requests() {
    let checks = Checks::default();
    let check = |share, at_most| {
        check_requests(&checks, Service::Failing(share), HEALTHY, at_most);
    };
    check(0.999_999, [25, 35]);
    check(0.1, [85, 150]);
    check(0.05, [145, 280]);
    check(0.02, [400, 850]);
}

/// The design's medians: 5, 10 and 29 seconds.
#[test]
fn at_many_requests_worse_error_rates_fail_within_seconds() {
    let checks = Checks::default();
    let check = |share, at_most| {
        check_seconds(&checks, Service::Failing(share), HEALTHY, at_most);
    };
    check(0.999_999, [1, 2]);
    check(0.1, [7, 12]);
    check(0.05, [13, 24]);
    check(0.02, [38, 75]);
}

/// The design's medians and 95th percentiles: 66 / 119 for a quarter, 509 / 966 for a tenth.
#[test]
fn slower_answers_fail_within_few_requests() {
    let by_stable = latency(None, Some(0));
    let by_limit = latency(Some(limit()), None);
    for checks in [by_stable, by_limit] {
        let check = |share, at_most| {
            check_requests(&checks, Service::Slow(share), Service::Even, at_most);
        };
        check(0.25, [85, 155]);
        check(0.1, [650, 1200]);
    }
}
