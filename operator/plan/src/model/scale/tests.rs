//! The whole way from reports to a number; the parts have tests of their own.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

fn rules() -> Rules {
    Rules {
        in_flight: 7,
        rate: None,
        latency: Some(Duration::from_millis(200)),
        max_concurrency: 10,
        window: Duration::from_secs(20),
        scale_down_delay: Duration::ZERO,
        idle_timeout: Duration::from_secs(60),
        tuning: Tuning::AIMASS,
    }
}

/// Two gateways that report this each second, from second 100 on.
fn reported(seconds: u64, counts: &Counts<'_>) -> (Ring, Coverage, Tick) {
    let start = Tick::of_second(100);
    let (mut ring, mut coverage) = (Ring::new(rules().window, start), Coverage::new(start));
    let live = BTreeSet::from(["a", "b"].map(str::to_owned));
    let mut now = start;
    coverage.close(&live, now);
    for _ in 0..seconds {
        now = now.after(Duration::from_secs(1));
        for gateway in &live {
            let span = coverage.report(gateway, Duration::from_secs(1), now);
            ring.add(span, counts);
        }
        coverage.close(&live, now);
    }
    (ring, coverage, now)
}

fn recommended(seconds: u64, counts: &Counts<'_>, current: i32) -> Recommendation {
    let (ring, coverage, now) = reported(seconds, counts);
    decided(&ring, &coverage, current, now)
}

fn decided(ring: &Ring, coverage: &Coverage, current: i32, now: Tick) -> Recommendation {
    let seen = Seen {
        ring,
        coverage,
        usable: current,
        existing: current,
        waiting: false,
        blocked: None,
        current,
        limits: Limits {
            min: 0,
            max: 10,
            headroom: None,
        },
    };
    recommend(&rules(), &seen, &Memory::new(Tick::of_second(100)), now).1
}

#[test]
fn what_all_gateways_count_is_added_up() {
    let counts = Counts {
        in_flight: Milli(12_050),
        arrived: 50,
        completed: 50,
        service_us: 5_000_000,
        latency: &[(36, 19), (48, 1)],
        ..Counts::default()
    };
    let found = recommended(30, &counts, 2);
    let inputs = found.inputs;
    assert_eq!((inputs.slow, inputs.fast), (Milli(24_100), Milli(24_100)));
    assert_eq!(
        (inputs.slow_rate, inputs.service_us),
        (Milli::whole(100), Some(100_000))
    );
    assert_eq!((inputs.answers, inputs.p95_us), (400, 51_200));
    assert!(inputs.complete && inputs.proven && !inputs.silent);
    assert_eq!(
        (inputs.idle_ms, found.rule, found.desired),
        (0, Rule::Hot, 4)
    );
}

#[test]
fn nothing_is_proven_before_the_window_is_whole() {
    let idle = Counts::default();
    // the first second is partial
    assert_eq!(recommended(20, &idle, 3).rule, Rule::Unproven);
    assert_eq!(recommended(21, &idle, 3).rule, Rule::Shrinking);
}

#[test]
fn idle_is_counted_from_the_first_second_that_all_have_reported() {
    let idle = Counts::default();
    let before = recommended(60, &idle, 1);
    assert_eq!((before.rule, before.inputs.idle_ms), (Rule::Steady, 59_000));
    assert_eq!(recommended(61, &idle, 1).rule, Rule::Idle);
}

#[test]
fn what_one_gateway_sees_raises_before_the_others_have_reported() {
    let (mut ring, mut coverage, now) = reported(30, &Counts::default());
    let later = now.after(Duration::from_millis(900));
    let span = coverage.report("a", Duration::from_millis(900), later);
    let burst = Counts {
        in_flight: Milli(100_000),
        ..Counts::default()
    };
    ring.add(span, &burst);
    let found = decided(&ring, &coverage, 2, later);
    // 90 in this second, the mean over two
    assert_eq!((found.inputs.fast, found.desired), (Milli(45_000), 7));
}

#[test]
fn while_a_report_is_overdue_nothing_shrinks() {
    let (mut ring, mut coverage, now) = reported(30, &Counts::default());
    let live = BTreeSet::from(["a", "b"].map(str::to_owned));
    for (after, expect) in [(900, 2), (1_000, 4)] {
        let later = now.after(Duration::from_millis(after));
        let span = coverage.report("a", Duration::from_secs(1), later);
        ring.add(span, &Counts::default());
        coverage.close(&live, later);
        assert_eq!(decided(&ring, &coverage, 4, later).desired, expect);
    }
}

#[test]
fn a_slow_revision_needs_what_its_own_demand_wants() {
    let counts = Counts {
        in_flight: Milli(10_000),
        ..Counts::default()
    };
    let (ring, coverage, now) = reported(30, &counts);
    assert_eq!(own(&rules(), &ring, &coverage, now), 3);
    let none = Ring::new(rules().window, now);
    assert_eq!(own(&rules(), &none, &coverage, now), 0);
}
