//! The rules, row by row: what is seen at the hundredth second, then the rule and the number.

use std::time::Duration;

use super::*;
use crate::model::scale::limits::Limit;
use crate::model::scale::samples::{LIMITS, rules};
use crate::model::scale::tick::Milli;

fn at(second: u64) -> Tick {
    Tick::of_second(second)
}

/// `current` pods, all of them ready, and this much in flight by the window and by the fast one.
fn given(current: i32, slow: u64, fast: u64) -> Inputs {
    Inputs {
        current,
        usable: current,
        existing: current,
        slow: Milli::whole(slow),
        fast: Milli::whole(fast),
        complete: true,
        proven: true,
        ..Inputs::default()
    }
}

#[track_caller]
fn check(inputs: Inputs, expect: (Rule, i32)) {
    let memory = Memory::new(at(0));
    let (_, found) = decide(&rules(), inputs, LIMITS, &memory, at(100));
    assert_eq!((found.rule, found.desired), expect);
}

#[test]
fn a_waiter_wakes_what_sleeps() {
    let waiting = |fast| Inputs {
        waiting: true,
        ..given(0, 0, fast)
    };
    check(waiting(0), (Rule::Waking, 1));
    check(waiting(20), (Rule::Waking, 3));
    check(waiting(2000), (Rule::Waking, 10));
    let silent = Inputs {
        silent: true,
        ..waiting(0)
    };
    check(silent, (Rule::Waking, 1));
}

#[test]
fn what_sleeps_is_woken_by_nothing_else() {
    // idleTimeout may be shorter than the window, which then still shows what was
    check(given(0, 20, 20), (Rule::Asleep, 0));
}

#[test]
fn silence_changes_nothing() {
    let silent = |current| Inputs {
        silent: true,
        idle_ms: 9_000_000,
        ..given(current, 500, 500)
    };
    check(silent(4), (Rule::Silent, 4));
    check(silent(0), (Rule::Asleep, 0));
}

#[test]
fn a_burst_that_fills_all_slots_raises_at_once() {
    check(given(4, 20, 40), (Rule::Hot, 6));
    check(given(4, 20, 39), (Rule::Steady, 4));
    check(given(4, 60, 40), (Rule::Hot, 9));
    check(given(1, 20, 800), (Rule::Hot, 10));
    let starting = Inputs {
        usable: 2,
        ..given(15, 20, 100)
    };
    check(starting, (Rule::Hot, 15));
}

#[test]
fn after_a_burst_nothing_shrinks_for_half_a_minute() {
    let (memory, _) = decide(
        &rules(),
        given(4, 20, 40),
        LIMITS,
        &Memory::new(at(0)),
        at(100),
    );
    let later = |second| decide(&rules(), given(6, 5, 5), LIMITS, &memory, at(second)).1;
    assert_eq!((later(129).rule, later(129).desired), (Rule::Hot, 6));
    assert_eq!((later(130).rule, later(130).desired), (Rule::Shrinking, 3));
}

#[test]
fn nothing_shrinks_before_a_whole_window_was_seen() {
    let new = |slow, fast| Inputs {
        proven: false,
        ..given(4, slow, fast)
    };
    check(new(0, 0), (Rule::Unproven, 4));
    check(new(0, 39), (Rule::Unproven, 6));
    check(new(30, 0), (Rule::Unproven, 5));
    // once seen is enough: a gateway that falls silent later is another rule's
    let mut memory = Memory::new(at(0));
    assert!(memory.proven(true));
    let partial = Inputs {
        complete: false,
        ..new(0, 0)
    };
    let (_, found) = decide(&rules(), partial, LIMITS, &memory, at(100));
    assert_eq!((found.rule, found.desired), (Rule::Steady, 4));
}

#[test]
fn the_window_raises_without_a_burst() {
    check(given(4, 29, 20), (Rule::Growing, 5));
    let starting = Inputs {
        usable: 0,
        ..given(4, 290, 0)
    };
    check(starting, (Rule::Growing, 10));
}

#[test]
fn a_decrease_goes_by_halves_and_leaves_one() {
    check(given(4, 20, 3), (Rule::Steady, 4)); // 20 of 6.3 per replica
    check(given(4, 18, 3), (Rule::Shrinking, 3));
    check(given(4, 3, 18), (Rule::Shrinking, 3));
    check(given(9, 0, 0), (Rule::Shrinking, 5));
    check(given(2, 0, 0), (Rule::Shrinking, 1));
    check(given(1, 0, 0), (Rule::Steady, 1));
    let partial = Inputs {
        complete: false,
        ..given(9, 0, 0)
    };
    check(partial, (Rule::Steady, 9));
}

#[test]
fn decreases_are_fifteen_seconds_apart() {
    let (memory, first) = decide(
        &rules(),
        given(9, 0, 0),
        LIMITS,
        &Memory::new(at(0)),
        at(100),
    );
    assert_eq!(first.desired, 5);
    let later = |second| decide(&rules(), given(5, 0, 0), LIMITS, &memory, at(second)).1;
    assert_eq!((later(114).rule, later(114).desired), (Rule::Steady, 5));
    assert_eq!((later(115).rule, later(115).desired), (Rule::Shrinking, 3));
}

#[test]
fn to_zero_it_goes_only_after_the_idle_timeout() {
    let idle = |idle_ms| Inputs {
        idle_ms,
        ..given(4, 0, 0)
    };
    check(idle(299_999), (Rule::Shrinking, 2));
    check(idle(300_000), (Rule::Idle, 0));
    let waiting = Inputs {
        waiting: true,
        ..idle(300_000)
    };
    check(waiting, (Rule::Shrinking, 2));
    let partial = Inputs {
        complete: false,
        ..idle(300_000)
    };
    check(partial, (Rule::Steady, 4));
    let limits = Limits { min: 1, ..LIMITS };
    let memory = Memory::new(at(0));
    let (_, found) = decide(&rules(), idle(300_000), limits, &memory, at(100));
    assert_eq!((found.rule, found.desired), (Rule::Shrinking, 2));
}

#[test]
fn a_delay_holds_back_decreases_even_to_zero() {
    let rules = Rules {
        scale_down_delay: Duration::from_secs(60),
        ..rules()
    };
    let (memory, first) = decide(
        &rules,
        given(4, 28, 28),
        LIMITS,
        &Memory::new(at(0)),
        at(100),
    );
    assert_eq!(first.desired, 4);
    let idle = Inputs {
        idle_ms: 300_000,
        ..given(4, 0, 0)
    };
    let (memory, held) = decide(&rules, idle, LIMITS, &memory, at(159));
    assert_eq!((held.rule, held.wish, held.desired), (Rule::Idle, 0, 4));
    let (_, gone) = decide(&rules, idle, LIMITS, &memory, at(160));
    assert_eq!(gone.desired, 0);
}

#[test]
fn limits_come_last() {
    let limits = Limits {
        min: 2,
        max: 5,
        headroom: None,
    };
    let check = |inputs, expect| {
        let memory = Memory::new(at(0));
        let (_, found) = decide(&rules(), inputs, limits, &memory, at(100));
        assert_eq!((found.wish, found.desired, found.limited_by), expect);
    };
    check(given(4, 20, 48), (7, 5, Some(Limit::Max)));
    check(given(2, 0, 0), (1, 2, None));
    check(given(0, 0, 0), (0, 2, None));
}

#[test]
fn the_same_is_decided_from_the_same() {
    let memory = Memory::new(at(0));
    let decided = || decide(&rules(), given(4, 20, 40), LIMITS, &memory, at(100));
    assert_eq!(decided(), decided());
}
