//! What each signal wants, row by row.

use super::*;
use crate::model::scale::samples::rules;
use crate::model::scale::tuning::Tuning;

fn loaded(slow: u64, fast: u64) -> Inputs {
    Inputs {
        current: 4,
        usable: 4,
        slow: Milli(slow),
        fast: Milli(fast),
        ..Inputs::default()
    }
}

fn wishes(rules: &Rules, inputs: &Inputs) -> [i32; 3] {
    let memory = Memory::new(Tick::of_second(0));
    let wanted = wanted(rules, inputs, &memory, Tick::of_second(100));
    [wanted.up, wanted.burst, wanted.down].map(|want| want.replicas)
}

#[test]
fn requests_in_flight_want_a_replica_per_target() {
    let check = |slow, fast, expect| assert_eq!(wishes(&rules(), &loaded(slow, fast)), expect);
    check(0, 0, [0, 0, 0]);
    check(28_000, 28_000, [4, 4, 5]);
    check(28_001, 48_200, [5, 7, 8]);
    check(25_200, 20_000, [4, 3, 4]); // at 6.30 per replica
    check(u64::MAX, u64::MAX, [i32::MAX; 3]);
}

#[test]
fn a_rate_counts_beside_requests_in_flight() {
    let rules = Rules {
        rate: Some(50),
        ..rules()
    };
    let check = |slow_rate, fast_rate, expect| {
        let inputs = Inputs {
            slow_rate: Milli::whole(slow_rate),
            fast_rate: Milli::whole(fast_rate),
            ..loaded(20_000, 20_000)
        };
        assert_eq!(wishes(&rules, &inputs), expect);
    };
    check(100, 100, [3, 3, 4]);
    check(200, 251, [4, 6, 6]);
    check(201, 100, [5, 3, 5]);
}

#[test]
fn a_target_of_zero_counts_as_one() {
    let rules = Rules {
        in_flight: 0,
        rate: Some(0),
        max_concurrency: 0,
        ..rules()
    };
    assert_eq!(wishes(&rules, &loaded(2_500, 0)), [3, 0, 3]);
    assert_eq!(rules.slots(), Milli(1000));
}

/// Four pods, 20 in flight (3 wanted, 4 to spare); p95 in milliseconds against 200.
#[track_caller]
fn check_latency(answers: u64, p95_ms: u64, expect: [i32; 3]) {
    let rules = Rules {
        latency: Some(Duration::from_millis(200)),
        ..rules()
    };
    let inputs = Inputs {
        answers,
        p95_us: p95_ms * 1000,
        current: 5,
        usable: 5,
        ..loaded(20_000, 20_000)
    };
    assert_eq!(wishes(&rules, &inputs), expect);
}

#[test]
fn a_latency_above_its_target_wants_more_and_one_near_it_no_fewer() {
    check_latency(19, 900, [3, 3, 4]);
    check_latency(20, 100, [3, 3, 4]);
    check_latency(20, 184, [3, 3, 4]);
    check_latency(20, 185, [3, 3, 5]);
    check_latency(20, 204, [3, 3, 5]); // 200 ms is told apart as 204.8
    check_latency(20, 245, [6, 3, 5]);
    check_latency(20, 400, [10, 3, 5]);
    check_latency(20, 9_000, [10, 3, 5]);
}

#[test]
fn a_latency_wants_more_only_once_the_last_increase_shows() {
    let rules = Rules {
        latency: Some(Duration::from_millis(200)),
        ..rules()
    };
    let check = |usable, second, expect| {
        let inputs = Inputs {
            answers: 100,
            p95_us: 400_000,
            usable,
            ..loaded(0, 0)
        };
        let mut memory = Memory::new(Tick::of_second(0));
        memory.changed(3, 4, Tick::of_second(100));
        let wanted = wanted(&rules, &inputs, &memory, Tick::of_second(second));
        assert_eq!((wanted.up.replicas, wanted.down.replicas), expect);
    };
    check(4, 110, (8, 4));
    check(4, 109, (0, 4));
    check(3, 130, (0, 4));
}

#[test]
fn pods_that_are_not_ready_justify_at_most_ten() {
    let check = |usable, current, expect| {
        let inputs = Inputs {
            usable,
            current,
            ..loaded(0, 0)
        };
        assert_eq!(most(&rules(), &inputs), expect);
    };
    check(0, 1, 10);
    check(3, 4, 30);
    check(1, 40, 40);
    check(i32::MAX, 0, i32::MAX);
}

#[test]
fn a_burst_alarms_when_all_slots_are_taken_and_more_pods_would_help() {
    let check = |tuning, fast, burst, expect| {
        let rules = Rules { tuning, ..rules() };
        assert_eq!(alarming(&rules, &loaded(0, fast), burst), expect);
    };
    check(Tuning::AIMASS, 40_000, 6, true);
    check(Tuning::AIMASS, 39_999, 6, false);
    check(Tuning::AIMASS, 40_000, 4, false);
    check(Tuning::KNATIVE, 0, 8, true);
    check(Tuning::KNATIVE, 80_000, 7, false);
}
