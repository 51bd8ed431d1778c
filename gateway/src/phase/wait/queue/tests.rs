//! Callers that come, are served, and leave.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Names = Queue<&'static str, &'static str>;

const CAPS: Caps = Caps {
    requests: 4,
    bytes: 1000,
};

fn offer(queue: &mut Names, item: &'static str) -> Offered<&'static str> {
    let (caller, _) = item.split_once('-').unwrap();
    queue.offer(CAPS, caller, 10, item)
}

/// A queue of these, each `caller-number`.
fn queue_of(items: &[&'static str]) -> Names {
    let mut queue = Names::default();
    for (number, item) in (0..).zip(items) {
        assert_eq!(offer(&mut queue, item), Offered::Queued(number));
    }
    queue
}

fn order(mut queue: Names) -> Vec<&'static str> {
    std::iter::from_fn(|| queue.next()).collect()
}

#[test]
fn callers_take_turns_and_each_ones_requests_keep_their_order() {
    let queue = queue_of(&["ana-1", "ana-2", "ana-3", "bob-1"]);
    assert_eq!(order(queue), ["ana-1", "bob-1", "ana-2", "ana-3"]);
}

#[test]
fn whoever_had_a_turn_comes_after_those_that_came_meanwhile() {
    let mut queue = queue_of(&["ana-1", "ana-2", "bob-1"]);
    assert_eq!(queue.next(), Some("ana-1"));
    offer(&mut queue, "eve-1");
    assert_eq!(order(queue), ["bob-1", "ana-2", "eve-1"]);
}

#[test]
fn who_leaves_gives_its_place_back_at_once() {
    let mut queue = queue_of(&["ana-1", "ana-2", "bob-1", "bob-2"]);
    assert_eq!(queue.leave(&"ana", 0), Some("ana-1"));
    assert_eq!(queue.leave(&"ana", 0), None, "it has left");
    assert_eq!(queue.leave(&"bob", 0), None, "that was another one's");
    assert_eq!(offer(&mut queue, "eve-1"), Offered::Queued(4));
    assert_eq!(queue.leave(&"ana", 1), Some("ana-2"));
    assert_eq!(order(queue), ["bob-1", "eve-1", "bob-2"]);
}

#[test]
fn when_it_is_full_the_one_with_most_loses_its_newest() {
    let mut queue = queue_of(&["ana-1", "ana-2", "ana-3", "bob-1"]);
    assert_eq!(offer(&mut queue, "eve-1"), Offered::Instead(4, "ana-3"));
    assert_eq!(order(queue), ["ana-1", "bob-1", "eve-1", "ana-2"]);
}

#[test]
fn among_equals_who_comes_last_is_refused() {
    let mut queue = queue_of(&["ana-1", "ana-2", "bob-1", "bob-2"]);
    assert_eq!(offer(&mut queue, "ana-3"), Offered::Full("ana-3"));
    assert_eq!(offer(&mut queue, "bob-3"), Offered::Full("bob-3"));
    // Of two with as many, the one whose newest is newer.
    assert_eq!(offer(&mut queue, "eve-1"), Offered::Instead(4, "bob-2"));
    assert_eq!(offer(&mut queue, "eve-2"), Offered::Full("eve-2"));
    let mut queue = queue_of(&["ana-1", "bob-1", "eve-1", "joe-1"]);
    assert_eq!(offer(&mut queue, "kim-1"), Offered::Full("kim-1"));
}

#[test]
fn bytes_have_a_bound_too() {
    let mut queue = Names::default();
    let mut offer = |caller, bytes, item| queue.offer(CAPS, caller, bytes, item);
    assert_eq!(offer("ana", 1001, "a"), Offered::Full("a"));
    assert_eq!(offer("ana", 600, "b"), Offered::Queued(0));
    assert_eq!(offer("ana", 400, "c"), Offered::Queued(1));
    assert_eq!(offer("bob", 401, "d"), Offered::Full("d"), "c is smaller");
    assert_eq!(offer("bob", 400, "e"), Offered::Instead(2, "c"));
    assert_eq!(queue.leave(&"ana", 0), Some("b"));
    let mut offer = |caller, bytes, item| queue.offer(CAPS, caller, bytes, item);
    assert_eq!(offer("bob", 601, "f"), Offered::Full("f"));
    assert_eq!(offer("bob", 600, "g"), Offered::Queued(3));
}

#[test]
fn nobody_waits_where_nobody_may() {
    let none = Caps {
        requests: 0,
        bytes: 1000,
    };
    let mut queue = Names::default();
    assert_eq!(queue.offer(none, "ana", 1, "a"), Offered::Full("a"));
}

#[test]
fn some_are_taken_and_the_others_keep_their_turns() {
    let mut queue = queue_of(&["ana-1", "bob-1", "ana-2", "eve-1"]);
    let mut taken = queue.take_all(|item| item.ends_with("-1") && *item != "eve-1");
    taken.sort_unstable();
    assert_eq!(taken, ["ana-1", "bob-1"]);
    assert_eq!(queue.len(), 2);
    offer(&mut queue, "bob-2");
    assert_eq!(order(queue), ["ana-2", "eve-1", "bob-2"]);
}

/// One step of a life: who comes with how many bytes, who is served, who leaves, who is sent away.
#[derive(Clone, Debug)]
enum Step {
    Come(u8, u64),
    Next,
    Leave(usize),
    Away(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0_u8..4, 0_u64..60).prop_map(|(caller, bytes)| Step::Come(caller, bytes)),
        2 => Just(Step::Next),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => (0_u8..4).prop_map(Step::Away),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn no_entry_is_lost_and_none_is_beyond_the_bounds(steps in steps()) {
        let caps = Caps { requests: 6, bytes: 200 };
        let mut queue: Queue<u8, u64> = Queue::default();
        // What waits, by number: caller and bytes.
        let mut waiting: BTreeMap<u64, (u8, u64)> = BTreeMap::new();
        let mut numbered = 0;
        for step in steps {
            match step {
                Step::Come(caller, bytes) => match queue.offer(caps, caller, bytes, numbered) {
                    Offered::Queued(number) => {
                        prop_assert_eq!(number, numbered);
                        waiting.insert(numbered, (caller, bytes));
                        numbered += 1;
                    }
                    Offered::Instead(number, lost) => {
                        prop_assert_eq!(number, numbered);
                        let (loser, _) = waiting.remove(&lost).unwrap();
                        let count = |of| waiting.values().filter(|(caller, _)| *caller == of).count();
                        prop_assert!(count(caller) < count(loser));
                        waiting.insert(numbered, (caller, bytes));
                        numbered += 1;
                    }
                    Offered::Full(item) => prop_assert_eq!(item, numbered),
                },
                Step::Next => match queue.next() {
                    Some(number) => {
                        let (caller, _) = waiting.remove(&number).unwrap();
                        let older = |(other, (of, _)): (&u64, &(u8, u64))| *of == caller && *other < number;
                        prop_assert!(!waiting.iter().any(older), "a caller's requests keep their order");
                    }
                    None => prop_assert!(waiting.is_empty()),
                },
                Step::Leave(place) if !waiting.is_empty() => {
                    let place = place % waiting.len();
                    let (number, (caller, _)) = waiting.iter().nth(place).unwrap();
                    let (number, caller) = (*number, *caller);
                    prop_assert_eq!(queue.leave(&caller, number), Some(number));
                    waiting.remove(&number);
                }
                Step::Leave(_) => {}
                Step::Away(caller) => {
                    let of = |number: &u64| waiting.get(number).is_some_and(|(of, _)| *of == caller);
                    for number in queue.take_all(of) {
                        prop_assert_eq!(waiting.remove(&number).unwrap().0, caller);
                    }
                    prop_assert!(!waiting.values().any(|(of, _)| *of == caller));
                }
            }
            prop_assert_eq!(queue.len(), waiting.len());
            prop_assert!(waiting.len() <= caps.requests);
            prop_assert!(waiting.values().map(|(_, bytes)| bytes).sum::<u64>() <= caps.bytes);
        }
        let mut left = std::iter::from_fn(|| queue.next()).collect::<Vec<_>>();
        left.sort_unstable();
        prop_assert_eq!(left, waiting.into_keys().collect::<Vec<_>>());
    }

    #[test]
    fn nobody_waits_for_more_than_one_request_of_each_other_caller(
        others in proptest::collection::vec(0_u8..5, 0..40),
    ) {
        let caps = Caps { requests: 100, bytes: 1000 };
        let mut queue: Queue<u8, u8> = Queue::default();
        for caller in &others {
            queue.offer(caps, *caller, 0, *caller);
        }
        queue.offer(caps, 9, 0, 9);
        let before = std::iter::from_fn(|| queue.next()).take_while(|caller| *caller != 9);
        let mut before: Vec<u8> = before.collect();
        let count = before.len();
        before.sort_unstable();
        before.dedup();
        prop_assert_eq!(before.len(), count, "each of them once");
    }
}
