//! What must hold whatever the figures are: idle and waking, gateways that fall silent, operators
//! that restart, quota, fixed numbers. Scaling-and-rollout.md §11.1, second part.

use std::collections::BTreeSet;
use std::time::Duration;

use aimass_plan::model::scale::{Counts, Recommendation, Rule, Rules, Tick};

use super::load;
use super::model::{Setting, play};
use super::operator::{LIMITS, Operator, Pods, rules, steady};
use super::random::Random;

const GATEWAYS: [&str; 3] = ["a", "b", "c"];

/// Three gateways and as many ready pods as are asked for.
struct Feed {
    operator: Operator,
    second: u64,
}

impl Feed {
    fn new(current: i32) -> Self {
        let mut operator = Operator::new(rules(), LIMITS, current, Tick::of_second(0));
        operator.live = GATEWAYS.map(str::to_owned).into_iter().collect();
        let mut feed = Self {
            operator,
            second: 0,
        };
        feed.decide(false);
        feed
    }

    fn now(&self) -> Tick {
        Tick::of_second(self.second)
    }

    fn decide(&mut self, waiting: bool) -> Recommendation {
        let pods = Pods {
            usable: self.operator.current,
            existing: self.operator.current,
            waiting,
        };
        self.operator.decide(pods, self.now())
    }

    /// A second in which this much is in flight at each gateway; `None`: it says nothing.
    fn second(&mut self, in_flight: [Option<f64>; 3]) -> Recommendation {
        self.second += 1;
        let now = self.now();
        for (gateway, in_flight) in GATEWAYS.iter().zip(in_flight) {
            match in_flight {
                Some(in_flight) => self.operator.report(gateway, &steady(in_flight), now),
                None => self.operator.disconnected(gateway),
            }
        }
        self.decide(false)
    }

    /// The numbers recommended in `seconds` seconds of a load that all gateways share.
    fn numbers(&mut self, seconds: u64, in_flight: impl Fn(u64) -> f64) -> Vec<i32> {
        (0..seconds)
            .map(|second| self.second([Some(in_flight(second) / 3.0); 3]).desired)
            .collect()
    }
}

fn changes(numbers: &[i32]) -> usize {
    numbers.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// Thirty a second until the hundredth second.
fn ends_after_load() -> Setting {
    Setting {
        rate: |now| if now < 100.0 { 30.0 } else { 0.0 },
        peak_rate: 30.0,
        pods: 1,
        seconds: 220,
        rules: Rules {
            idle_timeout: Duration::from_secs(60),
            ..rules()
        },
        ..Setting::default()
    }
}

#[test]
fn after_load_it_goes_to_zero_once_and_in_time() {
    for seed in 1..=3 {
        let run = play(&ends_after_load(), seed);
        let (last, _) = *run.waits.last().unwrap();
        let [(at, sentence)] = &run.changes[..] else {
            panic!("one change: {:?}", run.changes);
        };
        assert!(
            sentence.starts_with("1 → 0: no request for 60"),
            "{sentence}"
        );
        assert!(last + 60.0 <= *at && *at <= last + 62.2, "{last} {at}");
    }
}

/// A thousand requests, placed at random between two times after the number falls to zero.
#[track_caller]
fn check_edge(from: f64, until: f64) {
    let undisturbed = play(&ends_after_load(), 1);
    let (edge, _) = undisturbed.changes[0];
    let mut random = Random::new(7);
    let placed = (0..1000)
        .map(|_| edge + from + (until - from) * random.unit())
        .collect();
    let run = play(
        &Setting {
            placed,
            ..ends_after_load()
        },
        1,
    );
    assert_eq!(run.waits.len(), run.arrived, "all are served");
    assert_eq!(run.arrived, undisturbed.arrived + 1000);
    let longest = run.percentile(1.0, (edge - 1.0, edge + 1.0));
    assert!(
        longest < 6000.0,
        "a start, then a thousand requests on few pods: {longest}"
    );
}

#[test]
fn no_request_is_lost_around_the_moment_at_which_it_goes_to_zero() {
    check_edge(-0.05, 0.05);
    check_edge(0.0, 0.05);
    check_edge(0.0, 0.000_01);
}

#[test]
fn a_load_between_two_numbers_does_not_flap() {
    let mut feed = Feed::new(4);
    let numbers = feed.numbers(1800, |second| {
        let swing = (second as f64 / 97.0 * std::f64::consts::TAU).sin();
        4.0 * (7.0 + 0.1 * swing)
    });
    assert!(changes(&numbers) <= 2, "{} changes", changes(&numbers));
}

#[test]
fn a_silent_gateway_keeps_the_number_while_the_load_falls() {
    let mut feed = Feed::new(8);
    assert_eq!(feed.numbers(120, |_| 50.0).last(), Some(&8));
    // the third one falls silent, and the load falls to a tenth
    for _ in 0..60 {
        assert_eq!(feed.second([Some(1.7), Some(1.7), None]).desired, 8);
    }
    let back = feed.numbers(61, |_| 5.0);
    assert_eq!(back[..59], [8; 59], "its seconds are still in the window");
    assert_eq!(back.last(), Some(&4), "{back:?}");
}

#[test]
fn a_silent_gateway_does_not_keep_the_number_from_rising() {
    let mut feed = Feed::new(8);
    feed.numbers(120, |_| 50.0);
    let numbers: Vec<_> = (0..60)
        .map(|_| feed.second([Some(60.0), Some(60.0), None]).desired)
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&18), "120 in flight are seen");
}

#[test]
fn when_all_are_silent_nothing_changes_for_an_hour() {
    let mut feed = Feed::new(8);
    feed.numbers(120, |_| 50.0);
    for second in 0..3600 {
        let found = feed.second([None; 3]);
        assert_eq!(found.desired, 8);
        assert!(second < 4 || found.rule == Rule::Silent, "{found}");
    }
}

#[test]
fn reports_that_jitter_neither_raise_nor_keep_the_number() {
    let mut random = Random::new(1);
    let mut operator = Operator::new(rules(), LIMITS, 8, Tick::of_second(0));
    operator.live = GATEWAYS.map(str::to_owned).into_iter().collect();
    let mut numbers = Vec::new();
    for second in 1..=400_u64 {
        let in_flight = if second < 200 { 50.0 } else { 40.0 };
        // each gateway has a phase, and each report takes up to 0.3 s
        let mut received: Vec<_> = (GATEWAYS.iter().zip([120.0, 450.0, 690.0]))
            .map(|(gateway, phase)| ((phase + 300.0 * random.unit()) as u64, gateway))
            .collect();
        received.sort_unstable();
        for (after, gateway) in received {
            let at = Tick::from_millis(second * 1000 - 1000 + after);
            operator.report(gateway, &steady(in_flight / 3.0), at);
        }
        // twice, the operator itself is not scheduled for two seconds
        if [100, 101, 300, 301].contains(&second) {
            continue;
        }
        let pods = Pods {
            usable: operator.current,
            existing: operator.current,
            waiting: false,
        };
        numbers.push(operator.decide(pods, Tick::of_second(second)).desired);
    }
    assert_eq!(numbers.iter().max(), Some(&8));
    assert_eq!(
        numbers.last(),
        Some(&7),
        "it shrinks though no report is on time"
    );
    assert_eq!(changes(&numbers), 1);
}

#[test]
fn an_operator_that_restarts_all_the_time_does_no_harm() {
    let undisturbed = play(&load::sine(), 1);
    let restarting = Setting {
        restart_every: Some(20),
        seconds: 600,
        ..load::sine()
    };
    let run = play(&restarting, 1);
    for (second, (found, before)) in run.desired.iter().zip(&undisturbed.desired).enumerate() {
        assert!(*found >= before - 1, "at {second}: {found} to {before}");
    }
    assert!(run.desired.is_sorted(), "no window was ever seen whole");
    for (at, sentence) in &run.changes {
        let after = at % 20.0;
        assert!(after >= 1.0, "by the restart itself, at {at}: {sentence}");
    }
    assert!(
        run.peak <= undisturbed.peak + 1,
        "{} to {}",
        run.peak,
        undisturbed.peak
    );
}

#[test]
fn a_new_leader_wakes_what_the_old_one_did_not() {
    let mut feed = Feed::new(0);
    feed.numbers(100, |_| 0.0);
    // a request comes, the leader is gone before it reads the wake
    feed.second += 1;
    let now = feed.now();
    feed.operator.succeed(now);
    assert_eq!(feed.decide(false).desired, 0, "nobody has told it yet");
    feed.second += 1;
    let now = feed.now();
    let counts = Counts {
        arrived: 1,
        ..steady(0.0)
    };
    feed.operator.report("a", &counts, now);
    let found = feed.decide(true);
    assert_eq!((found.rule, found.desired), (Rule::Waking, 1));
}

#[test]
fn a_quota_holds_the_number_and_its_end_lets_it_go() {
    let setting = Setting {
        rate: |now| if now < 120.0 { 250.0 } else { 750.0 },
        peak_rate: 750.0,
        pods: 4,
        seconds: 230,
        quota: Some(|second| if second < 200 { 6 } else { 20 }),
        ..Setting::default()
    };
    let run = play(&setting, 1);
    assert!(run.desired[125..199].iter().all(|number| *number == 6));
    let late: Vec<_> = run.changes.iter().filter(|(at, _)| *at > 119.0).collect();
    assert!(late[0].1.starts_with("4 → 6: burst"), "{late:?}");
    assert!(late[0].1.ends_with("the quota has room for 6"), "{late:?}");
    assert!(
        (late[1].0 - 200.0).abs() < 0.01,
        "one change, then the quota's: {late:?}"
    );
}

#[test]
fn a_fixed_number_that_is_taken_back_is_where_it_goes_on() {
    let mut feed = Feed::new(9);
    feed.numbers(120, |_| 10.0);
    let now = feed.now();
    feed.operator.automatic_from(4, now);
    let numbers = feed.numbers(70, |_| 10.0);
    assert_eq!(numbers[..59], [4; 59], "a whole window first: {numbers:?}");
    assert_eq!(numbers.last(), Some(&2), "{numbers:?}");
}

#[test]
fn a_gateway_that_starts_or_ends_only_delays_a_decrease() {
    let mut feed = Feed::new(8);
    feed.numbers(120, |_| 50.0);
    feed.operator.live = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let numbers: Vec<_> = (0..90)
        .map(|_| feed.second([Some(5.0), Some(5.0), None]).desired)
        .collect();
    assert!(
        changes(&numbers) >= 2 && numbers.last() <= Some(&3),
        "{numbers:?}"
    );
}
