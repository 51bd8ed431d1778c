//! Limits, row by row: the wish, what holds and exists, the bounds; then the number and its limit.

use proptest::prelude::*;

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
        (i32::MAX, i32::MAX),
        (0, i32::MAX, Some(9)),
        (i32::MAX, None),
    );
}

#[test]
fn pods_beyond_the_number_are_no_room_for_it() {
    // a rollout has two besides, or two still end
    check(9, (4, 6), (1, 10, Some(0)), (4, Some(Limit::Quota)));
    check(9, (4, 6), (1, 10, Some(3)), (7, Some(Limit::Quota)));
    // the last one still ends while somebody waits for the next
    check(1, (0, 1), (0, 10, Some(0)), (0, Some(Limit::Quota)));
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
    assert_eq!(look(4, 23), kept);
    assert_eq!(look(4, 24), taken);
}

#[test]
fn a_pod_that_the_quota_has_not_counted_yet_makes_no_room() {
    let limits = |headroom| Limits {
        min: 1,
        max: 20,
        headroom: Some(headroom),
    };
    let mut memory = Memory::new(at(0));
    let mut look = |(current, existing), headroom, second| {
        let inputs = Inputs {
            current,
            existing,
            ..Inputs::default()
        };
        limited(20, limits(headroom), &inputs, &mut memory, at(second)).0
    };
    assert_eq!(look((4, 4), 2, 10), 6);
    // both are there, and the quota's numbers are those of before
    assert_eq!(look((6, 6), 2, 11), 6);
    assert_eq!(look((6, 6), 0, 12), 6);
    assert_eq!(look((6, 6), 0, 14), 6);
    assert_eq!(look((6, 6), 3, 15), 9, "at rest it is believed at once");
    assert_eq!(look((9, 6), 3, 16), 9);
    assert_eq!(look((9, 9), 1, 20), 9, "three have just come");
    assert_eq!(look((9, 9), 1, 23), 10);
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

/// How far behind a watch is in each second; it never goes back.
fn behind() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..3, 60)
}

proptest! {
    /// 11: watches that are late make the number neither exceed what there is room for, nor swing.
    #[test]
    fn late_watches_move_nothing(
        start in 0_i32..6,
        room in 6_i32..20,
        raised in 0_i32..10,
        (pods, quotas) in (behind(), behind()),
    ) {
        let mut memory = Memory::new(at(0));
        let mut current = start;
        // pods that there are, and those that the quota has room for besides, second by second
        let mut truth = vec![(start, room - start)];
        let (mut seen, mut counted) = (0, 0);
        let mut numbers = Vec::new();
        for second in 0..60_usize {
            seen = seen.max(second.saturating_sub(pods[second]));
            counted = counted.max(second.saturating_sub(quotas[second]));
            let inputs = Inputs { current, existing: truth[seen].0, ..Inputs::default() };
            let limits = Limits { min: 0, max: 100, headroom: Some(truth[counted].1) };
            let now = at(1000 + u64::try_from(second).unwrap());
            current = limited(100, limits, &inputs, &mut memory, now).0;
            let all = if second < 30 { room } else { room + raised };
            prop_assert!(current <= all, "{current} at {second}: {truth:?}");
            numbers.push(current);
            let made = current.min(all);
            truth.push((made, all - made));
        }
        prop_assert!(numbers.is_sorted(), "{numbers:?}");
        prop_assert_eq!(numbers[29], room);
        prop_assert_eq!(numbers[59], room + raised);
    }
}
