//! Requests that arrive at random, endpoints that take their time, and a clock of its own: how the load is shared.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::tests::{placed, randoms, ready, start};
use super::*;
use crate::table::live::health::Outcome;

/// The share of endpoint 2 of `requests`, which arrive `per_second` on average; each takes exponentially distributed time,
/// on average as many milliseconds as its endpoint is slow.
fn share_of_the_last(per_second: f64, service_ms: [f64; 3], requests: u32) -> f64 {
    let (bound, start) = (ready(3), start());
    let mut random = randoms();
    // From 0 to 1; fifty bits are enough.
    let mut unit = || (random.next().unwrap() >> 14) as f64 / (1_u64 << 50) as f64;
    let mut exponential = |mean: f64| -(1.0 - unit()).ln() * mean;
    let mut draws = randoms().skip(12_345);
    let mut under_way: BinaryHeap<Reverse<(Duration, u32)>> = BinaryHeap::new();
    let mut flights = std::collections::BTreeMap::new();
    let (mut now, mut last) = (Duration::ZERO, 0_u32);
    for number in 0..requests {
        now += Duration::from_secs_f64(exponential(1.0 / per_second));
        while let Some(Reverse((end, ended))) = under_way.peek().copied() {
            if end > now {
                break;
            }
            under_way.pop();
            let choice: Option<Placed> = flights.remove(&ended);
            let mut flight = choice.unwrap().flight;
            flight.report(Outcome::Answered, start + end, 0);
        }
        let choice = placed(&bound, None, draws.next().unwrap(), start + now).unwrap();
        let place = usize::from(choice.endpoint.address.port());
        last += u32::from(place == 2);
        let took = Duration::from_secs_f64(exponential(service_ms[place] / 1000.0));
        under_way.push(Reverse((now + took, number)));
        flights.insert(number, choice);
    }
    f64::from(last) / f64::from(requests)
}

#[test]
fn one_of_three_that_is_ten_times_slower_gets_at_most_nine_percent() {
    for per_second in [5.0, 20.0, 50.0, 100.0, 200.0, 500.0, 2000.0] {
        let share = share_of_the_last(per_second, [10.0, 10.0, 100.0], 40_000);
        assert!(share <= 0.09, "at {per_second}/s it gets {share}");
    }
}

#[test]
fn three_that_are_equally_fast_share_evenly() {
    for per_second in [5.0, 100.0, 1000.0] {
        let share = share_of_the_last(per_second, [10.0, 10.0, 10.0], 20_000);
        let even = (share - 1.0 / 3.0).abs() < 0.02;
        assert!(even, "at {per_second}/s it gets {share}");
    }
}
