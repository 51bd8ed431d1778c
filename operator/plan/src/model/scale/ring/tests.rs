//! Rings: spans cut into seconds, means of what is there, and a bound.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn span(from: u64, until: u64) -> Span {
    Span {
        from: Tick::from_millis(from),
        until: Tick::from_millis(until),
        counted: Duration::from_millis(until - from),
    }
}

fn busy(in_flight: u64, arrived: u64) -> Counts<'static> {
    Counts {
        in_flight: Milli(in_flight),
        queued: Milli(in_flight),
        arrived,
        service_us: arrived * 1000,
        completed: arrived,
        ..Counts::default()
    }
}

/// Requests in flight (in thousandths) and arrived, by second.
#[track_caller]
fn check(given: &[(Span, Counts<'_>)], expect: &[(u64, u64, u64)]) {
    let mut ring = Ring::new(MINUTE, Tick::of_second(10));
    for (span, counts) in given {
        ring.add(*span, counts);
    }
    let found: Vec<_> = ring
        .seconds
        .iter()
        .map(|(at, second)| {
            assert_eq!(second.in_flight, second.queued);
            assert_eq!(second.arrived * 1000, second.service_us);
            (*at, second.in_flight.0, second.arrived)
        })
        .collect();
    assert_eq!(found, expect);
}

#[test]
fn a_span_counts_in_the_seconds_it_covers_by_its_share() {
    check(
        &[(span(20_000, 21_000), busy(4_000, 10))],
        &[(20, 4_000, 10)],
    );
    check(
        &[(span(20_200, 21_200), busy(4_000, 10))],
        &[(20, 3_200, 8), (21, 800, 2)],
    );
    check(
        &[(span(20_500, 23_000), busy(4_000, 10))],
        &[(20, 2_000, 2), (21, 4_000, 4), (22, 4_000, 4)],
    );
}

#[test]
fn gateways_add_up_whichever_comes_first() {
    let (first, second) = (
        (span(20_000, 21_000), busy(4_000, 10)),
        (span(19_500, 20_500), busy(1_000, 4)),
    );
    let expect = [(19, 500, 2), (20, 4_500, 12)];
    check(&[first, second], &expect);
    check(&[second, first], &expect);
}

#[test]
fn what_was_counted_for_already_is_left_out() {
    let counted = Duration::from_secs(1);
    let short = Span {
        counted,
        ..span(20_300, 21_000)
    };
    check(&[(short, busy(4_000, 10))], &[(20, 2_800, 7)]);
    let none = Span {
        counted,
        ..span(21_000, 21_000)
    };
    check(&[(none, busy(4_000, 10))], &[(20, 0, 0)]);
}

#[test]
fn what_was_before_the_ring_does_not_count() {
    check(&[(span(8_000, 11_000), busy(4_000, 12))], &[(10, 4_000, 4)]);
    check(&[(span(9_100, 10_100), busy(4_000, 10))], &[(10, 400, 1)]);
    check(&[(span(2_000, 3_000), busy(4_000, 10))], &[]);
}

#[test]
fn idle_seconds_are_not_stored() {
    check(&[(span(20_000, 21_000), Counts::default())], &[]);
    let mut ring = Ring::new(MINUTE, Tick::of_second(10));
    assert_eq!(ring.active(), Tick::of_second(10));
    ring.add(span(20_000, 21_000), &busy(0, 1));
    ring.add(span(21_000, 22_000), &Counts::default());
    assert_eq!(ring.active(), Tick::of_second(21));
}

#[test]
fn a_ring_is_bounded_by_its_window() {
    let mut ring = Ring::new(Duration::from_secs(6), Tick::of_second(10));
    let latency = [(3, 7)];
    for second in 10..1_000 {
        let counts = Counts {
            latency: &latency,
            ..busy(1_000, 1)
        };
        ring.add(span(second * 1000, second * 1000 + 1000), &counts);
    }
    assert_eq!(ring.seconds.len(), 12);
    assert_eq!(ring.answers.len(), 16);
    assert_eq!(ring.answers(999).answers(), 70);
    // a clock that says nonsense: one piece per second of the longest report, no more
    ring.add(span(0, u64::MAX), &busy(1_000, 1));
    assert_eq!(ring.seconds.len(), 12);
}

#[test]
fn means_count_seconds_without_requests_but_none_before_the_ring_began() {
    let mut ring = Ring::new(MINUTE, Tick::of_second(10));
    for second in [20, 21, 29] {
        ring.add(span(second * 1000, second * 1000 + 1000), &busy(3_000, 30));
    }
    let demand = Demand {
        service_us: None,
        counting: Counting::Work,
    };
    let check = |end, over, demanded, rate| {
        let expect = Mean {
            demand: Milli(demanded),
            rate: Milli(rate),
        };
        assert_eq!(ring.mean(end, over, demand), expect);
    };
    check(29, (60, 1), 900, 4_500); // three of the twenty since the ring began
    check(21, (2, 2), 6_000, 30_000);
    check(22, (2, 2), 3_000, 15_000);
    check(10, (60, 1), 0, 0);
    check(5, (60, 1), 0, 0);
    let young = Ring {
        began: 29,
        ..ring.clone()
    };
    assert_eq!(young.mean(29, (3, 2), demand).demand, Milli(3_000));
}

#[test]
fn one_request_takes_what_was_seen_else_what_gateways_remember() {
    let mut ring = Ring::new(MINUTE, Tick::of_second(10));
    assert_eq!(ring.service_us(10), None);
    let remembers = |mean_service_us| Counts {
        mean_service_us,
        ..Counts::default()
    };
    ring.add(span(20_000, 21_000), &remembers(40));
    ring.add(span(20_000, 21_000), &remembers(30));
    assert_eq!(ring.service_us(20), Some(40), "the larger one of a second");
    ring.add(span(22_000, 23_000), &remembers(35));
    ring.add(span(21_000, 22_000), &remembers(90));
    assert_eq!(ring.service_us(20), Some(35), "the last second's");
    ring.add(span(23_000, 24_000), &busy(0, 5));
    assert_eq!(ring.service_us(24), Some(1000));
    assert_eq!(ring.service_us(200), Some(35), "what was seen is too old");
}

#[test]
fn another_window_takes_effect_but_knows_no_more_than_was_kept() {
    let mut ring = Ring::new(Duration::from_secs(10), Tick::of_second(0));
    assert!(ring.covers(9) && !ring.covers(8));
    ring.resize(MINUTE, Tick::of_second(100));
    assert!(!ring.covers(149) && ring.covers(150));
    ring.resize(Duration::from_secs(20), Tick::of_second(150));
    assert!(ring.covers(150));
    assert_eq!(ring.window(), 20);
}
