//! One row for each way in which a cold start may go.

use super::*;
use crate::transcript::key;

/// How far a pod has come: none of it, `s`cheduled, with a sand`b`ox, `i`nitialized, `r`eady.
fn progress(letters: &str) -> Progress {
    Progress {
        scheduled: letters.contains('s'),
        sandbox: letters.contains('b'),
        initialized: letters.contains('i'),
        ready: letters.contains('r'),
    }
}

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// What happens to model `iris`, whose uid is `u`.
#[derive(Clone, Copy)]
enum Happens {
    Woken,
    Decided,
    Pod(&'static str, &'static str),
    NoPod(&'static str),
    Reached,
    Deleted,
}

use Happens::{Decided, Deleted, NoPod, Pod, Reached, Woken};

/// What ends by `events`, each at its millisecond: `decide 5, …`.
fn run(events: &[(u64, Happens)]) -> Vec<String> {
    let (mut book, iris) = (Book::default(), key("iris"));
    let mut ended = Vec::new();
    for (at, happens) in events {
        let now = ms(*at);
        match happens {
            Woken => book.woken(&iris, "u", now),
            Decided => book.decided(&iris, "u", now),
            Pod(name, letters) => {
                ended.extend(book.pod(&iris, name, progress(letters), now));
            }
            NoPod(name) => book.no_pod(&iris, name),
            Reached => {
                let reached = book.reached(&BTreeSet::from(["u", "another"]), now);
                ended.extend(reached.into_iter().map(|(key, times)| {
                    assert_eq!(key, iris);
                    times
                }));
            }
            Deleted => book.no_model(&iris, "u"),
        }
    }
    let line = |times: &Times| {
        let took = times.iter();
        let took = took.map(|(phase, took)| format!("{} {}", phase.name(), took.as_millis()));
        took.collect::<Vec<_>>().join(", ")
    };
    ended.iter().map(line).collect()
}

#[track_caller]
fn check(name: &str, events: &[(u64, Happens)], expect: &[&str]) {
    assert_eq!(run(events), expect, "{name}");
}

#[test]
fn phases_follow_each_other_and_add_up_to_the_total() {
    let to_start = [
        (100, Woken),
        (108, Decided),
        (130, Pod("p", "")),
        (140, Pod("p", "s")),
        (400, Pod("p", "sb")),
        (410, Pod("p", "sbi")),
    ];
    let expect = ["decide 8, schedule 32, sandbox 260, start 10, load 490, total 800"];
    check(
        "the kubelet says that it is ready",
        &[&to_start[..], &[(900, Pod("p", "sbir"))]].concat(),
        &expect,
    );
    check(
        "a gateway has found out before",
        &[
            &to_start[..],
            &[(900, Reached), (1000, Pod("p", "sbir")), (1001, Reached)],
        ]
        .concat(),
        &expect,
    );
}

#[test]
fn events_that_are_missing_or_late_leave_the_sum_as_it_is() {
    check(
        "one event says all of it",
        &[(100, Woken), (108, Decided), (900, Pod("p", "sbir"))],
        &["decide 8, schedule 792, sandbox 0, start 0, load 0, total 800"],
    );
    check(
        "initialized before its sandbox, as pods without init containers are",
        &[
            (100, Woken),
            (108, Decided),
            (140, Pod("p", "s")),
            (200, Pod("p", "si")),
            (400, Pod("p", "sbi")),
            (900, Pod("p", "sbir")),
        ],
        &["decide 8, schedule 32, sandbox 260, start 0, load 500, total 800"],
    );
    check(
        "the API server's answer comes after the pod",
        &[
            (100, Woken),
            (140, Pod("p", "s")),
            (150, Decided),
            (900, Pod("p", "sbir")),
        ],
        &["decide 50, schedule 0, sandbox 750, start 0, load 0, total 800"],
    );
    check(
        "nobody has heard of the answer, nor of a sandbox",
        &[
            (100, Woken),
            (140, Pod("p", "s")),
            (300, Pod("p", "si")),
            (900, Pod("p", "sir")),
        ],
        &["schedule 40, start 160, load 600, total 800"],
    );
}

#[test]
fn nothing_is_told_of_what_has_no_beginning_or_no_end() {
    check(
        "nobody was woken",
        &[(100, Decided), (200, Pod("p", "sbir")), (300, Reached)],
        &[],
    );
    check(
        "a gateway speaks of older pods",
        &[
            (100, Woken),
            (110, Reached),
            (120, Pod("p", "s")),
            (130, Reached),
        ],
        &[],
    );
    check(
        "the model is deleted",
        &[(100, Woken), (200, Deleted), (300, Pod("p", "sbir"))],
        &[],
    );
    check(
        "it took too long to be one",
        &[(0, Woken), (600_001, Pod("p", "sbir")), (700_000, Reached)],
        &[],
    );
}

#[test]
fn the_first_wake_counts_until_its_pods_are_gone() {
    check(
        "another gateway wakes it, too",
        &[
            (100, Woken),
            (150, Woken),
            (200, Pod("p", "s")),
            (250, Woken),
            (900, Pod("p", "sbir")),
            (950, Pod("p", "sbir")),
        ],
        &["schedule 100, sandbox 700, start 0, load 0, total 800"],
    );
    check(
        "its pod was evicted, another one came, and nobody called in between",
        &[
            (100, Woken),
            (200, Pod("p", "s")),
            (300, NoPod("p")),
            (400, Pod("q", "s")),
            (900, Pod("q", "sbir")),
        ],
        &["schedule 300, sandbox 500, start 0, load 0, total 800"],
    );
    check(
        "its pod was given up, and somebody calls again",
        &[
            (100, Woken),
            (108, Decided),
            (200, Pod("p", "s")),
            (300, NoPod("p")),
            (5000, Woken),
            (5008, Decided),
            (5100, Pod("q", "s")),
            (5800, Pod("q", "sbir")),
        ],
        &["decide 8, schedule 92, sandbox 700, start 0, load 0, total 800"],
    );
    check(
        "after the end a wake is another one",
        &[
            (100, Woken),
            (900, Pod("p", "sbir")),
            (5000, Woken),
            (5500, Pod("q", "sbir")),
        ],
        &[
            "schedule 800, sandbox 0, start 0, load 0, total 800",
            "schedule 500, sandbox 0, start 0, load 0, total 500",
        ],
    );
}

#[test]
fn of_several_pods_the_one_counts_that_serves() {
    let both = [
        (100, Woken),
        (110, Decided),
        (150, Pod("p", "s")),
        (200, Pod("q", "s")),
        (300, Pod("q", "sb")),
    ];
    check(
        "by the kubelet it is that one",
        &[&both[..], &[(400, Pod("p", "sb")), (700, Pod("p", "sbir"))]].concat(),
        &["decide 10, schedule 40, sandbox 250, start 300, load 0, total 600"],
    );
    check(
        "by a gateway it is the one that has come furthest",
        &[&both[..], &[(700, Reached)]].concat(),
        &["decide 10, schedule 90, sandbox 100, load 400, total 600"],
    );
}

#[test]
fn a_model_of_the_same_name_is_another_one() {
    let (mut book, iris) = (Book::default(), key("iris"));
    book.woken(&iris, "u", ms(0));
    book.model(&iris, "u");
    assert!(!book.is_empty());
    book.model(&iris, "v");
    assert!(book.is_empty());
    book.woken(&iris, "v", ms(10));
    book.no_model(&iris, "u");
    book.decided(&iris, "u", ms(20));
    let ended = book.pod(&iris, "p", progress("r"), ms(30)).unwrap();
    assert_eq!(ended, [(Phase::Load, ms(20)), (Phase::Total, ms(20))]);
    book.woken(&iris, "v", ms(40));
    book.only_models(&BTreeSet::from([key("rose")]));
    assert!(book.is_empty());
}

#[test]
fn there_are_only_so_many() {
    let mut book = Book::default();
    for number in 0..=WAKES {
        book.woken(&key(&format!("m{number}")), "u", ms(0));
    }
    assert_eq!(book.0.len(), WAKES);
    let full = key(&format!("m{WAKES}"));
    assert_eq!(book.pod(&full, "p", progress("r"), ms(1)), None);
    for number in 0..2 * PODS {
        let pod = format!("p{number}");
        assert_eq!(book.pod(&key("m0"), &pod, progress("s"), ms(1)), None);
    }
    assert_eq!(book.0[&key("m0")].pods.len(), PODS);
    // One that was not kept may be the first all the same.
    assert!(book.pod(&key("m0"), "p19", progress("sr"), ms(2)).is_some());
    // Those of which nothing was heard are forgotten when there is a further one.
    book.woken(&full, "u", LONGEST + ms(1));
    assert_eq!(book.0.len(), 1);
}
