//! Memory: what delays a decrease, and for how long.

use super::*;

fn at(second: u64) -> Tick {
    Tick::of_second(second)
}

#[test]
fn a_decrease_waits_until_no_larger_wish_is_within_the_delay() {
    let delay = Duration::from_secs(60);
    let mut memory = Memory::new(at(0));
    let mut check = |second, wish, current, expect| {
        let found = memory.delayed(wish, current, delay, at(second));
        assert_eq!(found, expect, "at {second}");
    };
    check(0, 4, 4, 4);
    check(10, 3, 4, 4);
    check(20, 1, 4, 4);
    check(59, 2, 4, 4);
    check(60, 1, 4, 3);
    check(70, 1, 3, 2);
    check(118, 1, 2, 2);
    check(119, 1, 2, 1);
    check(120, 9, 1, 9);
}

#[test]
fn a_new_memory_takes_what_holds_for_the_last_wish() {
    let mut memory = Memory::new(at(0));
    let delay = Duration::from_secs(60);
    assert_eq!(memory.delayed(1, 5, delay, at(0)), 5);
    assert_eq!(memory.delayed(1, 5, delay, at(60)), 1);
}

#[test]
fn a_delay_never_raises() {
    let mut memory = Memory::new(at(0));
    let delay = Duration::from_secs(60);
    memory.delayed(50, 6, delay, at(0)); // the quota allowed six
    assert_eq!(memory.delayed(3, 6, delay, at(10)), 6);
}

#[test]
fn without_a_delay_nothing_is_remembered() {
    let mut memory = Memory::new(at(0));
    memory.delayed(9, 9, Duration::from_secs(60), at(0));
    assert_eq!(memory.delayed(2, 9, Duration::ZERO, at(1)), 2);
    assert!(memory.wishes.0.is_empty());
}

#[test]
fn wishes_are_bounded() {
    let mut memory = Memory::new(at(0));
    let delay = Duration::from_secs(3600);
    for second in 0..3000 {
        let wish = 5000 - i32::try_from(second).unwrap();
        assert_eq!(memory.delayed(wish, 5000, delay, at(second)), 5000);
    }
    assert_eq!(memory.wishes.0.len(), MOST);
}

#[test]
fn a_hold_is_prolonged_by_each_alarm() {
    let mut memory = Memory::new(at(0));
    let hold = Duration::from_secs(30);
    let mut check = |second, alarm, expect| {
        assert_eq!(memory.held(alarm, hold, at(second)), expect, "at {second}");
    };
    check(0, false, false);
    check(10, true, true);
    check(20, true, true);
    check(49, false, true);
    check(50, false, false);
}
