//! BlueGreen: all pods first, then all requests, then the old ones for a while.

use aimass_crds::scalars::Duration as Text;

use super::gateways::obeyed;
use super::*;

fn switch(shares: [i32; 3], pods: [(i32, i32); 3], step: i32, now: i64) -> Case {
    let mut case = rolling(4, (1, 0), shares, pods);
    case.signals = obeyed();
    case.rules = wire::Rollout {
        strategy: Some(wire::Strategy::BlueGreen),
        blue_green: Some(wire::BlueGreen {
            soak: Some(Text("1m".to_owned())),
            approval: Some(false),
            keep_old: Some(Text("10m".to_owned())),
        }),
        ..wire::Rollout::default()
    };
    case.rollout.step = step;
    case.rollout.step_started = (step > 0).then_some(at(0));
    case.rollout.passed = (1..step).collect();
    case.now = now;
    case
}

const FULL: (i32, i32) = (4, 4);

#[test]
fn all_pods_stand_ready_before_the_switch_and_after_it() {
    let goes = Progress::Progressing;
    let starting = Progress::Starting;
    check(
        &switch(OLD, [FULL, NONE, NONE], 0, 10),
        [4, 4, 0],
        OLD,
        starting,
    );
    check(
        &switch(OLD, [FULL, (4, 3), NONE], 0, 10),
        [4, 4, 0],
        OLD,
        goes,
    );
    let soaks = switch(OLD, [FULL, FULL, NONE], 0, 10);
    check(&soaks, [4, 4, 0], OLD, goes);
    assert_eq!(soaks.decide().memory.rollout.unwrap().step, 1);
    check(
        &switch(OLD, [FULL, FULL, NONE], 1, 59),
        [4, 4, 0],
        OLD,
        goes,
    );
    check(
        &switch(OLD, [FULL, FULL, NONE], 1, 60),
        [4, 4, 0],
        NEW,
        goes,
    );
    check(
        &switch(NEW, [FULL, FULL, NONE], 2, 599),
        [4, 4, 0],
        NEW,
        goes,
    );
    check(
        &switch(NEW, [FULL, FULL, NONE], 2, 600),
        [0, 4, 0],
        NEW,
        Progress::Complete,
    );
}

#[test]
fn a_failure_after_the_switch_leads_back_in_one_change() {
    let case = switch(NEW, [FULL, FULL, NONE], 2, 30).failed();
    check(&case, [4, 4, 0], OLD, Progress::RollingBack);
    let dead = switch(NEW, [FULL, FULL, NONE], 2, 30).counted((0, 0), (0, 200));
    let mut dead = dead;
    dead.rules.analysis = Some(wire::Analysis {
        error_rate: Some(wire::ErrorRate {
            max: Some(aimass_crds::scalars::Percent("1%".to_owned())),
            max_increase: None,
        }),
        ..wire::Analysis::default()
    });
    check(&dead, [4, 4, 0], OLD, Progress::RollingBack);
}

#[test]
fn the_switch_waits_for_a_person_where_that_is_asked() {
    let mut case = switch(OLD, [FULL, FULL, NONE], 1, 60);
    if let Some(blue_green) = &mut case.rules.blue_green {
        blue_green.approval = Some(true);
    }
    check(&case, [4, 4, 0], OLD, Progress::AwaitingApproval);
    case.rules.decision = Some(wire::Decision {
        revision: NAMES[1].to_owned(),
        action: wire::Action::Continue,
        step: Some(1),
        attempt: None,
    });
    check(&case, [4, 4, 0], NEW, Progress::Progressing);
}
