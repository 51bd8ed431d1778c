//! The algorithm with Knative's constants, held against the published cases of Knative's own tests.
//!
//! Source: knative/serving, `pkg/autoscaler/scaling/autoscaler_test.go`; the names of the tests here
//! are those of the cases. Both windows' means are given, as they are there; a target of 10 per
//! replica, at most ten times the ready pods, at least a tenth, unless a case says otherwise.
//!
//! Three kinds of cases cannot be expressed. **Zero**: there it follows from a mean of zero, here
//! only from `idleTimeout`; where a case has 0, a row here has 1. **Small steps down**: there a step
//! is a share of the ready pods rounded down, here of the current number rounded up; the one case in
//! which that differs needs one tick more. **Others**: burst capacity of the activator, revisions
//! that are not reachable, activation scale and missing pod counts have no counterpart.

use std::time::Duration;

use super::*;
use crate::model::scale::tick::Milli;
use crate::model::scale::tuning::Tuning;

/// One autoscaler of a case.
struct Autoscaler {
    rules: Rules,
    memory: Memory,
    current: i32,
    ready: i32,
}

impl Autoscaler {
    fn new(target: u32, ready: i32) -> Self {
        let tuning = Tuning {
            growth_percent: 1000,
            keep_percent: 10,
            ..Tuning::KNATIVE
        };
        Self {
            rules: Rules {
                in_flight: target,
                rate: None,
                latency: None,
                max_concurrency: target,
                window: Duration::from_secs(60),
                scale_down_delay: Duration::ZERO,
                idle_timeout: Duration::MAX,
                tuning,
            },
            memory: Memory::new(Tick::of_second(0)),
            current: ready.max(1),
            ready,
        }
    }

    /// Decides with the means of both windows, in thousandths.
    #[track_caller]
    fn expect(&mut self, at: u64, means: (u64, u64), expect: i32) {
        let load = Inputs {
            slow: Milli(means.0),
            fast: Milli(means.1),
            ..Inputs::default()
        };
        self.expect_of(at, load, expect);
    }

    #[track_caller]
    fn expect_of(&mut self, at: u64, load: Inputs, expect: i32) {
        let inputs = Inputs {
            current: self.current,
            usable: self.ready,
            complete: true,
            proven: true,
            ..load
        };
        let limits = Limits {
            min: 0,
            max: i32::MAX,
            headroom: None,
        };
        // a case may begin at 0, but an autoscaler is older
        let now = Tick::of_second(1000 + at);
        let (memory, found) = decide(&self.rules, inputs, limits, &self.memory, now);
        assert_eq!(found.desired, expect, "{found}");
        self.memory = memory;
        self.current = found.desired;
    }
}

/// A single decision.
#[track_caller]
fn check(target: u32, ready: i32, means: (u64, u64), expect: i32) {
    Autoscaler::new(target, ready).expect(0, means, expect);
}

#[test]
fn stable_mode_increase_with_concurrency_default() {
    let mut autoscaler = Autoscaler::new(10, 1);
    autoscaler.expect(0, (50_000, 10_000), 5);
    autoscaler.expect(0, (100_000, 10_000), 10);
}

#[test]
fn stable_mode_increase_with_rps() {
    let mut autoscaler = Autoscaler::new(10, 1);
    autoscaler.rules.rate = Some(10);
    let rate = |slow, fast| Inputs {
        slow_rate: Milli::whole(slow),
        fast_rate: Milli::whole(fast),
        ..Inputs::default()
    };
    autoscaler.expect_of(0, rate(50, 50), 5);
    autoscaler.expect_of(0, rate(100, 99), 10);
}

#[test]
fn unpanic_after_slow_increase() {
    let mut autoscaler = Autoscaler::new(1, 10);
    autoscaler.expect(0, (11_000, 25_000), 25);
    autoscaler.ready = 40;
    autoscaler.expect(30, (30_000, 41_000), 41);
    autoscaler.ready = 55;
    autoscaler.expect(62, (50_000, 56_000), 50);
}

#[test]
fn extend_panic_window() {
    let mut autoscaler = Autoscaler::new(1, 10);
    autoscaler.expect(0, (11_000, 25_000), 25);
    autoscaler.ready = 40;
    autoscaler.expect(30, (30_000, 80_000), 80);
    // the panic has been prolonged: at 62 it would be over otherwise
    autoscaler.ready = 80;
    autoscaler.expect(62, (1_000, 1_000), 80);
}

#[test]
fn stable_mode_decrease() {
    let mut autoscaler = Autoscaler::new(10, 8);
    autoscaler.expect(0, (100_000, 100_000), 10);
    autoscaler.expect(0, (50_000, 50_000), 5);
}

#[test]
fn panic_mode_exponential_track_and_stabilize() {
    let mut autoscaler = Autoscaler::new(1, 1);
    autoscaler.expect(0, (6_000, 6_000), 6);
    for (at, ready, load) in [(0, 6, 36), (1, 36, 216), (1, 216, 1296), (2, 1296, 1296)] {
        autoscaler.ready = ready;
        autoscaler.expect(at, (load * 1000, load * 1000), i32::try_from(load).unwrap());
    }
}

#[test]
fn the_table_of_single_decisions() {
    check(181, 1, (21_000, 26_000), 1); // StableModeUnlimitedTBC
    check(10, 1, (50_000, 49_000), 5); // 0TBC
    check(10, 1, (50_000, 50_000), 5); // StableModeNoChange
    check(10, 5, (50_000, 50_000), 5); // StableModeNoChangeAlreadyScaled
    check(10, 1, (50_000, 100_000), 10); // PanicModeDoublePodCount
}

#[test]
fn panic_stable_larger_and_less_than_panic() {
    let mut panicking = Autoscaler::new(1, 5);
    panicking
        .memory
        .held(true, Duration::from_secs(60), Tick::of_second(995));
    panicking.expect(0, (50_000, 30_000), 50);
    let mut panicking = Autoscaler::new(1, 5);
    panicking
        .memory
        .held(true, Duration::from_secs(60), Tick::of_second(995));
    panicking.expect(0, (20_000, 30_000), 30);
}

#[test]
fn stable_mode_increase_with_small_scale_up_rate() {
    let mut autoscaler = Autoscaler::new(1, 2);
    autoscaler.rules.tuning.growth_percent = 110;
    autoscaler.expect(0, (3_000, 3_100), 3);
}

#[test]
fn stable_mode_decrease_with_small_scale_down_rate() {
    let mut autoscaler = Autoscaler::new(10, 100);
    autoscaler.rules.tuning.keep_percent = 90;
    autoscaler.expect(0, (1_000, 1_000), 90);
}

#[test]
fn panic_then_unpanic_scale_down() {
    let mut autoscaler = Autoscaler::new(10, 1);
    autoscaler.expect(0, (100_000, 100_000), 10);
    autoscaler.ready = 10;
    autoscaler.expect(0, (100_000, 1_000_000), 100);
    autoscaler.expect(30, (1_000, 1_000), 100);
    // the case has 1 at once: a tenth of the ten that are ready
    autoscaler.expect(61, (1_000, 1_000), 10);
    autoscaler.expect(63, (1_000, 1_000), 1);
}

#[test]
fn rate_limit_scale_up() {
    let mut autoscaler = Autoscaler::new(10, 1);
    autoscaler.expect(0, (1_000_000, 1_001_000), 10);
    autoscaler.ready = 10;
    autoscaler.expect(0, (1_000_000, 1_001_000), 100);
}

#[test]
fn rate_limit_scale_down() {
    let mut autoscaler = Autoscaler::new(10, 100);
    autoscaler.expect(0, (1_000, 1_000), 10);
    autoscaler.ready = 10;
    autoscaler.expect(0, (1_000, 1_000), 1);
}

#[test]
fn use_one_pod_as_minimum_if_endpoints_not_found() {
    check(10, 0, (1_000_000, 888_000), 10);
}

#[test]
fn update_target() {
    let mut autoscaler = Autoscaler::new(10, 1);
    autoscaler.expect(0, (100_000, 101_000), 10);
    autoscaler.ready = 10;
    autoscaler.rules.in_flight = 1;
    autoscaler.expect(0, (100_000, 101_000), 100);
}

#[test]
fn scale_down_delay() {
    let delayed = || {
        let mut autoscaler = Autoscaler::new(10, 0);
        autoscaler.rules.scale_down_delay = Duration::from_secs(300);
        autoscaler.rules.tuning.alarm = crate::model::scale::tuning::Alarm::Wanted {
            percent: 10_000, // "PanicThreshold: 100"
        };
        autoscaler
    };
    let mut simple = delayed();
    simple.expect(2, (40_000, 40_000), 4);
    simple.expect(300, (0, 0), 4);
    simple.expect(302, (0, 0), 1);

    let mut gradual = delayed();
    gradual.expect(540, (40_000, 40_000), 4);
    gradual.expect(600, (30_000, 30_000), 4);
    gradual.expect(660, (0, 0), 4);
    gradual.expect(840, (0, 0), 3);
    gradual.expect(900, (0, 0), 1);
}

#[test]
fn scale_down_delay_zero() {
    let mut autoscaler = Autoscaler::new(10, 1);
    autoscaler.rules.tuning.alarm = crate::model::scale::tuning::Alarm::Wanted { percent: 10_000 };
    autoscaler.expect(0, (40_000, 40_000), 4);
    autoscaler.expect(1, (20_000, 20_000), 2);
}
