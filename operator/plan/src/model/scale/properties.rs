//! Properties of recommendations over random loads, bounds, gateways and lost reports.
//!
//! Numbered as in scaling-and-rollout.md §10.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::decide::decide;
use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

fn rules() -> impl Strategy<Value = Rules> {
    let targets = (
        1_u32..20,
        0_u32..20,
        prop::option::of(1_u32..100),
        any::<bool>(),
    );
    let times = (6_u64..12, prop_oneof![Just(0_u64), 1_u64..20]);
    (targets, times).prop_map(
        |((in_flight, more, rate, latency), (window, delay))| Rules {
            in_flight,
            rate,
            latency: latency.then_some(Duration::from_millis(100)),
            max_concurrency: in_flight + more,
            window: Duration::from_secs(window),
            scale_down_delay: Duration::from_secs(delay),
            idle_timeout: TIMEOUT,
            tuning: Tuning::AIMASS,
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    (0_i32..4, 1_i32..30, prop::option::of(-2_i32..8)).prop_map(|(min, more, headroom)| Limits {
        min,
        max: min + more,
        headroom,
    })
}

/// A number that is usually small and sometimes absurd.
fn load() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 8 => 0_u64..200_000, 1 => any::<u64>()]
}

fn inputs() -> impl Strategy<Value = Inputs> {
    let pods = (0_i32..30, -1_i32..30, 0_i32..5);
    let flags = any::<[bool; 4]>();
    let blocked = prop::option::of(prop_oneof![
        Just(Blocked::Refused),
        Just(Blocked::Unschedulable)
    ]);
    let loads = [load(), load(), load(), load(), load(), load(), load()];
    (pods, flags, blocked, loads).prop_map(|((current, usable, more), flags, blocked, loads)| {
        let [slow, fast, slow_rate, fast_rate, answers, p95_us, idle_ms] = loads;
        let [waiting, silent, complete, proven] = flags;
        Inputs {
            current,
            usable: usable.max(0),
            existing: usable.max(0) + more,
            waiting,
            blocked,
            slow: Milli(slow),
            fast: Milli(fast),
            slow_rate: Milli(slow_rate),
            fast_rate: Milli(fast_rate),
            service_us: None,
            answers,
            p95_us,
            silent,
            complete,
            proven: proven && complete,
            idle_ms,
        }
    })
}

fn room(inputs: &Inputs, limits: Limits) -> i32 {
    let headroom = limits.headroom.map(|headroom| headroom.max(0));
    let counted = inputs.existing.min(inputs.current);
    headroom.map_or(i32::MAX, |headroom| counted.saturating_add(headroom))
}

proptest! {
    /// 11, 14: over any sequence of inputs, of which the present number is always the last result.
    #[test]
    fn numbers_stay_within_bounds_and_fall_to_zero_only_when_idle(
        rules in rules(),
        limits in limits(),
        sequence in prop::collection::vec(inputs(), 1..30),
    ) {
        let mut memory = Memory::new(Tick::of_second(0));
        let mut current = sequence[0].current;
        let mut exceeded = 0_u32;
        for (second, inputs) in (1000_u64..).zip(sequence) {
            let inputs = Inputs { current, ..inputs };
            let now = Tick::of_second(second);
            let (next, found) = decide(&rules, inputs, limits, &memory, now);
            let room = room(&inputs, limits);
            exceeded = if room < current { exceeded + 1 } else { 0 };

            prop_assert!((0..=limits.max).contains(&found.desired));
            prop_assert!(found.desired <= room.max(current), "grows beyond the quota: {found}");
            prop_assert!(exceeded <= 10 || found.desired <= room, "stays beyond the quota: {found}");
            let bounded = found.limited_by == Some(Limit::Quota);
            let there = inputs.existing.min(current).min(limits.max);
            prop_assert!(!bounded || found.desired >= there, "takes pods away: {found}");
            prop_assert!(found.desired >= limits.min || bounded);
            if found.desired == 0 && current > 0 && !bounded {
                prop_assert!(limits.min == 0 && inputs.complete && !inputs.waiting && !inputs.silent);
                prop_assert!(inputs.idle_ms >= 10_000);
            }
            prop_assert!(!inputs.waiting || found.desired > 0 || bounded, "nobody is left waiting");
            if found.rule != Rule::Shrinking && found.rule != Rule::Idle {
                prop_assert!(found.wish >= current, "only two rules lower it");
            }
            (memory, current) = (next, found.desired);
        }
    }

    /// 12: more demand, whichever kind, never means fewer replicas.
    #[test]
    fn more_demand_never_lowers_the_number(
        rules in rules(),
        limits in limits(),
        before in inputs(),
        inputs in inputs(),
        more in [load(), load(), load(), load()],
    ) {
        let (memory, _) = decide(&rules, before, limits, &Memory::new(Tick::of_second(0)), Tick::of_second(990));
        let decided = |inputs| decide(&rules, inputs, limits, &memory, Tick::of_second(1000)).1;
        let [slow, fast, slow_rate, fast_rate] = more;
        let loaded = Inputs {
            slow: Milli(inputs.slow.0.saturating_add(slow)),
            fast: Milli(inputs.fast.0.saturating_add(fast)),
            slow_rate: Milli(inputs.slow_rate.0.saturating_add(slow_rate)),
            fast_rate: Milli(inputs.fast_rate.0.saturating_add(fast_rate)),
            ..inputs
        };
        prop_assert!(decided(loaded).desired >= decided(inputs).desired);
    }
}

/// What one gateway does in one second.
#[derive(Clone, Debug)]
struct Report {
    counts: Counts<'static>,
    lost: bool,
    doubled: bool,
    late_ms: u64,
}

fn report() -> impl Strategy<Value = Report> {
    let counts = (load(), load(), 0_u64..200, 0_u64..200, 0_u64..2_000_000).prop_map(
        |(in_flight, queued, arrived, completed, service_us)| Counts {
            in_flight: Milli(in_flight),
            queued: Milli(queued),
            arrived,
            service_us: service_us * completed,
            completed,
            mean_service_us: 50_000,
            latency: &[],
        },
    );
    let idle = Just(Counts::default());
    // rarely, or no window would ever be complete
    let rarely = || prop_oneof![15 => Just(false), 1 => Just(true)];
    let late = prop_oneof![9 => Just(0_u64), 1 => 0_u64..5_000];
    let counts = prop_oneof![1 => counts, 3 => idle];
    (counts, rarely(), rarely(), late).prop_map(|(counts, lost, doubled, late_ms)| Report {
        counts,
        lost,
        doubled,
        late_ms,
    })
}

/// Gateways and their reports; each gateway's phase in milliseconds.
#[derive(Clone, Debug)]
struct Gateways {
    phases: Vec<u64>,
    reports: Vec<Vec<Report>>,
}

fn gateways(seconds: std::ops::Range<usize>) -> impl Strategy<Value = Gateways> {
    (1_usize..4, seconds).prop_flat_map(|(gateways, seconds)| {
        let phases = prop::collection::vec(0_u64..1000, gateways);
        let reports = prop::collection::vec(report(), seconds);
        (phases, prop::collection::vec(reports, gateways))
            .prop_map(|(phases, reports)| Gateways { phases, reports })
    })
}

/// Which faults are played.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Faults {
    No,
    Lost,
    All,
}

/// The end of a deployment's history, as the operator has seen it; or each second of it.
fn play(
    rules: &Rules,
    gateways: &Gateways,
    faults: Faults,
    mut each: impl FnMut(&Ring, &Coverage, Tick),
) {
    let start = Tick::of_second(100);
    let (mut ring, mut coverage) = (Ring::new(rules.window, start), Coverage::new(start));
    let live: BTreeSet<String> = (0..gateways.phases.len())
        .map(|uid| uid.to_string())
        .collect();
    let seconds = gateways.reports.iter().map(Vec::len).max().unwrap_or(0);
    // what happens, in order of time; a connection's reports stay in order
    let mut received: Vec<(u64, usize, usize)> = Vec::new();
    for (gateway, reports) in gateways.reports.iter().enumerate() {
        let mut before = 0;
        for (number, report) in reports.iter().enumerate() {
            let due = 101_000 + 1000 * u64::try_from(number).unwrap() + gateways.phases[gateway];
            let late = if faults == Faults::All {
                report.late_ms
            } else {
                0
            };
            before = before.max(due + late);
            received.push((before, gateway, number));
        }
    }
    received.sort_unstable();
    let mut received = received.into_iter().peekable();
    for second in 101..=101 + u64::try_from(seconds).unwrap() {
        let now = Tick::of_second(second);
        while let Some((at, gateway, number)) = received.next_if(|(at, ..)| *at <= now.as_millis())
        {
            let report = &gateways.reports[gateway][number];
            let uid = gateway.to_string();
            if report.lost && faults != Faults::No {
                coverage.connected(&uid);
                continue;
            }
            let twice = report.doubled && faults == Faults::All;
            for _ in 0..=u8::from(twice) {
                let span = coverage.report(&uid, Duration::from_secs(1), Tick::from_millis(at));
                ring.add(span, &report.counts);
            }
        }
        coverage.close(&live, now);
        each(&ring, &coverage, now);
    }
}

/// What is recommended at the end of it.
fn at_the_end(rules: &Rules, gateways: &Gateways, faults: Faults, current: i32) -> Recommendation {
    let mut last = None;
    play(rules, gateways, faults, |ring, coverage, now| {
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
                max: 1000,
                headroom: None,
            },
        };
        last = Some(recommend(rules, &seen, &Memory::new(Tick::of_second(100)), now).1);
    });
    last.unwrap()
}

proptest! {
    /// 12: with any reports removed, the number is at least what it would be, or what it was.
    #[test]
    fn a_lost_report_never_lowers_the_number(
        rules in rules(),
        gateways in gateways(8..40),
        current in 0_i32..30,
    ) {
        let rules = Rules { scale_down_delay: Duration::ZERO, ..rules };
        let all = at_the_end(&rules, &gateways, Faults::No, current);
        let some = at_the_end(&rules, &gateways, Faults::Lost, current);
        prop_assert!(some.desired >= all.desired.min(current), "{some:?}\nwith all: {all:?}");
    }

    /// 12: more of anything in any report never lowers the number.
    #[test]
    fn a_larger_report_never_lowers_the_number(
        rules in rules(),
        gateways in gateways(8..40),
        current in 0_i32..30,
        place in any::<(prop::sample::Index, prop::sample::Index)>(),
        more in (load(), load(), 0..1000_u64),
    ) {
        let before = at_the_end(&rules, &gateways, Faults::No, current);
        let mut larger = gateways;
        let gateway = place.0.get_mut(&mut larger.reports);
        let counts = &mut place.1.get_mut(gateway).counts;
        counts.in_flight.0 = counts.in_flight.0.saturating_add(more.0);
        counts.queued.0 = counts.queued.0.saturating_add(more.1);
        counts.arrived += more.2;
        let after = at_the_end(&rules, &larger, Faults::No, current);
        prop_assert!(after.desired >= before.desired, "{after:?}\nbefore: {before:?}");
    }

    /// 13: a load that stays keeps its replicas, whatever happens to reports.
    #[test]
    fn reports_that_are_lost_late_or_doubled_never_shrink(
        mut gateways in gateways(40..90),
        replicas in 2_i32..20,
    ) {
        let rules = Rules {
            in_flight: 7,
            rate: None,
            latency: None,
            max_concurrency: 10,
            window: Duration::from_secs(10),
            scale_down_delay: Duration::ZERO,
            idle_timeout: TIMEOUT,
            tuning: Tuning::AIMASS,
        };
        let share = u64::from(replicas.unsigned_abs()) * 6_500;
        let share = share / u64::try_from(gateways.phases.len()).unwrap();
        for report in gateways.reports.iter_mut().flatten() {
            report.counts = Counts {
                in_flight: Milli(share),
                arrived: share / 100,
                completed: share / 100,
                service_us: share / 100 * 100_000,
                ..Counts::default()
            };
        }
        let mut memory = Memory::new(Tick::of_second(100));
        let mut current = replicas;
        let mut lowest = replicas;
        play(&rules, &gateways, Faults::All, |ring, coverage, now| {
            let seen = Seen {
                ring,
                coverage,
                usable: current,
                existing: current,
                waiting: false,
                blocked: None,
                current,
                limits: Limits { min: 0, max: 1000, headroom: None },
            };
            let (next, found) = recommend(&rules, &seen, &memory, now);
            (memory, current) = (next, found.desired);
            lowest = lowest.min(current);
        });
        prop_assert!(lowest >= replicas, "fell to {lowest}");
    }
}
