//! Rollouts in virtual time: 200 requests a second, three gateways that obey within a second, four
//! replicas; a canary of 10 and 50 percent, each watched for two minutes.

use std::collections::BTreeMap;

use aimass_crds::condition::ConditionType;
use aimass_crds::model_deployment::{
    Action, Analysis, ErrorRate, OnMaxHold, RollingUpdate, Rollout, Strategy as Way,
};
use aimass_crds::reason::Reason;
use aimass_crds::scalars::{CountOrPercent, Duration, Percent};
use aimass_plan::model::Counts;

use crate::rollouts::{canary, check, says, step, switch, world};
use crate::world::{Obeying, World};
use crate::{Edit, edit};

/// A world whose seconds pass.
struct Script {
    world: World,
    /// Requests a second.
    rate: u64,
    /// Errors in a thousand of a revision, by its restartToken.
    errors: fn(&str) -> u64,
    /// Whether the operator dies after its first write in each second.
    dies: bool,
    /// Errors that callers saw, and requests on the new revision.
    failed: u64,
    requests: u64,
    most_pods: i32,
    fewest_ready: i32,
    /// Answers and errors since all gateways obey the present shares.
    counts: BTreeMap<String, Counts>,
    counted: i64,
    rest: u64,
}

thread_local! {
    /// What the world's `answers` read: a function pointer has no state of its own.
    static COUNTS: std::cell::RefCell<BTreeMap<String, Counts>> = const { std::cell::RefCell::new(BTreeMap::new()) };
}

fn told(token: &str) -> Counts {
    COUNTS.with_borrow(|counts| counts.get(token).cloned().unwrap_or_default())
}

impl Script {
    /// Revision `old` serves with four replicas, and `new` is asked for.
    fn new(rollout: Rollout, replicas: i32, new: &'static str) -> Self {
        let mut world = world();
        let gateways = ["f", "g", "h"].map(|name| (name.to_owned(), Obeying::default()));
        world.gateways = Some(gateways.into());
        world.model.spec.rollout = Some(rollout);
        edit(&mut world, &Edit::Replicas(replicas));
        edit(&mut world, &Edit::Token("old"));
        world.settle();
        world.answers = told;
        edit(&mut world, &Edit::Token(new));
        Self {
            world,
            rate: 200,
            errors: |_| 0,
            dies: false,
            failed: 0,
            requests: 0,
            most_pods: 0,
            fewest_ready: i32::MAX,
            counts: BTreeMap::new(),
            counted: 0,
            rest: 0,
        }
    }

    /// One second: the operator looks, pods come and go, gateways take over, callers call.
    fn second(&mut self, gateways: impl Fn(&mut World)) {
        self.world.clock += 1;
        if self.dies {
            self.world.reconcile(1);
        }
        check(&self.world);
        for _ in 0..3 {
            let before = self.world.model.status.clone();
            let wanted = self.world.reconcile(usize::MAX);
            if wanted == 0 && self.world.model.status == before {
                break;
            }
        }
        self.world.kubelet(i32::MAX);
        gateways(&mut self.world);
        self.callers();
        self.most_pods = self.most_pods.max(self.world.present());
        self.fewest_ready = self.fewest_ready.min(self.world.ready());
    }

    /// The revision to return to.
    fn stable(&self) -> String {
        let status = self.world.model.status.clone();
        status.unwrap().stable.unwrap().revision
    }

    fn callers(&mut self) {
        let obeyed = self.world.is_obeyed();
        let version = self.world.traffic_version();
        if !obeyed || version != self.counted {
            self.counts.clear();
            self.counted = version;
        }
        let gateways: Vec<Obeying> = self
            .world
            .gateways
            .iter()
            .flatten()
            .map(|(_, g)| g.clone())
            .collect();
        let each = self.rate / gateways.len().max(1) as u64;
        for gateway in gateways {
            for share in gateway.shares {
                let token = self.world.token(&format!("iris-{}", share.revision));
                let requests = each * u64::from(share.weight.unsigned_abs()) / 100;
                let thousandths = requests * (self.errors)(&token) + self.rest;
                let errors = thousandths / 1000;
                self.rest = thousandths % 1000;
                if token != "old" {
                    self.failed += errors;
                    self.requests += requests;
                }
                if obeyed {
                    let counts = self.counts.entry(token).or_default();
                    counts.ok += requests - errors;
                    counts.failed += errors;
                }
            }
        }
        COUNTS.set(self.counts.clone());
    }

    fn run(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.second(|world| {
                world.all_take_over();
            });
        }
    }

    /// Until `ends`, at most so many seconds; how many.
    fn until(&mut self, most: i64, ends: impl Fn(&Self) -> bool) -> i64 {
        for second in 1..=most {
            self.run(1);
            if ends(self) {
                return second;
            }
        }
        panic!("not within {most} s: {:#?}", self.world.model.status);
    }

    /// As status says it.
    fn progress(&self) -> Reason {
        let status = self.world.model.status.as_ref().unwrap();
        let found = ConditionType::RolledOut.find(&status.conditions).unwrap();
        found.reason.parse().unwrap()
    }

    /// The share of the revision that the spec asks for, as gateways obey it.
    fn share(&self) -> i32 {
        let target = self.world.model.status.clone().unwrap().target.unwrap();
        let shares = self
            .world
            .gateways
            .iter()
            .flatten()
            .flat_map(|(_, gateway)| &gateway.shares);
        let mine = shares.filter(|share| share.revision == target.revision);
        mine.map(|share| share.weight).max().unwrap_or(0)
    }
}

fn steps() -> Rollout {
    canary(&[step(10, "2m"), step(50, "2m")])
}

const COMPLETE: fn(&Script) -> bool = |script| script.progress() == Reason::Complete;
const BACK: fn(&Script) -> bool = |script| script.progress() == Reason::RolledBack;

#[test]
fn a_healthy_canary_has_everything_after_its_steps() {
    let mut script = Script::new(steps(), 4, "new");
    let seconds = script.until(400, COMPLETE);
    assert!((240..=260).contains(&seconds), "{seconds}");
    assert_eq!(script.most_pods, 6);
    assert!(script.fewest_ready >= 4);
    assert_eq!(script.failed, 0);
}

#[test]
fn the_old_one_has_its_full_size_until_the_last_listed_step_has_passed() {
    let mut script = Script::new(steps(), 4, "new");
    let old = script.stable();
    while script.share() < 75 {
        script.run(1);
        let passed = script
            .world
            .model
            .status
            .clone()
            .unwrap()
            .rollout
            .map(|r| r.passed.len());
        if passed < Some(2) {
            assert_eq!(script.world.pods_of(&old).0, 4);
        }
    }
}

#[test]
fn a_dead_revision_is_taken_back_before_it_harms() {
    let mut script = Script::new(steps(), 4, "new");
    script.errors = |token| if token == "new" { 1000 } else { 0 };
    script.until(60, |script| script.failed > 0);
    let seconds = script.until(60, |script| script.share() == 0);
    assert!(seconds <= 3, "{seconds}");
    assert!(script.failed <= 60, "{}", script.failed);
    script.until(30, BACK);
}

#[test]
fn five_percent_of_errors_are_seen_within_seconds() {
    let mut script = Script::new(steps(), 4, "new");
    script.errors = |token| if token == "new" { 50 } else { 1 };
    let seconds = script.until(200, BACK);
    assert!(
        script.requests <= 1500 && seconds <= 100,
        "{} {seconds}",
        script.requests
    );
}

#[test]
fn without_requests_a_step_waits_for_as_long_as_is_said() {
    let quiet = |on_max_hold| {
        let mut rollout = steps();
        rollout.analysis = Some(Analysis {
            max_hold: Some(Duration("10m".to_owned())),
            on_max_hold: Some(on_max_hold),
            error_rate: Some(ErrorRate {
                max: Some(Percent("1%".to_owned())),
                max_increase: None,
            }),
            ..Analysis::default()
        });
        let mut script = Script::new(rollout, 4, "new");
        script.rate = 0;
        script
    };
    let mut script = quiet(OnMaxHold::Rollback);
    script.run(700);
    assert_eq!((script.progress(), script.share()), (Reason::Holding, 10));
    let seconds = script.until(60, BACK) + 700;
    assert!((720..=730).contains(&seconds), "{seconds}");
    let mut script = quiet(OnMaxHold::Promote);
    script.run(740);
    assert_eq!(
        (script.progress(), script.share()),
        (Reason::Progressing, 50)
    );
}

#[test]
fn requests_that_end_at_the_second_step_hold_it() {
    let mut script = Script::new(steps(), 4, "new");
    script.until(60, |script| script.share() == 10);
    script.run(100);
    script.rate = 0;
    script.until(60, |script| script.share() == 50);
    script.run(300);
    assert_eq!((script.progress(), script.share()), (Reason::Holding, 50));
    says(&mut script.world, Action::Promote);
    script.until(20, COMPLETE);
}

#[test]
fn pods_that_never_start_leave_the_old_revision_alone() {
    let mut script = Script::new(steps(), 4, "bad1");
    let seconds = script.until(700, BACK);
    assert!((600..=605).contains(&seconds), "{seconds}");
    assert_eq!((script.share(), script.requests), (0, 0));
    assert!(script.fewest_ready >= 4);
}

#[test]
fn more_load_in_a_step_gives_both_their_part() {
    let mut script = Script::new(steps(), 4, "new");
    script.until(60, |script| script.share() == 10);
    edit(&mut script.world, &Edit::Replicas(12));
    script.run(5);
    let status = script.world.model.status.clone().unwrap();
    let sizes = ["stable", "target"].map(|role| {
        let revision = match role {
            "stable" => status.stable.clone(),
            _ => status.target.clone(),
        };
        script.world.pods_of(&revision.unwrap().revision).2
    });
    assert_eq!((sizes, script.share()), ([12, 2], 10));
    script.until(400, COMPLETE);
}

#[test]
fn a_gateway_that_is_silent_delays_the_step_and_nothing_shrinks() {
    let mut script = Script::new(steps(), 4, "new");
    let mut shown = Vec::new();
    for second in 0..70 {
        script.second(|world| {
            world.take_over("f");
            world.take_over("g");
            let silent = world.gateways.as_mut().unwrap().get_mut("h").unwrap();
            silent.said.silent = second > 0;
            if second == 0 {
                world.take_over("h");
            }
        });
        shown.push(script.share());
    }
    let status = script.world.model.status.clone().unwrap();
    assert_eq!(shown.last(), Some(&10), "the others obey");
    assert_eq!(status.rollout.unwrap().step_started_at, None);
    assert_eq!(script.progress(), Reason::GatewaysLagging);
    assert_eq!(script.world.ready(), 5);
    script.run(2);
    let rollout = script.world.model.status.clone().unwrap().rollout.unwrap();
    assert!(rollout.step_started_at.is_some());
    script.until(400, COMPLETE);
}

#[test]
fn an_operator_that_dies_after_each_write_ends_the_same_way() {
    let mut smooth = Script::new(steps(), 4, "new");
    let mut rough = Script::new(steps(), 4, "new");
    rough.dies = true;
    smooth.until(400, COMPLETE);
    rough.until(400, COMPLETE);
    smooth.run(60);
    rough.run(60);
    assert_eq!(smooth.world.sizes(), rough.world.sizes());
    assert_eq!(smooth.world.shares(), rough.world.shares());
    assert_eq!(rough.most_pods, 6);
}

#[test]
fn what_is_superseded_gives_its_share_back_in_one_change() {
    let mut script = Script::new(steps(), 4, "new");
    script.until(200, |script| script.share() == 50);
    let version = script.world.traffic_version();
    edit(&mut script.world, &Edit::Token("newer"));
    script.run(1);
    let stable = script.stable();
    assert_eq!(script.world.shares(), BTreeMap::from([(stable, 100)]));
    assert_eq!(script.world.traffic_version(), version + 1);
    script.until(30, |script| script.share() == 10);
    script.until(400, COMPLETE);
    assert!(script.most_pods <= 6 + 2, "{}", script.most_pods);
}

#[test]
fn a_person_takes_it_back_within_a_second() {
    for share in [10, 50] {
        let mut script = Script::new(steps(), 4, "new");
        script.until(200, |script| script.share() == share);
        says(&mut script.world, Action::Abort);
        script.run(1);
        assert_eq!(script.share(), 0);
        script.until(10, |script| script.progress() == Reason::Aborted);
        script.run(600);
        assert_eq!(script.share(), 0);
        says(&mut script.world, Action::Retry);
        script.until(400, COMPLETE);
    }
}

#[test]
fn a_pause_holds_a_step_and_no_longer() {
    let mut script = Script::new(steps(), 4, "new");
    script.until(60, |script| script.share() == 10);
    edit(&mut script.world, &Edit::Paused(true));
    script.run(300);
    assert_eq!((script.progress(), script.share()), (Reason::Paused, 10));
    edit(&mut script.world, &Edit::Paused(false));
    script.until(400, COMPLETE);
}

fn portions(surge: &str, unavailable: &str) -> Rollout {
    Rollout {
        rolling_update: Some(RollingUpdate {
            max_surge: Some(CountOrPercent(surge.to_owned())),
            max_unavailable: Some(CountOrPercent(unavailable.to_owned())),
        }),
        ..Rollout::default()
    }
}

#[test]
fn a_full_quota_takes_a_rolling_update_without_surge() {
    let mut script = Script::new(portions("0", "1"), 4, "new");
    script.world.quota = 4;
    script.until(200, COMPLETE);
    assert!(script.fewest_ready >= 3, "{}", script.fewest_ready);
    assert_eq!(script.most_pods, 4);
}

#[test]
fn a_full_quota_has_no_room_for_a_canary() {
    let mut script = Script::new(steps(), 4, "new");
    script.world.quota = 4;
    script.run(5);
    assert_eq!(script.progress(), Reason::WaitingForCapacity);
    assert_eq!(script.world.present(), 4, "none is tried");
    let seconds = script.until(700, BACK);
    assert!(seconds >= 590 && script.requests == 0, "{seconds}");
}

#[test]
fn a_quota_that_is_raised_lets_a_rollout_begin() {
    let mut script = Script::new(steps(), 4, "new");
    script.world.quota = 4;
    script.run(60);
    assert_eq!(script.progress(), Reason::WaitingForCapacity);
    script.world.quota = 6;
    script.until(30, |script| script.share() == 10);
}

#[test]
fn with_recreate_a_full_quota_is_no_obstacle() {
    let recreate = Rollout {
        strategy: Some(Way::Recreate),
        ..Rollout::default()
    };
    let mut script = Script::new(recreate, 4, "new");
    script.world.quota = 4;
    script.until(200, COMPLETE);
    assert_eq!(script.most_pods, 4);
}

#[test]
fn one_replica_is_replaced_by_two_for_a_moment() {
    let mut script = Script::new(Rollout::default(), 1, "new");
    let mut two = 0;
    script.run(1);
    while script.progress() != Reason::Complete || script.world.present() > 1 {
        script.run(1);
        two += i32::from(script.world.present() == 2);
        assert!(two < 60, "the old one stays");
    }
    assert!(script.fewest_ready >= 1 && script.most_pods == 2);
    // the moment to change one's mind, and what gateways need
    assert!(two <= 40, "{two}");
}

#[test]
fn a_switch_that_fails_leads_back_to_pods_that_are_all_there() {
    let mut script = Script::new(switch("10m"), 4, "new");
    script.until(30, |script| script.share() == 100);
    script.run(30);
    script.errors = |token| if token == "new" { 1000 } else { 0 };
    let seconds = script.until(10, |script| script.share() == 0);
    assert!(seconds <= 3, "{seconds}");
    assert!(script.fewest_ready >= 4);
    script.until(30, BACK);
}
