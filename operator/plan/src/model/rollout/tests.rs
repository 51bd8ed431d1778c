//! Rollouts, row by row: what each revision has and gets, in pods and in requests.

mod canary;
mod gateways;
mod switch;
mod words;

use std::collections::BTreeSet;

use aimass_crds::model_deployment as wire;
use aimass_crds::model_deployment::Weight;
use aimass_crds::scalars::CountOrPercent;

use super::*;
use crate::model::observed::{Gateway, Signals};
use crate::model::outlook::Failed;
use crate::model::traffic::Traffic;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Rules of a rolling update, with further fields of `spec.rollout`.
fn rules(surge: i32, unavailable: i32) -> wire::Rollout {
    wire::Rollout {
        rolling_update: Some(wire::RollingUpdate {
            max_surge: Some(CountOrPercent(surge.to_string())),
            max_unavailable: Some(CountOrPercent(unavailable.to_string())),
        }),
        ..wire::Rollout::default()
    }
}

/// `old`, `new` and `mid`, which is a superseded revision; in that order everywhere here. Names of
/// revisions have eight characters.
const NAMES: [&str; 3] = ["oldoldol", "newnewne", "midmidmi"];
const NONE: (i32, i32) = (0, 0);

/// What is given. `new` is what the spec asks for.
#[derive(Clone)]
struct Case {
    desired: i32,
    fixed: bool,
    rules: wire::Rollout,
    /// Sizes, and how many are ready.
    pods: [(i32, i32); 3],
    shares: [i32; 3],
    stable: Option<&'static str>,
    rollout: RolloutMemory,
    failures: BTreeMap<String, PodFailure>,
    signals: Signals,
    version: i64,
    obeyed_since: Option<i64>,
    now: i64,
}

fn rolling(desired: i32, portions: (i32, i32), shares: [i32; 3], pods: [(i32, i32); 3]) -> Case {
    Case {
        desired,
        fixed: true,
        rules: rules(portions.0, portions.1),
        pods,
        shares,
        stable: Some(NAMES[0]),
        rollout: remembered(shares[1]),
        failures: BTreeMap::new(),
        signals: Signals::default(),
        version: 7,
        obeyed_since: Some(0),
        now: 10,
    }
}

/// A rollout that has come to a share.
fn remembered(weight: i32) -> RolloutMemory {
    RolloutMemory {
        revision: NAMES[1].to_owned(),
        attempt: 1,
        started: at(0),
        step: i32::from(weight > 0),
        step_started: (weight > 0).then_some(at(0)),
        progressed: None,
        ready: 0,
        weight,
        passed: BTreeSet::new(),
        checked: None,
        checks: Vec::new(),
        failure: None,
    }
}

fn failure(reason: Reason) -> Failed {
    Failed {
        attempt: 1,
        time: at(5),
        reason,
        message: "what is".to_owned(),
        pod: None,
    }
}

impl Case {
    fn failed(mut self) -> Self {
        self.rollout.failure = Some(failure(Reason::StartTimeout));
        self
    }

    fn memory(&self) -> Remembered {
        let weights: Vec<Weight> = NAMES
            .iter()
            .zip(self.shares)
            .filter(|(_, weight)| *weight > 0)
            .map(|(revision, weight)| Weight {
                revision: (*revision).to_owned(),
                weight,
            })
            .collect();
        Remembered {
            stable: self.stable.map(str::to_owned),
            traffic: Traffic::read(&weights, |_| true).unwrap(),
            version: self.version,
            rollout: Some(self.rollout.clone()),
        }
    }

    fn decide(&self) -> Decision {
        let memory = self.memory();
        let decision = self.decide_from(&memory);
        let again = self.decide_from(&decision.memory);
        if decision.memory.traffic == memory.traffic && !self.is_news(&decision) {
            assert_eq!(again, decision, "deciding twice is deciding once");
        }
        decision
    }

    /// A failure that was only now noticed acts once it is remembered.
    fn is_news(&self, decision: &Decision) -> bool {
        let failed = |rollout: &Option<RolloutMemory>| {
            rollout
                .as_ref()
                .is_some_and(|rollout| rollout.failed().is_some())
        };
        failed(&decision.memory.rollout) && self.rollout.failed().is_none()
    }

    fn decide_from(&self, memory: &Remembered) -> Decision {
        self.decide_for(Some(NAMES[1]), memory)
    }

    fn decide_for(&self, target: Option<&str>, memory: &Remembered) -> Decision {
        let pods = given(self.pods);
        let order: Vec<String> = [1, 2, 0].map(|place: usize| NAMES[place].to_owned()).into();
        let rules = crate::model::valid::rollout_for_tests(&self.rules);
        let facts = Facts {
            desired: self.desired,
            fixed: self.fixed,
            suspended: false,
            rules: &rules,
            target,
            refused: None,
            failures: &self.failures,
            pods: &pods,
            order: &order,
            gateways: Gateways {
                signals: &self.signals,
                version: memory.version,
                obeyed_since: self.obeyed_since.map(at),
                lagging_since: None,
            },
            request_timeout: Duration::from_secs(60),
            is_lost: false,
        };
        next(&facts, memory, at(self.now))
    }
}

fn given(pods: [(i32, i32); 3]) -> BTreeMap<String, Pods> {
    NAMES
        .into_iter()
        .zip(pods)
        .map(|(name, (size, ready))| {
            let pods = Pods {
                size,
                present: size,
                ready,
                any: size > 0,
                unavailable: None,
            };
            (name.to_owned(), pods)
        })
        .collect()
}

#[track_caller]
fn check(case: &Case, sizes: [i32; 3], shares: [i32; 3], progress: Progress) {
    let decision = case.decide();
    let found = NAMES.map(|name| decision.sizes.get(name).copied().unwrap_or(-1));
    let traffic = NAMES.map(|name| decision.memory.traffic.of(name));
    assert_eq!(
        (found, traffic, decision.progress),
        (sizes, shares, progress)
    );
    let is_new = shares != case.shares;
    assert_eq!(decision.memory.version, case.version + i64::from(is_new));
}

const OLD: [i32; 3] = [100, 0, 0];
const NEW: [i32; 3] = [0, 100, 0];

#[test]
fn a_rolling_update_goes_in_portions() {
    let of = |shares, pods| rolling(4, (1, 0), shares, pods);
    let starting = Progress::Starting;
    check(&of(OLD, [(4, 4), NONE, NONE]), [4, 1, 0], OLD, starting);
    check(&of(OLD, [(4, 4), (1, 0), NONE]), [4, 1, 0], OLD, starting);
    let goes = Progress::Progressing;
    let quarter = [75, 25, 0];
    check(&of(OLD, [(4, 4), (1, 1), NONE]), [4, 1, 0], quarter, goes);
    check(
        &of(quarter, [(4, 4), (1, 1), NONE]),
        [3, 1, 0],
        quarter,
        goes,
    );
    check(
        &of(quarter, [(3, 3), (1, 1), NONE]),
        [3, 2, 0],
        quarter,
        goes,
    );
    check(
        &of([25, 75, 0], [(1, 1), (4, 4), NONE]),
        [1, 4, 0],
        NEW,
        goes,
    );
    check(
        &of(NEW, [(1, 1), (4, 4), NONE]),
        [0, 4, 0],
        NEW,
        Progress::Complete,
    );

    let two = rolling(4, (2, 0), OLD, [(4, 4), NONE, NONE]);
    check(&two, [4, 2, 0], OLD, starting);
    let without = |pods| rolling(4, (0, 1), OLD, pods);
    check(&without([(4, 4), NONE, NONE]), [3, 0, 0], OLD, starting);
    check(&without([(3, 3), NONE, NONE]), [3, 1, 0], OLD, starting);
    let one = rolling(1, (1, 0), OLD, [(1, 1), NONE, NONE]);
    check(&one, [1, 1, 0], OLD, starting);
    // a third is no whole percent
    let three = rolling(3, (1, 0), [67, 33, 0], [(3, 3), (1, 1), NONE]);
    check(&three, [2, 1, 0], [67, 33, 0], goes);
}

#[test]
fn a_superseded_revision_serves_until_the_stable_one_has_the_pods() {
    let of = |shares, pods| rolling(4, (1, 0), shares, pods);
    let half = [50, 0, 50];
    let starting = Progress::Starting;
    check(&of(half, [(2, 2), NONE, (2, 2)]), [4, 0, 2], half, starting);
    check(
        &of(half, [(4, 3), NONE, (2, 2)]),
        [4, 0, 2],
        [75, 0, 25],
        starting,
    );
    check(
        &of([75, 0, 25], [(4, 3), NONE, (2, 2)]),
        [4, 0, 1],
        [75, 0, 25],
        starting,
    );
    check(&of(half, [(4, 4), NONE, (2, 2)]), [4, 0, 2], OLD, starting);
    check(&of(OLD, [(4, 4), NONE, (2, 2)]), [4, 0, 0], OLD, starting);
    // without a ready pod it has nothing to give back
    check(&of(OLD, [(4, 4), NONE, (1, 0)]), [4, 0, 0], OLD, starting);
    check(&of(half, [(4, 1), NONE, (2, 0)]), [4, 0, 2], OLD, starting);
    let unproved = Case {
        stable: None,
        ..rolling(2, (1, 0), [0, 0, 100], [NONE, NONE, (2, 1)])
    };
    check(&unproved, [0, 1, 2], [0, 0, 100], starting);
}

#[test]
fn more_replicas_during_a_rollout_come_at_once_where_it_is_safe() {
    let of = |desired, pods| rolling(desired, (1, 0), [75, 25, 0], pods);
    let goes = Progress::Progressing;
    check(&of(8, [(3, 3), (1, 1), NONE]), [7, 2, 0], [75, 25, 0], goes);
    // fewer of them need fewer, and the new one's part of these is greater
    check(&of(2, [(3, 3), (1, 1), NONE]), [3, 1, 0], [50, 50, 0], goes);
    let half = rolling(2, (1, 0), [50, 50, 0], [(3, 3), (1, 1), NONE]);
    check(&half, [1, 1, 0], [50, 50, 0], goes);
}

#[test]
fn a_stable_revision_without_ready_pods_waits_for_nobody() {
    let of = |shares, pods| rolling(2, (1, 0), shares, pods);
    let (half, goes) = ([50, 50, 0], Progress::Progressing);
    check(&of(OLD, [(2, 0), (1, 1), NONE]), [2, 1, 0], half, goes);
    check(&of(half, [(2, 0), (1, 1), NONE]), [1, 1, 0], half, goes);
    check(&of(half, [(1, 0), (2, 2), NONE]), [1, 2, 0], NEW, goes);
    check(
        &of(NEW, [(1, 0), (2, 2), NONE]),
        [0, 2, 0],
        NEW,
        Progress::Complete,
    );
}

#[test]
fn a_failed_rollout_returns_before_it_shrinks() {
    let failed = |shares, pods| rolling(4, (1, 0), shares, pods).failed();
    let (back, half) = (Progress::RollingBack, [50, 50, 0]);
    check(&failed(half, [(2, 2), (3, 2), NONE]), [4, 2, 0], half, back);
    check(
        &failed(half, [(4, 3), (2, 2), NONE]),
        [4, 2, 0],
        [75, 25, 0],
        back,
    );
    check(
        &failed([75, 25, 0], [(4, 3), (2, 2), NONE]),
        [4, 1, 0],
        [75, 25, 0],
        back,
    );
    check(
        &failed([75, 25, 0], [(4, 4), (1, 1), NONE]),
        [4, 1, 0],
        OLD,
        back,
    );
    check(
        &failed(OLD, [(4, 4), (1, 1), NONE]),
        [4, 0, 0],
        OLD,
        Progress::RolledBack,
    );
    // what has no ready pod has nothing that could be lost
    check(
        &failed([75, 25, 0], [(4, 1), (1, 0), NONE]),
        [4, 1, 0],
        OLD,
        back,
    );
    let stays = |shares, pods| {
        let mut case = failed(shares, pods);
        case.rules.auto_rollback = Some(false);
        case
    };
    let quarter = [75, 25, 0];
    check(
        &stays(quarter, [(3, 3), (2, 1), NONE]),
        [3, 2, 0],
        quarter,
        Progress::Failed,
    );
    let first = |shares, pods| Case {
        stable: None,
        ..failed(shares, pods)
    };
    let nobody = [0, 0, 0];
    check(
        &first(nobody, [NONE, (4, 0), NONE]),
        [0, 1, 0],
        nobody,
        Progress::Failed,
    );
    check(
        &first(nobody, [NONE, (1, 1), NONE]),
        [0, 4, 0],
        NEW,
        Progress::Failed,
    );
    check(
        &first(NEW, [NONE, (4, 4), NONE]),
        [0, 4, 0],
        NEW,
        Progress::Complete,
    );
}

#[test]
fn a_pause_stops_growth_and_nothing_else() {
    let paused = |shares, pods| {
        let mut case = rolling(4, (1, 0), shares, pods);
        case.rules.paused = Some(true);
        case
    };
    let (quarter, stands) = ([75, 25, 0], Progress::Paused);
    check(&paused(OLD, [(4, 4), NONE, NONE]), [4, 0, 0], OLD, stands);
    check(&paused(OLD, [(4, 4), (1, 1), NONE]), [4, 1, 0], OLD, stands);
    check(
        &paused(quarter, [(3, 3), (1, 1), NONE]),
        [3, 1, 0],
        quarter,
        stands,
    );
    check(
        &paused(quarter, [(3, 3), (1, 0), NONE]),
        [4, 1, 0],
        quarter,
        stands,
    );
}

#[test]
fn recreate_ends_the_old_before_it_starts_the_new() {
    let recreate = |shares, pods| {
        let mut case = rolling(2, (1, 0), shares, pods);
        case.rules.rolling_update = None;
        case.rules.strategy = Some(wire::Strategy::Recreate);
        case
    };
    let starting = Progress::Starting;
    check(
        &recreate(OLD, [(2, 2), NONE, NONE]),
        [0, 0, 0],
        OLD,
        starting,
    );
    check(&recreate(OLD, [NONE, NONE, NONE]), [0, 2, 0], OLD, starting);
    check(
        &recreate(OLD, [NONE, (2, 1), NONE]),
        [0, 2, 0],
        NEW,
        Progress::Progressing,
    );
    check(
        &recreate(NEW, [NONE, (2, 1), NONE]),
        [0, 2, 0],
        NEW,
        Progress::Progressing,
    );
    check(
        &recreate(NEW, [NONE, (2, 2), NONE]),
        [0, 2, 0],
        NEW,
        Progress::Complete,
    );
    let back = |shares, pods| recreate(shares, pods).failed();
    check(
        &back(OLD, [NONE, (2, 0), NONE]),
        [0, 0, 0],
        OLD,
        Progress::RolledBack,
    );
    check(
        &back(OLD, [NONE, NONE, NONE]),
        [2, 0, 0],
        OLD,
        Progress::RolledBack,
    );
    check(
        &back(NEW, [(2, 1), NONE, NONE]),
        [2, 0, 0],
        OLD,
        Progress::RolledBack,
    );
    let mut paused = recreate(OLD, [(2, 2), NONE, NONE]);
    paused.rules.paused = Some(true);
    check(&paused, [2, 0, 0], OLD, Progress::Paused);
}

#[test]
fn a_first_revision_gets_everything_with_its_first_pod() {
    let first = |desired, shares, pods| Case {
        stable: None,
        ..rolling(desired, (1, 0), shares, pods)
    };
    let nobody = [0, 0, 0];
    check(
        &first(4, nobody, [NONE, NONE, NONE]),
        [0, 4, 0],
        nobody,
        Progress::Starting,
    );
    check(
        &first(4, nobody, [NONE, (4, 1), NONE]),
        [0, 4, 0],
        NEW,
        Progress::Progressing,
    );
    check(
        &first(4, NEW, [NONE, (4, 1), NONE]),
        [0, 4, 0],
        NEW,
        Progress::Progressing,
    );
    check(
        &first(4, NEW, [NONE, (4, 4), NONE]),
        [0, 4, 0],
        NEW,
        Progress::Complete,
    );
    // nothing is proved by no pod, and a person wants none
    check(
        &first(0, nobody, [NONE, NONE, NONE]),
        [0, 0, 0],
        NEW,
        Progress::Complete,
    );
}

#[test]
fn nobody_calls_and_a_new_revision_proves_itself_by_one_pod() {
    let asleep = |shares, pods| Case {
        fixed: false,
        ..rolling(0, (1, 0), shares, pods)
    };
    let case = asleep(OLD, [NONE, NONE, NONE]);
    check(&case, [0, 1, 0], OLD, Progress::Starting);
    assert!(case.decide().proves);
    check(
        &asleep(OLD, [NONE, (1, 1), NONE]),
        [0, 1, 0],
        NEW,
        Progress::Progressing,
    );
    let done = asleep(NEW, [NONE, (1, 1), NONE]);
    check(&done, [0, 0, 0], NEW, Progress::Complete);
    assert!(!done.decide().proves);
}

#[test]
fn a_deadline_passes_only_while_its_clock_runs() {
    let decide = |paused: bool, since: Option<i64>, now: i64| {
        let mut case = rolling(4, (1, 0), OLD, [(4, 4), (1, 0), NONE]);
        case.rules.paused = Some(paused);
        case.rollout.progressed = since.map(at);
        case.now = now;
        let decision = case.decide();
        let rollout = decision.memory.rollout.unwrap();
        let wake = decision.wake_at.map(Timestamp::as_second);
        let since = rollout.progressed.map(Timestamp::as_second);
        (rollout.failure.is_some(), since, wake)
    };
    assert_eq!(decide(false, Some(0), 599), (false, Some(0), Some(600)));
    assert_eq!(decide(false, Some(0), 600), (true, None, Some(600)));
    assert_eq!(decide(true, Some(0), 9999), (false, None, None));
    assert_eq!(decide(false, None, 9999), (false, Some(9999), Some(10599)));
}
