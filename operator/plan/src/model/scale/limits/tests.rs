//! Limits, row by row: the wish, what holds and exists, the bounds; then the number and its limit.

use super::*;

fn at(second: u64) -> Tick {
    Tick::of_second(second)
}

#[track_caller]
fn check(
    wish: i32,
    (current, existing): (i32, i32),
    (min, max, headroom): (i32, i32, Option<i32>),
    expect: (i32, Option<Limit>),
) {
    let inputs = Inputs {
        current,
        existing,
        ..Inputs::default()
    };
    let limits = Limits { min, max, headroom };
    let mut memory = Memory::new(at(0));
    let first = limited(wish, limits, &inputs, &mut memory, at(10));
    assert_eq!(first, expect);
}

#[test]
fn the_bounds_of_the_spec_hold() {
    check(4, (4, 4), (1, 10, None), (4, None));
    check(0, (4, 4), (1, 10, None), (1, None));
    check(12, (4, 4), (1, 10, None), (10, Some(Limit::Max)));
    check(12, (12, 12), (1, 10, None), (10, Some(Limit::Max)));
    check(i32::MAX, (4, 4), (0, 0, None), (0, Some(Limit::Max)));
    check(-3, (0, 0), (0, 10, None), (0, None));
}

#[test]
fn growth_ends_where_the_quota_has_no_room() {
    check(9, (4, 4), (1, 10, Some(5)), (9, None));
    check(9, (4, 4), (1, 10, Some(2)), (6, Some(Limit::Quota)));
    check(12, (4, 4), (1, 10, Some(2)), (6, Some(Limit::Quota)));
    check(12, (4, 4), (1, 10, Some(-2)), (4, Some(Limit::Quota)));
    check(1, (0, 0), (0, 10, Some(0)), (0, Some(Limit::Quota)));
    // even the least that the spec wants
    check(2, (2, 2), (5, 10, Some(1)), (3, Some(Limit::Quota)));
    check(
        i32::MAX,
        (4, i32::MAX),
        (0, i32::MAX, Some(9)),
        (i32::MAX, None),
    );
}

#[test]
fn pods_go_for_the_quota_only_once_it_is_settled() {
    let inputs = Inputs {
        current: 6,
        existing: 4,
        ..Inputs::default()
    };
    let limits = Limits {
        min: 1,
        max: 10,
        headroom: Some(0),
    };
    let mut memory = Memory::new(at(0));
    let mut look = |existing, second| {
        let inputs = Inputs { existing, ..inputs };
        limited(8, limits, &inputs, &mut memory, at(second))
    };
    let (kept, taken) = ((6, Some(Limit::Quota)), (4, Some(Limit::Quota)));
    assert_eq!(look(4, 10), kept);
    assert_eq!(look(4, 12), kept);
    assert_eq!(look(6, 13), kept, "now the pods are seen as well");
    assert_eq!(look(4, 14), kept);
    assert_eq!(look(4, 17), taken);
}

#[test]
fn growth_waits_while_the_last_increase_finds_no_room() {
    let check = |blocked, wish, second, expect| {
        let inputs = Inputs {
            current: 6,
            blocked,
            ..Inputs::default()
        };
        let limits = Limits {
            min: 1,
            max: 10,
            headroom: None,
        };
        let mut memory = Memory::new(at(0));
        memory.changed(4, 6, at(100));
        let found = limited(wish, limits, &inputs, &mut memory, at(second));
        assert_eq!(found, expect);
    };
    let unschedulable = Some(Blocked::Unschedulable);
    check(unschedulable, 9, 110, (6, Some(Limit::Unschedulable)));
    check(Some(Blocked::Refused), 9, 110, (6, Some(Limit::Quota)));
    check(unschedulable, 9, 130, (9, None));
    check(unschedulable, 5, 110, (5, None));
    check(None, 9, 110, (9, None));
}
