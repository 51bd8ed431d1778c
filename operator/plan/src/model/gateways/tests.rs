//! Who obeys, row by row: what each gateway says.

use std::collections::BTreeMap;

use super::*;
use crate::model::observed::Gateway;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Gateways that obey a version (`None`: none that they know of), or are silent.
fn signals(gateways: &[(Option<i64>, bool)]) -> Signals {
    let gateways = gateways.iter().enumerate().map(|(number, said)| {
        let gateway = Gateway {
            traffic_version: said.0,
            silent: said.1,
            assigned: BTreeMap::new(),
        };
        (number.to_string(), gateway)
    });
    Signals {
        expected: true,
        gateways: gateways.collect(),
        ..Signals::default()
    }
}

fn of(signals: &Signals) -> Gateways<'_> {
    Gateways {
        signals,
        version: 7,
        obeyed_since: Some(at(100)),
        lagging_since: None,
    }
}

#[track_caller]
fn check(gateways: &[(Option<i64>, bool)], obey: bool, newest: i64) {
    let signals = signals(gateways);
    assert_eq!((of(&signals).obey(), of(&signals).newest()), (obey, newest));
}

#[test]
fn all_have_to_say_that_they_obey() {
    check(&[(Some(7), false), (Some(7), false)], true, 7);
    check(&[(Some(7), false), (Some(6), false)], false, 7);
    check(&[(Some(7), false), (Some(7), true)], false, 7);
    check(&[(Some(7), false), (None, false)], false, 7);
    check(&[(Some(9), false)], false, 9);
    check(&[], false, 0);
    assert!(of(&Signals::default()).obey(), "nobody is asked");
}

#[test]
fn weights_that_are_new_are_obeyed_by_nobody() {
    let signals = signals(&[(Some(7), false)]);
    assert_eq!(of(&signals).routed(7).have, 1);
    assert_eq!(of(&signals).routed(8).have, 0);
}

#[test]
fn pods_stay_until_no_request_can_be_on_them() {
    let mut signals = signals(&[(Some(7), false)]);
    let longest = SignedDuration::from_secs(60);
    let drained = |signals: &Signals, patient| {
        of(signals)
            .drained_at("old", (at(110), patient), longest)
            .map(Timestamp::as_second)
    };
    assert_eq!(drained(&signals, false), Some(110));
    assert_eq!(drained(&signals, true), Some(130));
    let gateway = signals.gateways.get_mut("0").unwrap();
    gateway.assigned.insert("old".to_owned(), 1);
    assert_eq!(drained(&signals, false), Some(190));
    signals.gateways.get_mut("0").unwrap().silent = true;
    assert_eq!(drained(&signals, false), None);
    assert_eq!(drained(&Signals::default(), true), Some(110));
}
