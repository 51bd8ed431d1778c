//! Sizes, row by row: desired, portions, pods of stable, target and others.

use std::time::Duration;

use super::*;
use crate::model::valid::Strategy;
use aimass_crds::scalars::CountOrPercent;

fn rules(surge: i32, unavailable: i32) -> Rollout {
    let portions = aimass_crds::model_deployment::RollingUpdate {
        max_surge: Some(CountOrPercent(surge.to_string())),
        max_unavailable: Some(CountOrPercent(unavailable.to_string())),
    };
    let wire = aimass_crds::model_deployment::Rollout {
        rolling_update: Some(portions),
        ..Default::default()
    };
    crate::model::valid::rollout_for_tests(&wire)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// (size, ready) of `old`, `new` and `mid`, which is a superseded revision; in that order.
fn given(pods: [(i32, i32); 3]) -> BTreeMap<String, Pods> {
    ["old", "new", "mid"]
        .into_iter()
        .zip(pods)
        .map(|(name, (size, ready))| {
            (
                name.to_owned(),
                Pods {
                    size,
                    present: size,
                    ready,
                    any: size > 0,
                },
            )
        })
        .collect()
}

struct Case {
    desired: i32,
    rules: Rollout,
    pods: [(i32, i32); 3],
    stable: Option<&'static str>,
    failed: bool,
}

#[track_caller]
fn check(case: &Case, expect: [i32; 3], progress: Progress) {
    let pods = given(case.pods);
    let order = ["new", "mid", "old"].map(str::to_owned);
    let facts = Facts {
        desired: case.desired,
        suspended: false,
        rules: &case.rules,
        target: Some("new"),
        refused: None,
        failing: None,
        pods: &pods,
        order: &order,
    };
    let failure = case.failed.then(|| Failed {
        time: at(5),
        reason: Reason::StartTimeout,
        message: String::new(),
        pod: None,
    });
    let memory = Remembered {
        stable: case.stable.map(str::to_owned),
        rollout: Some(RolloutMemory {
            revision: "new".to_owned(),
            started: at(0),
            step: 0,
            step_started: Some(at(0)),
            failure,
        }),
    };
    let decision = next(&facts, &memory, at(10));
    let sizes = ["old", "new", "mid"].map(|name| decision.sizes.get(name).copied().unwrap_or(-1));
    assert_eq!((sizes, decision.progress), (expect, progress));
}

fn rolling(desired: i32, portions: (i32, i32), pods: [(i32, i32); 3]) -> Case {
    let rules = rules(portions.0, portions.1);
    Case {
        desired,
        rules,
        pods,
        stable: Some("old"),
        failed: false,
    }
}

const NONE: (i32, i32) = (0, 0);

#[test]
fn a_rolling_update_goes_in_portions() {
    check(
        &rolling(4, (1, 0), [(4, 4), NONE, NONE]),
        [4, 1, 0],
        Progress::Starting,
    );
    check(
        &rolling(4, (1, 0), [(4, 4), (1, 0), NONE]),
        [4, 1, 0],
        Progress::Starting,
    );
    check(
        &rolling(4, (1, 0), [(4, 4), (1, 1), NONE]),
        [3, 1, 0],
        Progress::Progressing,
    );
    check(
        &rolling(4, (1, 0), [(3, 3), (1, 1), NONE]),
        [3, 2, 0],
        Progress::Progressing,
    );
    check(
        &rolling(4, (2, 0), [(4, 4), NONE, NONE]),
        [4, 2, 0],
        Progress::Starting,
    );
    check(
        &rolling(4, (0, 1), [(4, 4), NONE, NONE]),
        [3, 0, 0],
        Progress::Starting,
    );
    check(
        &rolling(4, (0, 1), [(3, 3), NONE, NONE]),
        [3, 1, 0],
        Progress::Starting,
    );
    check(
        &rolling(4, (1, 0), [(1, 1), (4, 4), NONE]),
        [0, 4, 0],
        Progress::Complete,
    );
    check(
        &rolling(1, (1, 0), [(1, 1), NONE, NONE]),
        [1, 1, 0],
        Progress::Starting,
    );
}

#[test]
fn a_superseded_revision_serves_only_what_the_stable_one_does_not() {
    check(
        &rolling(4, (1, 0), [(2, 2), NONE, (2, 2)]),
        [2, 1, 2],
        Progress::Starting,
    );
    check(
        &rolling(4, (1, 0), [(4, 4), NONE, (1, 0)]),
        [4, 0, 0],
        Progress::Starting,
    );
    check(
        &rolling(4, (1, 0), [(2, 2), (1, 1), (2, 2)]),
        [2, 1, 1],
        Progress::Progressing,
    );
    let unproved = Case {
        stable: None,
        ..rolling(2, (1, 0), [NONE, NONE, (2, 1)])
    };
    check(&unproved, [0, 1, 1], Progress::Starting);
}

#[test]
fn more_replicas_during_a_rollout_come_at_once_where_it_is_safe() {
    check(
        &rolling(8, (1, 0), [(3, 3), (1, 1), NONE]),
        [7, 2, 0],
        Progress::Progressing,
    );
    check(
        &rolling(2, (1, 0), [(3, 3), (1, 1), NONE]),
        [1, 1, 0],
        Progress::Progressing,
    );
}

#[test]
fn a_stable_revision_without_ready_pods_waits_for_nobody() {
    check(
        &rolling(2, (1, 0), [(2, 0), (1, 1), NONE]),
        [1, 1, 0],
        Progress::Progressing,
    );
    check(
        &rolling(2, (1, 0), [(1, 0), (2, 2), NONE]),
        [0, 2, 0],
        Progress::Complete,
    );
}

#[test]
fn a_failed_rollout_returns_before_it_shrinks() {
    let failed = |pods| Case {
        failed: true,
        ..rolling(4, (1, 0), pods)
    };
    check(
        &failed([(2, 2), (3, 2), NONE]),
        [4, 2, 0],
        Progress::RollingBack,
    );
    check(
        &failed([(4, 3), (2, 2), NONE]),
        [4, 1, 0],
        Progress::RollingBack,
    );
    check(
        &failed([(4, 4), (1, 1), NONE]),
        [4, 0, 0],
        Progress::RolledBack,
    );
    let stays = |pods| Case {
        rules: Rollout {
            auto_rollback: false,
            ..rules(1, 0)
        },
        ..failed(pods)
    };
    check(&stays([(3, 3), (2, 1), NONE]), [3, 2, 0], Progress::Failed);
    let first = |pods| Case {
        stable: None,
        ..failed(pods)
    };
    check(&first([NONE, (4, 0), NONE]), [0, 1, 0], Progress::Failed);
    check(&first([NONE, (1, 1), NONE]), [0, 4, 0], Progress::Failed);
    check(&first([NONE, (4, 4), NONE]), [0, 4, 0], Progress::Complete);
}

#[test]
fn a_pause_stops_growth_and_nothing_else() {
    let paused = |pods| Case {
        rules: Rollout {
            paused: true,
            ..rules(1, 0)
        },
        ..rolling(4, (1, 0), pods)
    };
    check(&paused([(4, 4), NONE, NONE]), [4, 0, 0], Progress::Paused);
    check(&paused([(3, 3), (1, 1), NONE]), [3, 1, 0], Progress::Paused);
    check(&paused([(3, 3), (1, 0), NONE]), [4, 1, 0], Progress::Paused);
}

#[test]
fn recreate_ends_the_old_before_it_starts_the_new() {
    let recreate = |pods| Case {
        rules: Rollout {
            strategy: Strategy::Recreate,
            ..rules(1, 0)
        },
        ..rolling(2, (1, 0), pods)
    };
    check(
        &recreate([(2, 2), NONE, NONE]),
        [0, 0, 0],
        Progress::Starting,
    );
    check(&recreate([NONE, NONE, NONE]), [0, 2, 0], Progress::Starting);
    check(
        &recreate([NONE, (2, 2), NONE]),
        [0, 2, 0],
        Progress::Complete,
    );
    let back = |pods| Case {
        failed: true,
        ..recreate(pods)
    };
    check(&back([NONE, (2, 0), NONE]), [0, 0, 0], Progress::RolledBack);
    check(&back([NONE, NONE, NONE]), [2, 0, 0], Progress::RolledBack);
}

#[test]
fn a_deadline_passes_only_while_its_clock_runs() {
    let decide = |paused: bool, since: Option<i64>, now: i64| {
        let rules = Rollout {
            paused,
            progress_deadline: Duration::from_secs(600),
            ..rules(1, 0)
        };
        let pods = given([(4, 4), (1, 0), NONE]);
        let order = ["new", "old"].map(str::to_owned);
        let facts = Facts {
            desired: 4,
            suspended: false,
            rules: &rules,
            target: Some("new"),
            refused: None,
            failing: None,
            pods: &pods,
            order: &order,
        };
        let rollout = RolloutMemory {
            revision: "new".to_owned(),
            started: at(0),
            step: 0,
            step_started: since.map(at),
            failure: None,
        };
        let memory = Remembered {
            stable: Some("old".to_owned()),
            rollout: Some(rollout),
        };
        let decision = next(&facts, &memory, at(now));
        let rollout = decision.memory.rollout.unwrap();
        let wake = decision.wake_at.map(Timestamp::as_second);
        (
            rollout.failure.is_some(),
            rollout.step_started.map(Timestamp::as_second),
            wake,
        )
    };
    assert_eq!(decide(false, Some(0), 599), (false, Some(0), Some(600)));
    assert_eq!(decide(false, Some(0), 600), (true, Some(0), Some(600)));
    assert_eq!(decide(true, Some(0), 9999), (false, None, None));
    assert_eq!(decide(false, None, 9999), (false, Some(9999), Some(10599)));
}
