//! Tables of endpoints, and which of them is chosen.

mod states;

use std::collections::BTreeMap;
use std::time::Duration;

use aimass_protocol::Kind;
use proptest::prelude::*;

use std::sync::atomic::Ordering;

use super::*;
use crate::table::EndpointState::{NotReady, Ready, Serving};
use crate::table::live::health::Outcome;
use crate::table::{Capacity, Endpoint, EndpointState, Unready, samples};

pub(in crate::phase) fn start() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn address(number: u16) -> SocketAddr {
    ([10, 0, 0, 1], number).into()
}

fn endpoint(number: u16, state: EndpointState) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        address: address(number),
        state,
        found: std::sync::atomic::AtomicBool::new(false),
        live: Arc::default(),
    })
}

/// A request for a model with these revisions, and no pin.
pub(super) fn bound(revisions: Vec<(i64, Vec<Arc<Endpoint>>)>, unready: Option<&str>) -> Bound {
    let revisions = revisions.into_iter().map(|(number, endpoints)| Revision {
        endpoints,
        ..samples::revision(&format!("revision{number}"), number)
    });
    let sample = samples::model("iris", 0);
    let deployment = Deployment {
        capacity: Capacity {
            per_pod: 1000,
            ..sample.capacity
        },
        unready: unready.map(|reason| Unready {
            reason: reason.into(),
            decided: false,
        }),
        revisions: revisions.collect(),
        ..sample
    };
    Bound {
        deployment: Arc::new(deployment),
        pin: None,
        path: String::new(),
    }
}

/// Of one revision, whose endpoints are in these states and have the ports 0, 1, 2 …
pub(super) fn of_states(states: &[EndpointState]) -> Bound {
    let endpoints = (0_u16..).zip(states);
    let endpoints = endpoints.map(|(number, state)| endpoint(number, *state));
    bound(vec![(1, endpoints.collect())], None)
}

pub(in crate::phase) fn ready(count: usize) -> Bound {
    of_states(&vec![Ready; count])
}

fn live(bound: &Bound, number: usize) -> &Arc<crate::table::live::EndpointLive> {
    &bound.deployment.revisions[0].endpoints[number].live
}

fn begin(bound: &Bound, number: usize, now: Instant) -> crate::table::live::Flight {
    live(bound, number).begin(u32::MAX, now).unwrap()
}

/// The first numbers of a well-known generator (splitmix64).
pub(super) fn randoms() -> impl Iterator<Item = u64> {
    let mut state = 7_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

pub(in crate::phase) fn draw(random: u64, now: Instant) -> Draw {
    Draw {
        random,
        offset: 0,
        gateways: 1,
        now,
    }
}

/// The pod that is chosen, if one is.
pub(super) fn placed(
    bound: &Bound,
    tried: Option<SocketAddr>,
    random: u64,
    now: Instant,
) -> Option<Placed> {
    let wish = Wish {
        tried,
        ..Wish::default()
    };
    match choose(bound, &wish, &draw(random, now)) {
        Choice::Forward(placed) => Some(placed),
        Choice::Wait(_) | Choice::Refuse(_) => None,
    }
}

/// How often each port is chosen of 1000 times, one request after the other.
fn chosen(bound: &Bound, now: Instant) -> BTreeMap<u16, usize> {
    let mut chosen = BTreeMap::new();
    for random in randoms().take(1000) {
        let choice = placed(bound, None, random, now).unwrap();
        *chosen.entry(choice.endpoint.address.port()).or_default() += 1;
    }
    chosen
}

#[track_caller]
fn chooses_among(bound: &Bound, now: Instant, expect: &[u16]) {
    let chosen: Vec<_> = chosen(bound, now).into_keys().collect();
    assert_eq!(chosen, expect);
}

#[track_caller]
fn refuses(bound: &Bound, text: &str) {
    let Choice::Refuse(refused) = choose(bound, &Wish::default(), &draw(7, start())) else {
        panic!("it is refused");
    };
    let error = refused.error;
    assert_eq!((error.kind, error.text.as_str()), (Kind::NotReady, text));
}

fn fail(bound: &Bound, number: usize, times: usize, now: Instant) {
    for _ in 0..times {
        begin(bound, number, now).report(Outcome::Failed, now, 250);
    }
}

#[test]
fn all_that_are_ready_are_equal() {
    for (port, count) in chosen(&ready(4), start()) {
        assert!((200..300).contains(&count), "{port}: {count}");
    }
}

#[test]
fn what_serves_is_asked_only_where_nothing_is_ready() {
    let now = start();
    chooses_among(&of_states(&[Ready, Serving, NotReady, Ready]), now, &[0, 3]);
    chooses_among(&of_states(&[NotReady, Serving, Serving]), now, &[1, 2]);
    chooses_among(&of_states(&[NotReady, Serving]), now, &[1]);
}

#[test]
fn without_any_the_reason_is_told() {
    refuses(&ready(0), "Model iris is not ready: Starting");
    refuses(&of_states(&[NotReady]), "Model iris is not ready: Starting");
    let failed = bound(Vec::new(), Some("ModelLoadFailed"));
    refuses(&failed, "Model iris is not ready: ModelLoadFailed");
}

#[test]
fn a_reason_is_no_obstacle_where_pods_are_ready() {
    let endpoints = vec![endpoint(0, Ready)];
    let degraded = bound(vec![(1, endpoints)], Some("Degraded"));
    chooses_among(&degraded, start(), &[0]);
}

#[test]
fn all_revisions_are_equal_and_a_pin_means_one() {
    let both = bound(
        vec![
            (8, vec![endpoint(0, Ready)]),
            (7, vec![endpoint(1, Ready), endpoint(2, Ready)]),
            (6, Vec::new()),
        ],
        None,
    );
    chooses_among(&both, start(), &[0, 1, 2]);
    let pinned = |pin| Bound {
        pin: Some(pin),
        ..both.clone()
    };
    chooses_among(&pinned(7), start(), &[1, 2]);
    let chosen = placed(&pinned(8), None, 7, start()).unwrap().revision;
    assert_eq!((&*chosen.name, chosen.number), ("revision8", 8));
    refuses(&pinned(6), "Model iris is not ready: Starting");
}

#[test]
fn fewer_in_flight_wins_and_all_are_counted() {
    let (bound, now) = (ready(2), start());
    let busy = begin(&bound, 0, now);
    chooses_among(&bound, now, &[1]);
    drop(busy);
    chooses_among(&bound, now, &[0, 1]);
    let bound = ready(3);
    let held: Vec<_> = randoms()
        .take(300)
        .map(|random| placed(&bound, None, random, now).unwrap())
        .collect();
    for number in 0..3 {
        let in_flight = live(&bound, number).in_flight.load(Ordering::Relaxed);
        assert!((95..=105).contains(&in_flight), "{number}: {in_flight}");
    }
    drop(held);
    assert_eq!(live(&bound, 0).in_flight.load(Ordering::Relaxed), 0);
}

#[test]
fn of_equals_the_one_that_is_twice_as_fast_wins() {
    let with = |first_ms, second_ms| {
        let (bound, now) = (ready(2), start());
        for (number, ms) in [first_ms, second_ms].into_iter().enumerate() {
            let after = now + Duration::from_millis(ms);
            let mut flight = begin(&bound, number, now);
            flight.report(Outcome::Answered, after, 0);
        }
        chosen(&bound, now).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(with(100, 49), [1]);
    assert_eq!(with(49, 100), [0]);
    assert_eq!(with(100, 50), [0, 1]);
}

#[test]
fn one_that_failed_is_left_out_and_tried_by_one_request() {
    let (bound, now) = (ready(3), start());
    fail(&bound, 1, 5, now);
    chooses_among(&bound, now, &[0, 2]);
    let later = now + Duration::from_secs(1);
    let mut held: Vec<_> = randoms()
        .take(100)
        .map(|random| placed(&bound, None, random, later).unwrap())
        .collect();
    let tries = |choice: &Placed| choice.endpoint.address == address(1);
    assert_eq!(held.iter().filter(|choice| tries(choice)).count(), 1);
    let trial = held.iter_mut().find(|choice| tries(choice)).unwrap();
    trial.flight.report(Outcome::Answered, later, 0);
    drop(held);
    chooses_among(&bound, later, &[0, 1, 2]);
}

#[test]
fn a_trial_that_its_caller_gives_up_is_followed_by_another() {
    let (bound, now) = (ready(2), start());
    fail(&bound, 1, 5, now);
    let later = now + Duration::from_secs(1);
    let busy = begin(&bound, 0, now);
    for _ in 0..3 {
        let trial = placed(&bound, None, 7, later).unwrap();
        assert_eq!(trial.endpoint.address, address(1));
        let other = placed(&bound, None, 7, later).unwrap();
        assert_eq!(other.endpoint.address, address(0), "one is enough");
    }
    drop(busy);
}

#[test]
fn never_more_than_half_are_out() {
    for count in 1..8 {
        let (bound, now) = (ready(count), start());
        for number in 0..count {
            // Each a little later, so that the first are back first.
            let number_ms = u64::try_from(number).unwrap();
            fail(&bound, number, 5, now + Duration::from_millis(number_ms));
        }
        let left = u16::try_from(count - count / 2).unwrap();
        let expect: Vec<_> = (0..left).collect();
        chooses_among(&bound, now, &expect);
    }
}

#[test]
fn who_stops_is_left_out_for_a_while_whatever_the_others_do() {
    let (bound, now) = (ready(3), start());
    for number in [0, 2] {
        begin(&bound, number, now).report(Outcome::Draining, now, 0);
    }
    chooses_among(&bound, now, &[1]);
    chooses_among(&bound, now + Duration::from_secs(5), &[0, 1, 2]);
    begin(&bound, 1, now).report(Outcome::Draining, now, 0);
    chooses_among(&bound, now, &[0, 1, 2]);
    let bound = of_states(&[Ready, Serving]);
    begin(&bound, 0, now).report(Outcome::Draining, now, 0);
    chooses_among(&bound, now, &[1]);
}

#[test]
fn a_second_attempt_goes_elsewhere() {
    let (bound, now) = (ready(2), start());
    for random in randoms().take(100) {
        let choice = placed(&bound, Some(address(0)), random, now).unwrap();
        assert_eq!(choice.endpoint.address, address(1));
    }
    assert!(placed(&ready(1), Some(address(0)), 7, now).is_none());
}

proptest! {
    #[test]
    fn there_is_a_choice_wherever_something_may_answer(
        endpoints in proptest::collection::vec((0_u8..3, 0_u8..4), 0..12),
        tried in 0_u16..12,
        random in any::<u64>(),
        later in 0_u64..3000,
    ) {
        let states: Vec<_> = endpoints
            .iter()
            .map(|(state, _)| [Ready, Serving, NotReady][usize::from(*state)])
            .collect();
        let (bound, now) = (of_states(&states), start());
        for (number, (_, trouble)) in endpoints.iter().enumerate() {
            match trouble {
                0 => fail(&bound, number, 5, now),
                1 => begin(&bound, number, now).report(Outcome::Draining, now, 0),
                _ => {}
            }
        }
        let later = now + Duration::from_millis(later);
        let choice = placed(&bound, Some(address(tried)), random, later);
        let mut others = (0_u16..).zip(&states).filter(|(number, _)| *number != tried);
        prop_assert_eq!(choice.is_some(), others.any(|(_, state)| *state != NotReady));
        if let Some(choice) = choice {
            let chosen = usize::from(choice.endpoint.address.port());
            prop_assert!(states[chosen] != NotReady);
            prop_assert!(choice.endpoint.address != address(tried));
            prop_assert_eq!(live(&bound, chosen).in_flight.load(Ordering::Relaxed), 1);
        }
    }
}
