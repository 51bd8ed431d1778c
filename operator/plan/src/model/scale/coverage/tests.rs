//! Coverage: which seconds count as reported by all, with gateways that are late, silent or gone.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn live(gateways: &[&str]) -> BTreeSet<String> {
    gateways.iter().map(|uid| (*uid).to_owned()).collect()
}

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

/// A coverage that began at 0 and has seen reports of `gateways` each second, `phase` ms after it.
fn steady(gateways: &[&str], seconds: u64, phase: u64) -> Coverage {
    let mut coverage = Coverage::new(at(0));
    for second in 0..seconds {
        coverage.close(&live(gateways), at(second * 1000));
        for gateway in gateways {
            coverage.report(gateway, SECOND, at(second * 1000 + phase));
        }
    }
    coverage
}

#[test]
fn a_second_is_closed_once_all_gateways_have_covered_it() {
    let mut coverage = steady(&["a", "b"], 10, 400);
    coverage.close(&live(&["a", "b"]), at(10_000));
    // the reports at 9.4 cover up to 9.4
    assert_eq!(coverage.closed(), 8);
    assert!(coverage.complete(7) && !coverage.complete(9));
    coverage.report("a", SECOND, at(10_400));
    coverage.close(&live(&["a", "b"]), at(10_500));
    assert_eq!(coverage.closed(), 8);
    coverage.report("b", SECOND, at(10_450));
    coverage.close(&live(&["a", "b"]), at(10_500));
    assert_eq!(coverage.closed(), 9);
    assert!(coverage.recent(at(11_399)) && !coverage.recent(at(11_400)));
}

#[test]
fn a_silent_gateway_makes_its_seconds_partial_until_they_leave_the_window() {
    let mut coverage = steady(&["a", "b"], 10, 0);
    for second in 10..=20 {
        coverage.report("a", SECOND, at(second * 1000));
        coverage.close(&live(&["a", "b"]), at(second * 1000));
    }
    assert_eq!(coverage.closed(), 16, "each is closed three seconds late");
    assert!(!coverage.complete(1) && !coverage.recent(at(20_000)));
    assert!(!coverage.silent(at(20_000)), "the other one reports");

    coverage.connected("b");
    for second in 21..=31 {
        coverage.report("a", SECOND, at(second * 1000));
        coverage.report("b", SECOND, at(second * 1000));
        coverage.close(&live(&["a", "b"]), at(second * 1000));
    }
    // the first report after it covers 20
    assert_eq!(coverage.closed(), 30);
    assert!(coverage.complete(11) && !coverage.complete(12));
}

#[test]
fn a_gateway_counts_as_long_as_it_is_live() {
    let mut coverage = steady(&["a", "b"], 10, 0);
    coverage.report("a", SECOND, at(10_000));
    coverage.close(&live(&["a"]), at(10_000));
    // b was live in 9 and has not covered it
    assert_eq!(coverage.closed(), 8);
    for second in 11..=14 {
        coverage.report("a", SECOND, at(second * 1000));
        coverage.close(&live(&["a"]), at(second * 1000));
    }
    assert_eq!(coverage.closed(), 13, "seconds without b are complete");
    assert!(coverage.complete(4) && !coverage.complete(5));
    assert_eq!(coverage.gateways.len(), 1, "b is forgotten");
}

#[test]
fn a_new_gateway_is_waited_for() {
    let mut coverage = steady(&["a"], 10, 0);
    for second in 10..=14 {
        coverage.report("a", SECOND, at(second * 1000));
        coverage.close(&live(&["a", "new"]), at(second * 1000));
    }
    assert_eq!(coverage.closed(), 10);
    assert!(!coverage.complete(1));
}

#[test]
fn without_a_gateway_nothing_is_complete() {
    let mut coverage = Coverage::new(at(0));
    coverage.close(&live(&[]), at(9_000));
    assert_eq!(coverage.closed(), 5);
    assert!(!coverage.complete(1) && coverage.silent(at(9_000)));
}

#[test]
fn all_are_silent_after_three_seconds() {
    let coverage = steady(&["a"], 10, 0);
    assert!(!coverage.silent(at(12_000)));
    assert!(coverage.silent(at(12_001)));
    let mut new = Coverage::new(at(0));
    new.close(&live(&["a"]), at(0));
    assert!(new.silent(at(500)), "nothing was heard yet");
}

/// Where reports of one second each are placed that were received at these times.
#[track_caller]
fn check(received: &[u64], expect: &[(u64, u64)]) {
    let mut coverage = Coverage::new(at(0));
    let placed: Vec<_> = received
        .iter()
        .map(|now| {
            let span = coverage.report("a", SECOND, at(*now));
            (span.from.as_millis(), span.until.as_millis())
        })
        .collect();
    assert_eq!(placed, expect);
}

#[test]
fn late_reports_are_placed_where_they_belong() {
    // the clock of the connection is taken to run a thousandth slower
    check(
        &[2_000, 3_400, 4_000],
        &[(1_000, 2_000), (2_000, 3_001), (3_001, 4_000)],
    );
    // a pause of the reader: all come at once
    check(
        &[2_000, 5_000, 5_000, 5_000],
        &[
            (1_000, 2_000),
            (2_000, 3_001),
            (3_001, 4_002),
            (4_002, 5_000),
        ],
    );
    // the first one came late
    check(&[2_400, 3_000], &[(1_400, 2_400), (2_400, 3_000)]);
}

#[test]
fn no_time_counts_twice() {
    check(&[2_000, 2_000], &[(1_000, 2_000), (2_000, 2_000)]);
}

#[test]
fn a_missing_report_leaves_a_hole() {
    let mut coverage = Coverage::new(at(0));
    coverage.report("a", SECOND, at(2_000));
    coverage.connected("a");
    let span = coverage.report("a", SECOND, at(4_000));
    assert_eq!((span.from, span.until), (at(3_000), at(4_000)));
    coverage.connected("a");
    let span = coverage.report("a", SECOND, at(5_400));
    assert_eq!(span.from, at(4_000), "less than half a second is a delay");
}

#[test]
fn a_clock_that_falls_far_behind_begins_anew() {
    check(
        &[2_000, 9_000, 10_000],
        &[(1_000, 2_000), (8_000, 9_000), (9_000, 10_000)],
    );
}

#[test]
fn a_long_report_is_cut_to_what_one_may_cover() {
    let mut coverage = Coverage::new(at(0));
    let span = coverage.report("a", Duration::from_secs(300), at(400_000));
    assert_eq!(span.from, at(340_000));
}

#[test]
fn gateways_are_bounded() {
    let mut coverage = Coverage::new(at(0));
    for number in 0..2_000 {
        coverage.report(&number.to_string(), SECOND, at(2_000));
    }
    assert_eq!(coverage.gateways.len(), MOST);
    let span = coverage.report("one more", SECOND, at(2_000));
    assert_eq!((span.from, span.until), (at(1_000), at(2_000)));
    coverage.close(&live(&["a"]), at(2_000));
    assert_eq!(coverage.gateways.len(), 1, "nobody else is live");
}

#[test]
fn a_long_pause_of_the_caller_is_partial_at_once() {
    let mut coverage = steady(&["a"], 10, 0);
    coverage.close(&live(&["a"]), at(1_000_000));
    assert_eq!(coverage.closed(), 996);
    assert!(!coverage.complete(1));
}
