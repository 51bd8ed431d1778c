//! Steps with shares, durations, verdicts and approvals.

use aimass_crds::scalars::Duration as Text;

use super::gateways::obeyed;
use super::*;
use crate::model::analysis::Counts;

fn step(weight: i32, duration: &str, approval: bool) -> wire::CanaryStep {
    wire::CanaryStep {
        weight,
        duration: Some(Text(duration.to_owned())),
        approval: Some(approval),
    }
}

fn canary(steps: Vec<wire::CanaryStep>) -> wire::Rollout {
    wire::Rollout {
        strategy: Some(wire::Strategy::Canary),
        canary: Some(wire::Canary {
            steps: Some(steps),
            max_weight: None,
        }),
        ..wire::Rollout::default()
    }
}

/// Steps of 10 and 50 percent, each watched for 2 min, ten replicas.
pub(super) fn watched(shares: [i32; 3], pods: [(i32, i32); 3]) -> Case {
    Case {
        rules: canary(vec![step(10, "2m", false), step(50, "2m", false)]),
        signals: obeyed(),
        ..rolling(10, (1, 0), shares, pods)
    }
}

fn counts(ok: u64, failed: u64) -> Counts {
    Counts {
        ok,
        failed,
        ..Counts::default()
    }
}

impl Case {
    /// Answers and errors of the old and of the new revision.
    pub(super) fn counted(mut self, old: (u64, u64), new: (u64, u64)) -> Self {
        let both = [
            (NAMES[0], counts(old.0, old.1)),
            (NAMES[1], counts(new.0, new.1)),
        ];
        self.signals.counts = both.map(|(name, counts)| (name.to_owned(), counts)).into();
        self
    }

    pub(super) fn at(mut self, step: i32, now: i64) -> Self {
        self.rollout.step = step;
        self.rollout.passed = (1..step).collect();
        self.now = now;
        self
    }
}

const TEN: [i32; 3] = [90, 10, 0];
const HALF: [i32; 3] = [50, 50, 0];
const FULL: (i32, i32) = (10, 10);

#[test]
fn the_example_of_the_design_goes_as_it_says() {
    let goes = Progress::Progressing;
    let of = |shares, pods, number| watched(shares, pods).at(number, 10);
    // step 1: one pod for a tenth
    check(
        &of(OLD, [FULL, NONE, NONE], 0),
        [10, 1, 0],
        OLD,
        Progress::Starting,
    );
    check(&of(OLD, [FULL, (1, 1), NONE], 0), [10, 1, 0], TEN, goes);
    check(&of(TEN, [FULL, (1, 1), NONE], 1), [10, 1, 0], TEN, goes);
    // it has passed: five pods for one half, while the old one has them all
    let passed = |case: Case| {
        let mut case = case.counted((1000, 0), (100, 0));
        case.rollout.checked = Some(at(110));
        case.now = 130;
        case
    };
    check(
        &passed(of(TEN, [FULL, (1, 1), NONE], 1)),
        [10, 5, 0],
        TEN,
        goes,
    );
    check(
        &passed(of(TEN, [FULL, (5, 5), NONE], 1)),
        [10, 5, 0],
        HALF,
        goes,
    );
    // the last listed one has passed: the old one has only what it needs
    check(
        &passed(of(HALF, [FULL, (5, 5), NONE], 2)),
        [5, 8, 0],
        HALF,
        goes,
    );
    let mut portion = of(HALF, [(5, 5), (8, 8), NONE], 2);
    portion.rollout.passed.insert(2);
    check(&portion, [5, 8, 0], [25, 75, 0], goes);
    check(
        &of([25, 75, 0], [(5, 5), (8, 8), NONE], 3),
        [3, 10, 0],
        [25, 75, 0],
        goes,
    );
    check(
        &of([25, 75, 0], [(3, 3), (10, 10), NONE], 3),
        [3, 10, 0],
        NEW,
        goes,
    );
    check(
        &of(NEW, [(3, 3), (10, 10), NONE], 4),
        [3, 10, 0],
        NEW,
        Progress::Complete,
    );
}

#[test]
fn a_step_passes_by_time_and_verdict_and_by_neither_alone() {
    let case = |now, checked: Option<i64>, new| {
        let mut case = watched(TEN, [FULL, (1, 1), NONE]).at(1, now);
        case.rollout.checked = checked.map(at);
        case.counted((1000, 0), new).decide()
    };
    let passed = |decision: &Decision| {
        let rollout = decision.memory.rollout.clone().unwrap();
        (rollout.passed.contains(&1), decision.progress)
    };
    let goes = Progress::Progressing;
    assert_eq!(passed(&case(119, Some(100), (100, 0))), (false, goes));
    assert_eq!(passed(&case(120, Some(100), (100, 0))), (true, goes));
    assert_eq!(
        passed(&case(500, Some(480), (49, 0))),
        (false, Progress::Holding)
    );
    assert_eq!(
        passed(&case(500, Some(480), (0, 0))),
        (false, Progress::Holding)
    );
    // at the end of an interval it is judged
    let judged = case(30, None, (100, 0)).memory.rollout.unwrap();
    assert_eq!(judged.checked, Some(at(30)));
    assert_eq!(judged.checks.len(), 1);
}

#[test]
fn who_fails_twice_running_or_beyond_doubt_is_taken_back() {
    let case = |now, new| {
        watched(TEN, [FULL, (1, 1), NONE])
            .at(1, now)
            .counted((1000, 0), new)
    };
    let failed = |decision: &Decision| {
        let rollout = decision.memory.rollout.clone().unwrap();
        rollout.failure.map(|failure| failure.reason)
    };
    let dead = case(3, (0, 20));
    check(&dead, [10, 1, 0], OLD, Progress::RollingBack);
    assert_eq!(failed(&dead.decide()), Some(Reason::AnalysisFailed));
    let once = case(30, (96, 4));
    let first = once.decide();
    assert_eq!(
        (failed(&first), first.progress),
        (None, Progress::Progressing)
    );
    let mut twice = case(60, (192, 8));
    twice.rollout = first.memory.rollout.unwrap();
    assert_eq!(failed(&twice.decide()), Some(Reason::AnalysisFailed));
}

#[test]
fn a_verdict_that_does_not_come_is_waited_for_as_long_as_is_said() {
    let case = |now, on_max_hold| {
        let mut case = watched(TEN, [FULL, (1, 1), NONE]).at(1, now);
        case.rules.analysis = Some(wire::Analysis {
            max_hold: Some(Text("2h".to_owned())),
            on_max_hold: Some(on_max_hold),
            error_rate: Some(wire::ErrorRate {
                max: Some(aimass_crds::scalars::Percent("1%".to_owned())),
                max_increase: None,
            }),
            ..wire::Analysis::default()
        });
        case.decide()
    };
    let limit = 2 * 3600 + 120;
    let before = case(limit - 1, wire::OnMaxHold::Rollback);
    assert_eq!(before.progress, Progress::Holding);
    let after = case(limit, wire::OnMaxHold::Rollback);
    let failure = after.memory.rollout.unwrap().failure.unwrap();
    assert_eq!(failure.reason, Reason::AnalysisInconclusive);
    let promoted = case(limit, wire::OnMaxHold::Promote);
    assert!(promoted.memory.rollout.unwrap().passed.contains(&1));
}

#[test]
fn a_greatest_share_is_not_exceeded() {
    let mut case = watched(TEN, [FULL, (1, 1), NONE]).at(1, 10);
    case.rollout.passed.insert(1);
    if let Some(canary) = &mut case.rules.canary {
        canary.max_weight = Some(40);
    }
    check(&case, [10, 1, 0], TEN, Progress::AtMaxWeight);
}

#[test]
fn steps_that_are_edited_go_on_with_the_first_that_is_not_below() {
    let case = |steps| Case {
        rules: canary(steps),
        ..watched(TEN, [FULL, (5, 5), NONE])
    };
    let goal = |steps| {
        let mut case = case(steps).at(1, 10);
        case.rollout.passed.insert(1);
        NAMES.map(|name| case.decide().memory.traffic.of(name))
    };
    let plain = |weight| step(weight, "2m", false);
    assert_eq!(goal(vec![plain(10), plain(20)]), [80, 20, 0]);
    assert_eq!(goal(vec![plain(30), plain(60)]), [70, 30, 0]);
    // the step of this share has another number: it is watched
    assert_eq!(goal(vec![plain(5), plain(10), plain(50)]), TEN);
}

#[test]
fn a_stable_revision_that_is_broken_is_no_measure() {
    let mut case = watched(OLD, [(10, 0), (1, 1), NONE]).at(0, 10);
    let failure = PodFailure {
        reason: Reason::OutOfMemory,
        message: "what is".to_owned(),
        pod: None,
        decisive: true,
    };
    case.failures.insert(NAMES[0].to_owned(), failure);
    check(&case, [10, 10, 0], OLD, Progress::Progressing);
    case.pods[1] = (10, 10);
    check(&case, [10, 10, 0], NEW, Progress::Progressing);
}

#[test]
fn while_nobody_calls_a_step_is_held_without_a_pod() {
    let mut case = watched(TEN, [NONE, (1, 1), NONE]).at(1, 500);
    (case.desired, case.fixed) = (0, false);
    check(&case, [0, 0, 0], TEN, Progress::Holding);
    // the first caller wakes both
    case.desired = 1;
    check(&case, [1, 1, 0], TEN, Progress::Holding);
}

#[test]
fn without_gateways_nobody_can_judge() {
    let mut case = watched(TEN, [FULL, (1, 1), NONE]).at(1, 9000);
    case.signals = Signals::default();
    check(&case, [10, 1, 0], TEN, Progress::Holding);
}
