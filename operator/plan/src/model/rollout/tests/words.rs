//! What a person says of a rollout, and which revision is served.

use super::canary::watched;
use super::*;

fn says(mut case: Case, action: wire::Action, number: i32) -> Case {
    case.rules.decision = Some(wire::Decision {
        revision: NAMES[1].to_owned(),
        action,
        step: Some(number),
        attempt: Some(number),
    });
    case
}

const TEN: [i32; 3] = [90, 10, 0];
const FULL: (i32, i32) = (10, 10);

#[test]
fn abort_takes_back_at_once_and_holds_for_its_revision_alone() {
    let case = || watched(TEN, [FULL, (1, 1), NONE]).at(1, 10);
    let aborted = says(case(), wire::Action::Abort, 1);
    check(&aborted, [10, 1, 0], OLD, Progress::RollingBack);
    let mut ended = watched(OLD, [FULL, NONE, NONE]).at(1, 10);
    ended.rollout.failure = Some(failure(Reason::Aborted));
    check(&ended, [10, 0, 0], OLD, Progress::Aborted);
    let mut other = says(case(), wire::Action::Abort, 1);
    if let Some(decision) = &mut other.rules.decision {
        NAMES[2].clone_into(&mut decision.revision);
    }
    check(&other, [10, 1, 0], TEN, Progress::Progressing);
    // also where failures are not taken back, and after one
    let mut stuck = says(case().failed(), wire::Action::Abort, 1);
    stuck.rules.auto_rollback = Some(false);
    check(&stuck, [10, 1, 0], OLD, Progress::RollingBack);
}

#[test]
fn promote_lets_no_step_wait_but_for_pods_and_gateways() {
    let case = |shares, pods| says(watched(shares, pods).at(1, 10), wire::Action::Promote, 1);
    let goes = Progress::Progressing;
    check(&case(TEN, [FULL, (1, 1), NONE]), [9, 4, 0], TEN, goes);
    check(
        &case(TEN, [FULL, (4, 4), NONE]),
        [10, 4, 0],
        [65, 35, 0],
        goes,
    );
    let dead = case(TEN, [FULL, (1, 1), NONE]).counted((1000, 0), (0, 50));
    check(&dead, [9, 4, 0], TEN, goes);
}

#[test]
fn retry_holds_for_one_attempt() {
    let failed = || watched(OLD, [FULL, NONE, NONE]).at(0, 10).failed();
    check(&failed(), [10, 0, 0], OLD, Progress::RolledBack);
    let again = says(failed(), wire::Action::Retry, 1);
    check(&again, [10, 1, 0], OLD, Progress::Starting);
    let rollout = again.decide().memory.rollout.unwrap();
    assert_eq!((rollout.attempt, rollout.failed()), (2, None));
    assert!(rollout.failure.is_some(), "kept until it succeeds");
    let mut twice = again;
    twice.rollout = rollout;
    twice.rollout.failure = Some(Failed {
        attempt: 2,
        ..failure(Reason::StartTimeout)
    });
    check(&twice, [10, 0, 0], OLD, Progress::RolledBack);
}

#[test]
fn a_revision_that_is_pinned_takes_no_steps() {
    let mut case = watched(OLD, [FULL, (1, 1), NONE]).at(0, 10);
    case.rules.pin = Some(NAMES[1].to_owned());
    check(&case, [10, 10, 0], OLD, Progress::Progressing);
    case.pods[1] = FULL;
    check(&case, [10, 10, 0], NEW, Progress::Progressing);
    case.shares = NEW;
    case.stable = Some(NAMES[1]);
    check(&case, [10, 10, 0], NEW, Progress::Pinned);
}
