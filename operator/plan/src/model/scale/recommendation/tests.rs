//! Sentences, as people read them.

use std::time::Duration;

use super::*;
use crate::model::scale::decide::decide;
use crate::model::scale::memory::Memory;
use crate::model::scale::samples::{LIMITS, rules};
use crate::model::scale::tick::{Milli, Tick};
use crate::model::scale::tuning::Rules;

fn given(current: i32, slow: u64, fast: u64) -> Inputs {
    Inputs {
        current,
        usable: current,
        existing: current,
        slow: Milli(slow),
        fast: Milli(fast),
        complete: true,
        proven: true,
        ..Inputs::default()
    }
}

#[track_caller]
fn check_with(rules: &Rules, inputs: Inputs, limits: Limits, expect: &str) {
    let memory = Memory::new(Tick::of_second(0));
    let (_, found) = decide(rules, inputs, limits, &memory, Tick::of_second(100));
    assert_eq!(found.to_string(), expect);
}

#[track_caller]
fn check(inputs: Inputs, expect: &str) {
    check_with(&rules(), inputs, LIMITS, expect);
}

#[test]
fn growth_names_the_signal_and_the_target() {
    check(
        given(4, 20_000, 48_200),
        "4 → 7: burst 48.20 in flight wants 7 at 7 per replica; ready 4",
    );
    check(
        given(4, 30_100, 28_000),
        "4 → 5: 30.10 in flight wants 5 at 7 per replica; ready 4",
    );
    check(
        given(1, 20_000, 480_000),
        "1 → 10: burst 480 in flight wants 69 at 7 per replica; ready 1, so at most 10",
    );
    let rate = Rules {
        rate: Some(50),
        ..rules()
    };
    let inputs = Inputs {
        slow_rate: Milli(300_500),
        ..given(4, 0, 0)
    };
    let expect = "4 → 7: 300.50 requests/s wants 7 at 50 per replica; ready 4";
    check_with(&rate, inputs, LIMITS, expect);
    let latency = Rules {
        latency: Some(Duration::from_millis(200)),
        ..rules()
    };
    let inputs = Inputs {
        answers: 100,
        p95_us: 243_550,
        ..given(4, 0, 0)
    };
    let expect = "4 → 5: p95 243.55 ms of at most 204.80 ms wants 5; ready 4";
    check_with(&latency, inputs, LIMITS, expect);
}

#[test]
fn a_decrease_names_what_is_left() {
    check(
        given(7, 20_100, 9_000),
        "7 → 4: 20.10 in flight wants 4 at 6.30 per replica; ready 7",
    );
    check(
        given(9, 100, 0),
        "9 → 5: 0.10 in flight wants 1 at 6.30 per replica, in steps; ready 9",
    );
    let idle = Inputs {
        idle_ms: 300_400,
        ..given(1, 0, 0)
    };
    check(idle, "1 → 0: no request for 300 s");
}

#[test]
fn no_change_says_why() {
    check(
        given(4, 27_000, 26_000),
        "4: 27 in flight wants 4 at 7 per replica; ready 4",
    );
    let silent = Inputs {
        silent: true,
        ..given(4, 0, 0)
    };
    check(silent, "4: no gateway reports, so nothing changes");
    let unproven = Inputs {
        proven: false,
        ..given(4, 0, 0)
    };
    check(unproven, "4: too little was seen yet; ready 4");
    let hot = Inputs {
        usable: 2,
        ..given(4, 20_000, 21_000)
    };
    check(hot, "4: all slots were full a moment ago; ready 2");
    check(given(0, 0, 0), "0: nobody waits");
}

#[test]
fn waking_says_who_waits() {
    let waiting = |fast| Inputs {
        waiting: true,
        ..given(0, 0, fast)
    };
    check(waiting(500), "0 → 1: a request waits");
    check(
        waiting(20_000),
        "0 → 3: requests wait, burst 20 in flight wants 3 at 7 per replica; ready 0",
    );
}

#[test]
fn a_limit_is_named_last() {
    let limits = |min, max, headroom| Limits { min, max, headroom };
    let burst = given(4, 20_000, 48_200);
    let wants = "burst 48.20 in flight wants 7 at 7 per replica; ready 4";
    let check = |limits, expect: String| check_with(&rules(), burst, limits, &expect);
    check(limits(0, 5, None), format!("4 → 5: {wants}; max 5"));
    check(limits(8, 9, None), format!("4 → 8: {wants}; min 8"));
    check(
        limits(0, 9, Some(1)),
        format!("4 → 5: {wants}; the quota has room for 5"),
    );
    let delayed = Rules {
        scale_down_delay: Duration::from_secs(60),
        ..rules()
    };
    check_with(
        &delayed,
        given(7, 20_100, 9_000),
        LIMITS,
        "7: 20.10 in flight wants 4 at 6.30 per replica; ready 7; 7 during scaleDownDelay",
    );
}
