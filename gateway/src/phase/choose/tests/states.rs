//! Revisions with weights: whose turn it is, and what becomes of a request whose revision cannot answer.

use super::*;
use crate::table::{Picks, RevisionState};

/// Of a model with these revisions, the newest first: number, weight, what is said of it, and how its endpoints are.
fn weighted(revisions: Vec<(i64, u8, RevisionState, &[EndpointState])>) -> Bound {
    let mut port = 0;
    let plain = revisions.iter().map(|(number, _, _, states)| {
        let endpoints = states.iter().map(|state| {
            port += 1;
            endpoint(port, *state)
        });
        (*number, endpoints.collect())
    });
    let mut bound = bound(plain.collect(), None);
    let deployment = Arc::get_mut(&mut bound.deployment).unwrap();
    for (of, (_, weight, state, _)) in deployment.revisions.iter_mut().zip(revisions) {
        (of.weight, of.state) = (weight, state);
    }
    let weights: Vec<u8> = deployment.revisions.iter().map(|r| r.weight).collect();
    deployment.picks = Picks::lay_out(&weights);
    assert!(deployment.picks.is_some(), "weights are 100 in all");
    bound
}

fn failing() -> RevisionState {
    RevisionState::Failing("ModelLoadFailed".into())
}

fn pinned(bound: &Bound, number: i64) -> Bound {
    Bound {
        pin: Some(number),
        ..bound.clone()
    }
}

fn rerouted(bound: &Bound, place: usize) -> u32 {
    let meter = &bound.deployment.revisions[place].live.meter;
    let span = Duration::from_secs(1);
    let load = meter.take(start(), span, (0, 0));
    load.map_or(0, |load| load.rerouted)
}

/// What is decided, in short.
fn decided(bound: &Bound, wish: &Wish<'_>) -> String {
    match choose(bound, wish, &draw(7, start())) {
        Choice::Forward(placed) => format!("forward to {}", placed.revision.number),
        Choice::Wait(wait) => format!("wait for {}, {:?}", wait.revision.number, wait.pods),
        Choice::Refuse(refused) => {
            let wake = if refused.wake { ", and wake" } else { "" };
            format!("{}{wake}", refused.error.text)
        }
    }
}

#[track_caller]
fn check(bound: &Bound, expect: &str) {
    assert_eq!(decided(bound, &Wish::default()), expect);
}

fn shares(bound: &Bound, wish: impl Fn(u32) -> String) -> BTreeMap<i64, u32> {
    let mut shares = BTreeMap::new();
    for number in 0..2000 {
        let value = wish(number);
        let wish = Wish {
            sticky: Some(value.as_bytes()).filter(|value| !value.is_empty()),
            ..Wish::default()
        };
        let Choice::Forward(placed) = choose(bound, &wish, &draw(7, start())) else {
            panic!("all have pods");
        };
        *shares.entry(placed.revision.number).or_default() += 1;
    }
    shares
}

#[test]
fn revisions_get_as_many_as_their_weights_whatever_number_of_pods_they_have() {
    let two = weighted(vec![
        (8, 5, RevisionState::Ready, &[Ready]),
        (7, 95, RevisionState::Ready, &[Ready, Ready, Ready]),
        (6, 0, RevisionState::Ready, &[Ready; 9]),
    ]);
    let expect = BTreeMap::from([(7, 1900), (8, 100)]);
    assert_eq!(shares(&two, |_| String::new()), expect);
}

#[test]
fn callers_with_one_value_stay_on_one_revision() {
    let two = weighted(vec![
        (8, 50, RevisionState::Ready, &[Ready]),
        (7, 50, RevisionState::Ready, &[Ready]),
    ]);
    assert_eq!(shares(&two, |_| "ana".to_owned()).len(), 1);
    let of_many = shares(&two, |number| number.to_string());
    assert!(of_many.values().all(|share| (900..1100).contains(share)));
}

#[test]
fn a_value_has_a_bound_and_an_empty_one_is_none() {
    let headers = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(STICKY, value.parse().unwrap());
        headers
    };
    let (long, longer) = (headers(&"a".repeat(128)), headers(&"a".repeat(129)));
    assert_eq!(Wish::of(&long).unwrap().sticky.map(<[u8]>::len), Some(128));
    assert_eq!(Wish::of(&longer).unwrap_err().kind, Kind::BadRequest);
    assert_eq!(Wish::of(&headers("")).unwrap().sticky, None);
    assert_eq!(Wish::of(&HeaderMap::new()).unwrap().sticky, None);
}

#[test]
fn whoever_names_a_revision_gets_it_whatever_its_weight_is() {
    let preview = weighted(vec![
        (8, 0, RevisionState::Ready, &[Ready]),
        (7, 100, RevisionState::Ready, &[Ready]),
    ]);
    check(&preview, "forward to 7");
    check(&pinned(&preview, 8), "forward to 8");
}

#[test]
fn a_revision_whose_pods_are_busy_is_waited_for() {
    let mut busy = weighted(vec![
        (8, 100, RevisionState::Ready, &[Ready, Ready]),
        (7, 0, RevisionState::Ready, &[Ready]),
    ]);
    Arc::get_mut(&mut busy.deployment).unwrap().capacity.per_pod = 2;
    let taken: Vec<Placed> = (0..9)
        .map_while(|_| placed(&busy, None, 7, start()))
        .collect();
    assert_eq!(taken.len(), 4);
    check(&busy, "wait for 8, Busy");
    check(&pinned(&busy, 8), "wait for 8, Busy");
    drop(taken);
    check(&busy, "forward to 8");
}

#[test]
fn whoever_waits_for_one_that_lost_its_share_goes_to_the_one_that_has_it() {
    let replaced = |pods| {
        weighted(vec![
            (8, 100, RevisionState::Starting, pods),
            (7, 0, RevisionState::AtZero, &[]),
        ])
    };
    let given = Wish {
        given: Some("revision7"),
        ..Wish::default()
    };
    assert_eq!(decided(&replaced(&[]), &given), "wait for 7, Missing");
    assert_eq!(decided(&replaced(&[Ready]), &given), "forward to 8");
}

#[test]
fn one_that_is_asleep_or_starting_is_waited_for() {
    for state in [RevisionState::AtZero, RevisionState::Starting] {
        let asleep = weighted(vec![
            (8, 100, state, &[]),
            (7, 0, RevisionState::Ready, &[Ready]),
        ]);
        check(&asleep, "wait for 8, Missing");
        check(&pinned(&asleep, 8), "wait for 8, Missing");
    }
    let not_yet = weighted(vec![(8, 100, RevisionState::Starting, &[NotReady])]);
    check(&not_yet, "wait for 8, Missing");
}

#[test]
fn one_that_has_no_share_is_not_woken() {
    let preview = weighted(vec![
        (8, 0, RevisionState::AtZero, &[]),
        (7, 100, RevisionState::Ready, &[Ready]),
    ]);
    check(&pinned(&preview, 8), "Model iris is not ready: AtZero");
    assert_eq!(rerouted(&preview, 0), 0);
}

#[test]
fn requests_for_one_that_fails_go_to_that_with_most_pods_and_are_counted() {
    let states: [(RevisionState, &[EndpointState]); 4] = [
        (failing(), &[]),
        (failing(), &[NotReady]),
        (RevisionState::Ready, &[]),
        (RevisionState::Ready, &[NotReady]),
    ];
    for (state, endpoints) in states {
        let bad = weighted(vec![
            (8, 98, state, endpoints),
            (7, 1, RevisionState::Ready, &[Ready]),
            (6, 1, RevisionState::Ready, &[Ready, Ready]),
            (5, 0, RevisionState::Ready, &[Ready, Ready, Ready]),
        ]);
        let given = Wish {
            given: Some("revision8"),
            ..Wish::default()
        };
        assert_eq!(decided(&bad, &given), "forward to 6");
        assert_eq!((rerouted(&bad, 0), rerouted(&bad, 2)), (1, 0));
        let asked_for = decided(&pinned(&bad, 8), &Wish::default());
        assert!(!asked_for.starts_with("forward"), "{asked_for}");
        assert_eq!(rerouted(&bad, 0), 0, "who names it is not counted");
    }
}

#[test]
fn without_another_one_the_reason_is_told_or_waited_out() {
    let only = |state, endpoints| weighted(vec![(8, 100, state, endpoints)]);
    check(
        &only(failing(), &[]),
        "Model iris is not ready: ModelLoadFailed, and wake",
    );
    check(
        &only(failing(), &[NotReady]),
        "Model iris is not ready: ModelLoadFailed, and wake",
    );
    check(&only(RevisionState::Ready, &[]), "wait for 8, Missing");
    let down = only(RevisionState::Ready, &[NotReady]);
    check(&down, "Model iris is not ready: Starting");
}

#[test]
fn a_model_whose_owner_wants_no_pods_is_not_waited_for() {
    let mut off = weighted(vec![(8, 100, RevisionState::AtZero, &[])]);
    Arc::get_mut(&mut off.deployment).unwrap().unready = Some(Unready {
        reason: "AtZero".into(),
        decided: true,
    });
    check(&off, "Model iris is not ready: AtZero");
    let mut ending = weighted(vec![(8, 100, RevisionState::AtZero, &[Serving])]);
    Arc::get_mut(&mut ending.deployment).unwrap().unready = off.deployment.unready.clone();
    check(&ending, "forward to 8");
}

#[test]
fn without_weights_nobody_would_see_who_waits() {
    let mut new = bound(vec![(8, Vec::new())], Some("Starting"));
    Arc::get_mut(&mut new.deployment).unwrap().revisions[0].state = RevisionState::Starting;
    check(&new, "Model iris is not ready: Starting");
    check(&pinned(&new, 8), "Model iris is not ready: Starting");
    let mut busy = ready(1);
    Arc::get_mut(&mut busy.deployment).unwrap().capacity.per_pod = 1;
    let taken = placed(&busy, None, 7, start()).unwrap();
    check(&busy, "wait for 1, Busy");
    drop(taken);
}

#[test]
fn who_was_given_a_revision_keeps_it_while_it_is_there() {
    let two = weighted(vec![
        (8, 100, RevisionState::Ready, &[Ready]),
        (7, 0, RevisionState::Ready, &[Ready]),
    ]);
    let given = |name| Wish {
        given: Some(name),
        ..Wish::default()
    };
    assert_eq!(decided(&two, &given("revision7")), "forward to 7");
    assert_eq!(decided(&two, &given("gone")), "forward to 8");
}

#[test]
fn a_second_attempt_stays_on_its_revision() {
    let two = weighted(vec![
        (8, 50, RevisionState::Ready, &[Ready]),
        (7, 50, RevisionState::Ready, &[Ready, Ready]),
    ]);
    let again = |name, port| Wish {
        given: Some(name),
        tried: Some(address(port)),
        ..Wish::default()
    };
    assert_eq!(decided(&two, &again("revision7", 2)), "forward to 7");
    let alone = decided(&two, &again("revision8", 1));
    assert_eq!(alone, "Model iris is not ready: Starting");
    assert_eq!(rerouted(&two, 0), 0);
}
