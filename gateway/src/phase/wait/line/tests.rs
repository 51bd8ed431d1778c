//! Guests, seats, and slots that come free.

use std::net::IpAddr;

use super::super::super::choose::tests::{draw, ready, start};
use super::super::super::choose::{Choice, Wish, choose};
use super::super::super::permit::Bound;
use super::*;

const CAPS: Caps = Caps {
    requests: 2,
    bytes: 100,
};

fn guest(last: u8, pinned: bool) -> Guest {
    Guest {
        caller: Holder::Address(IpAddr::from([10, 0, 0, last])),
        bytes: 10,
        pinned,
    }
}

#[track_caller]
fn seated(live: &Arc<RevisionLive>, last: u8, pinned: bool) -> (Seat, bool) {
    match enter(live, CAPS, guest(last, pinned)) {
        Entered::Seated { seat, first } => (seat, first),
        Entered::Full(entries) => panic!("{entries} wait"),
    }
}

fn placed(bound: &Bound) -> Placed {
    match choose(bound, &Wish::default(), &draw(7, start())) {
        Choice::Forward(placed) => placed,
        other => panic!("{other:?}"),
    }
}

fn is_told(seat: &mut Seat) -> String {
    match seat.called.try_recv() {
        Ok(Call::Go(_)) => "go".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_first_one_sees_to_it_that_somebody_calls() {
    let live = Arc::<RevisionLive>::default();
    let (first, is_first) = seated(&live, 1, false);
    let (second, is_second) = seated(&live, 2, false);
    assert_eq!((is_first, is_second, live.line.count()), (true, false, 2));
    assert!(!live.line.close(), "two wait");
    drop((first, second));
    assert_eq!(live.line.count(), 0);
    let (third, is_first) = seated(&live, 3, false);
    assert!(!is_first, "whoever called has not gone yet");
    drop(third);
    assert!(live.line.close());
    let (_fourth, is_first) = seated(&live, 4, false);
    assert!(is_first);
}

#[test]
fn a_slot_goes_to_the_one_whose_turn_it_is_and_not_to_one_that_has_left() {
    let (bound, live) = (ready(1), Arc::<RevisionLive>::default());
    let (mut first, _) = seated(&live, 1, false);
    let (mut second, _) = seated(&live, 2, false);
    // It has stopped listening, but its seat is not given back yet.
    first.called.close();
    live.line.hand(placed(&bound));
    assert_eq!(is_told(&mut second), "go");
    assert_eq!(live.line.count(), 0);
    drop((first, second));
    // Nobody is there any more: the pod has it back.
    live.line.hand(placed(&bound));
    let pod = &bound.deployment.revisions[0].endpoints[0].live;
    assert_eq!(pod.in_flight.load(Ordering::Relaxed), 0);
}

#[test]
fn those_that_asked_for_the_revision_are_told_apart() {
    let live = Arc::<RevisionLive>::default();
    let (mut free, _) = seated(&live, 1, false);
    let (mut pinned, _) = seated(&live, 2, true);
    live.line.dismiss(false);
    assert_eq!(is_told(&mut free), "Ok(Again)");
    assert_eq!(is_told(&mut pinned), "Err(Empty)");
    live.line.dismiss(true);
    assert_eq!(is_told(&mut pinned), "Ok(Again)");
    assert_eq!(live.line.count(), 0);
}

#[test]
fn who_loses_its_place_is_told_and_who_finds_none_is_refused() {
    let live = Arc::<RevisionLive>::default();
    let (_first, _) = seated(&live, 1, false);
    let (mut second, _) = seated(&live, 1, false);
    let (_other, _) = seated(&live, 2, false);
    assert_eq!(is_told(&mut second), "Ok(Lost)");
    let refused = enter(&live, CAPS, guest(3, false));
    assert!(matches!(refused, Entered::Full(2)), "{refused:?}");
}

#[test]
fn whoever_comes_does_not_overtake_those_that_wait() {
    let bound = ready(2);
    let (seat, _) = seated(&bound.deployment.revisions[0].live, 1, false);
    let choice = choose(&bound, &Wish::default(), &draw(7, start()));
    assert!(matches!(choice, Choice::Wait(_)), "{choice:?}");
    drop(seat);
    drop(placed(&bound));
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_comes_free_is_told_while_somebody_waits() {
    use tokio::time::{Duration, timeout};
    let live = Arc::<RevisionLive>::default();
    let told = async || {
        let changed = timeout(Duration::from_millis(1), live.line.changed());
        changed.await.is_ok()
    };
    live.line.freed();
    assert!(!told().await, "nobody waits");
    let (seat, _) = seated(&live, 1, false);
    assert!(told().await, "the first one comes");
    live.line.freed();
    assert!(told().await);
    drop(seat);
    assert!(told().await, "the last one has left");
}
