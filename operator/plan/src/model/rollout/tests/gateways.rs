//! What gateways say before pods may go.

use super::*;

/// Gateways with the version that each obeys; `None`: silent.
fn signals(versions: &[Option<i64>]) -> Signals {
    let gateway = |(number, version): (usize, &Option<i64>)| {
        let gateway = Gateway {
            silent: version.is_none(),
            traffic_version: *version,
            assigned: BTreeMap::new(),
        };
        (number.to_string(), gateway)
    };
    Signals {
        expected: true,
        gateways: versions.iter().enumerate().map(gateway).collect(),
        ..Signals::default()
    }
}

pub(super) fn obeyed() -> Signals {
    signals(&[Some(7), Some(7)])
}

fn with(signals: Signals, case: Case) -> Case {
    Case { signals, ..case }
}

const QUARTER: [i32; 3] = [75, 25, 0];

#[test]
fn nothing_shrinks_before_every_gateway_obeys() {
    let case = || rolling(4, (1, 0), QUARTER, [(4, 4), (1, 1), NONE]);
    let goes = Progress::Progressing;
    check(&with(obeyed(), case()), [3, 1, 0], QUARTER, goes);
    for lagging in [signals(&[Some(7), Some(6)]), signals(&[Some(7), None])] {
        check(&with(lagging, case()), [4, 1, 0], QUARTER, goes);
    }
    let gone = with(signals(&[]), case());
    check(&gone, [4, 1, 0], QUARTER, Progress::GatewaysLagging);
}

#[test]
fn no_share_rises_before_every_gateway_obeys_the_last_one() {
    let case = || rolling(4, (1, 0), QUARTER, [(3, 3), (2, 2), NONE]);
    let goes = Progress::Progressing;
    check(&with(obeyed(), case()), [3, 2, 0], [50, 50, 0], goes);
    let lagging = with(signals(&[Some(7), None]), case());
    check(&lagging, [3, 2, 0], QUARTER, goes);
}

#[test]
fn fewer_replicas_wait_for_gateways_that_are_silent() {
    let case = || rolling(2, (1, 0), NEW, [NONE, (4, 4), NONE]);
    let stable = |signals| Case {
        stable: Some(NAMES[1]),
        ..with(signals, case())
    };
    check(&stable(obeyed()), [0, 2, 0], NEW, Progress::Complete);
    check(
        &stable(signals(&[Some(7), None])),
        [0, 4, 0],
        NEW,
        Progress::Complete,
    );
    check(&stable(signals(&[])), [0, 4, 0], NEW, Progress::Complete);
}

#[test]
fn pods_without_a_share_go_when_no_request_is_on_them() {
    let case = |now: i64, assigned: u32| {
        let mut signals = obeyed();
        let gateway = signals.gateways.get_mut("0").unwrap();
        gateway.assigned.insert(NAMES[0].to_owned(), assigned);
        Case {
            now,
            obeyed_since: Some(100),
            stable: Some(NAMES[1]),
            ..with(signals, rolling(4, (1, 0), NEW, [(2, 2), (4, 4), NONE]))
        }
    };
    let complete = Progress::Complete;
    check(&case(129, 0), [2, 4, 0], NEW, complete);
    assert_eq!(case(129, 0).decide().wake_at, Some(at(130)));
    check(&case(130, 0), [0, 4, 0], NEW, complete);
    check(&case(189, 3), [2, 4, 0], NEW, complete);
    check(&case(190, 3), [0, 4, 0], NEW, complete);
}

#[test]
fn a_failure_takes_requests_back_although_a_gateway_is_silent() {
    let failed = rolling(4, (1, 0), QUARTER, [(4, 4), (1, 1), NONE]).failed();
    let silent = with(signals(&[Some(7), None]), failed.clone());
    check(&silent, [4, 1, 0], OLD, Progress::RollingBack);
    let gone = with(signals(&[]), failed);
    check(&gone, [4, 1, 0], QUARTER, Progress::RollingBack);
}

#[test]
fn weights_are_numbered_above_any_that_a_gateway_knows() {
    let case = rolling(4, (1, 0), OLD, [(4, 4), (1, 1), NONE]);
    let case = with(signals(&[Some(7), Some(41)]), case);
    let decision = case.decide_from(&case.memory());
    assert_eq!(decision.memory.version, 42);
}

#[test]
fn what_gateways_know_is_outnumbered_though_there_is_nothing_to_serve() {
    let case = rolling(4, (1, 0), [0, 0, 0], [NONE; 3]);
    let case = with(
        signals(&[Some(41)]),
        Case {
            stable: None,
            ..case
        },
    );
    let lost = Remembered::default();
    let decision = case.decide_for(None, &lost);
    assert_eq!(
        (decision.progress, decision.memory.version),
        (Progress::NotAccepted, 42)
    );
    let again = case.decide_for(None, &decision.memory);
    assert_eq!(again, decision);
}

#[test]
fn what_is_too_many_stays_while_gateways_may_send_it_requests_though_there_is_nothing_to_serve() {
    let size = |said: &[Option<i64>]| {
        let case = rolling(1, (1, 0), [0, 0, 0], [(4, 4), NONE, NONE]);
        let case = Case {
            stable: None,
            ..case
        };
        let memory = Remembered {
            version: 7,
            ..Remembered::default()
        };
        let decision = with(signals(said), case).decide_for(None, &memory);
        decision.sizes[NAMES[0]]
    };
    assert_eq!(size(&[Some(7), None]), 4, "one is silent");
    assert_eq!(size(&[Some(6), Some(7)]), 4, "one obeys older shares");
    assert_eq!(size(&[]), 4, "there is none");
    assert_eq!(size(&[Some(7), Some(7)]), 1);
}

#[test]
fn the_deadline_does_not_count_while_gateways_are_waited_for() {
    let mut case = rolling(4, (1, 0), OLD, [(4, 4), (1, 0), NONE]);
    case.rollout.progressed = Some(at(0));
    case.now = 5000;
    let case = with(signals(&[Some(7), None]), case);
    let rollout = case.decide().memory.rollout.unwrap();
    assert_eq!((rollout.failure, rollout.progressed), (None, None));
}
