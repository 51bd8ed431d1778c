//! A rollout under way: how far the facts allow it to go, and what it waits for then.
//!
//! Pure. Called by `rollout`. At most one share rises in one call; whatever passes without time or
//! requests passes in the same call, so that deciding twice is deciding once.

mod progress;

use aimass_crds::reason::Reason;
use jiff::Timestamp;

use super::capacity::{Course, Way};
use super::steps::{Goal, Listed, goal, is_open, listed, watched};
use super::watch::{self, Look};
use super::{Facts, begin, failing, shares};
use crate::model::outlook::{Failed, RolloutMemory, Wait};
use crate::model::remembered::Remembered;
use crate::model::traffic::Traffic;
use crate::model::valid::{Strategy, Word};

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Gateways take over its share.
    Settling,
    /// Its share is obeyed and watched.
    Watching(Wait),
    /// Pods for its next share come up.
    Preparing(Goal),
    /// It has everything, and nothing is left to be watched.
    Done,
    /// It failed: the stable revision comes back.
    Returning,
    /// It failed and stays as it is.
    Stuck,
}

/// A rollout in the making of a decision.
pub(super) struct UnderWay<'a> {
    facts: &'a Facts<'a>,
    now: Timestamp,
    target: &'a str,
    /// To return to, if it exists.
    stable: Option<&'a str>,
    /// Who has what the target does not have.
    base: Option<String>,
    /// The spec asks for it now.
    is_known: bool,
    /// No step: everything at once.
    direct: bool,
    listed: Vec<Listed>,
    stage: Stage,
    times: Vec<Timestamp>,
    /// Nothing may shrink: a failure is not remembered yet, or the memory was lost.
    pub(super) is_held: bool,
    pub(super) traffic: Traffic,
    pub(super) rollout: RolloutMemory,
}

impl<'a> UnderWay<'a> {
    pub(super) fn new(
        facts: &'a Facts<'a>,
        memory: &'a Remembered,
        (target, is_known): (&'a str, bool),
        now: Timestamp,
    ) -> Self {
        let exists = |revision: &&str| facts.pods.contains_key(*revision);
        let stable = memory.stable.as_deref().filter(exists);
        let broken_at = stable.and_then(|stable| failing::broken_at(facts, stable, now));
        let is_broken = broken_at.is_some_and(|at| at <= now);
        let pinned = facts.rules.pin.as_deref() == Some(target);
        let direct = stable.is_none() || is_broken || pinned;
        let promoted = facts.word(target) == Some(Word::Promote);
        let mut under_way = Self {
            facts,
            now,
            target,
            stable,
            base: stable
                .map(str::to_owned)
                .or_else(|| memory.traffic.heaviest_beside(target).map(str::to_owned)),
            is_known,
            direct,
            listed: if direct || promoted {
                Vec::new()
            } else {
                listed(&facts.rules.strategy)
            },
            stage: Stage::Settling,
            times: broken_at.into_iter().collect(),
            is_held: facts.is_lost,
            traffic: memory.traffic.clone(),
            rollout: begin::rollout(facts, memory, target, now),
        };
        under_way.decide(memory, is_broken || promoted);
        under_way
    }

    fn decide(&mut self, memory: &Remembered, is_unjudged: bool) {
        let ready = self.facts.of(self.target).ready;
        if ready > self.rollout.ready {
            self.rollout.ready = ready;
            self.rollout.progressed = self.rollout.progressed.map(|_| self.now);
        }
        self.begin_step(memory);
        let judged = self.stable.filter(|_| !is_unjudged && !self.direct);
        let found = if self.is_stuck() {
            failing::aborted(self.facts, &self.rollout, self.now)
        } else if self.rollout.failed().is_none() {
            failing::at_once(self.facts, &self.rollout, self.now).or_else(|| self.judge(judged?))
        } else {
            None
        };
        self.fail(found);
        if !self.is_returning() && !self.is_stuck() {
            let found = self.advance(memory);
            self.fail(found);
        }
        if self.is_returning() {
            self.give_back();
        } else if self.is_stuck() {
            self.stage = Stage::Stuck;
            self.rollout.progressed = None;
        }
    }

    /// The step's clock starts when every gateway obeys its share.
    fn begin_step(&mut self, memory: &Remembered) {
        let begins = self.rollout.step > 0 && self.rollout.step_started.is_none();
        if begins && self.is_settled(memory) {
            self.rollout.step_started = Some(self.now);
            self.rollout.checked = None;
            self.rollout.checks = Vec::new();
        }
    }

    /// What the gateways counted against it, if there is a stable revision to compare with.
    fn judge(&mut self, stable: &str) -> Option<Failed> {
        let (found, wake_at) = watch::judge(self.facts, stable, &mut self.rollout, self.now);
        self.times.extend(wake_at);
        found
    }

    fn fail(&mut self, found: Option<Failed>) {
        if let Some(found) = found {
            self.rollout.failure = Some(found);
            self.is_held = true;
        }
    }

    /// It failed, and there is something to return to.
    fn is_returning(&self) -> bool {
        let failed = self.rollout.failed();
        let returns =
            |failed: &Failed| self.facts.rules.auto_rollback || failed.reason == Reason::Aborted;
        self.stable.is_some() && failed.is_some_and(returns)
    }

    /// It failed, and is to stay as it is.
    fn is_stuck(&self) -> bool {
        self.stable.is_some() && self.rollout.failed().is_some() && !self.is_returning()
    }

    fn give_back(&mut self) {
        self.stage = Stage::Returning;
        self.rollout.weight = 0;
        self.rollout.step_started = None;
        self.rollout.progressed = None;
        if let Some(stable) = self.stable {
            shares::return_to(self.facts, &mut self.traffic, stable, None);
        }
    }

    /// As far as the facts allow; a step that waited for too long has failed.
    fn advance(&mut self, memory: &Remembered) -> Option<Failed> {
        if let Some(base) = &self.base {
            let target = Some((self.target, self.rollout.weight));
            shares::return_to(self.facts, &mut self.traffic, base, target);
        }
        loop {
            self.stage = self.here(memory);
            match &self.stage {
                Stage::Watching(_) => {
                    let step = watched(&self.listed, &self.rollout)?.clone();
                    match watch::look(self.facts, self.stable, (&step, &self.rollout), self.now) {
                        Look::Passed if self.moves() => {
                            self.rollout.passed.insert(step.number);
                        }
                        Look::Passed => return None,
                        Look::Failed(failed) => return Some(failed),
                        Look::Waits(wait, wake_at) => {
                            self.times.extend(wake_at);
                            self.stage = Stage::Watching(wait);
                            self.rollout.progressed = None;
                            return None;
                        }
                    }
                }
                Stage::Preparing(goal) => {
                    let goal = *goal;
                    let enough = self.facts.of(self.target).ready >= goal.pods;
                    if !enough || !self.may_rise(goal, memory) {
                        self.tick(goal, enough, memory);
                        return failing::late(self.facts, &self.rollout, self.now);
                    }
                    self.rise(goal);
                    self.begin_step(memory);
                }
                Stage::Settling | Stage::Done | Stage::Returning | Stage::Stuck => {
                    self.rollout.progressed = None;
                    return None;
                }
            }
        }
    }

    fn here(&self, memory: &Remembered) -> Stage {
        if self.rollout.step > 0 && !self.is_settled(memory) {
            return Stage::Settling;
        }
        if let Some(step) = watched(&self.listed, &self.rollout) {
            return Stage::Watching(Wait::Watched {
                step: step.number,
                seconds: step.duration.as_secs(),
            });
        }
        let Some(goal) = goal(self.facts, &self.rollout, &self.listed, self.direct) else {
            let ready = self.facts.of(self.target).ready;
            if !self.shares_first() || ready >= self.facts.desired {
                return Stage::Done;
            }
            // its share came before its pods: these are still waited for
            return Stage::Preparing(Goal {
                number: self.rollout.step,
                weight: 100,
                pods: self.facts.desired,
            });
        };
        if self.base.is_some() {
            return Stage::Preparing(goal);
        }
        // nobody else has anything to lose: the first pod gets everything
        Stage::Preparing(Goal {
            weight: 100,
            pods: 1,
            ..goal
        })
    }

    /// Nobody else serves, so that its first pod gets everything.
    fn shares_first(&self) -> bool {
        self.stable.is_none() || self.facts.rules.strategy == Strategy::Recreate
    }

    /// The weights are as decided, and every gateway obeys them.
    fn is_settled(&self, memory: &Remembered) -> bool {
        let base = self.base.as_deref().map_or(0, |base| self.traffic.of(base));
        let own = self.traffic.of(self.target);
        self.traffic == memory.traffic
            && own == self.rollout.weight
            && (own + base == 100 || self.traffic.is_empty())
            && self.facts.gateways.obey()
    }

    /// Neither a person nor an unresolved reference keeps it from going on.
    fn moves(&self) -> bool {
        self.is_known && !self.facts.rules.paused
    }

    fn max_weight(&self) -> i32 {
        match &self.facts.rules.strategy {
            Strategy::Canary(canary) if !self.direct => canary.max_weight,
            Strategy::Canary(_)
            | Strategy::RollingUpdate { .. }
            | Strategy::Recreate
            | Strategy::BlueGreen(_) => 100,
        }
    }

    fn may_rise(&self, goal: Goal, memory: &Remembered) -> bool {
        // the first share of all takes nothing from anybody
        let is_free = self.traffic.is_empty() || self.is_settled(memory);
        self.moves()
            && is_free
            && goal.weight <= self.max_weight()
            && (self.rollout.step < goal.number || goal.weight > self.rollout.weight)
    }

    fn rise(&mut self, goal: Goal) {
        match &self.base {
            Some(base) if !self.traffic.is_empty() => {
                let points = goal.weight - self.rollout.weight;
                self.traffic.give(base, self.target, points);
            }
            _ if goal.weight > 0 => self.traffic = Traffic::all_to(self.target),
            _ => {}
        }
        self.rollout.step = goal.number;
        self.rollout.weight = goal.weight;
        self.rollout.step_started = None;
        self.rollout.checked = None;
        self.rollout.checks = Vec::new();
    }

    /// The clock runs while nothing but the target's own pods is waited for.
    fn tick(&mut self, goal: Goal, enough: bool, memory: &Remembered) {
        let ticks = !enough
            && self.rollout.failed().is_none()
            && self.may_grow(goal)
            && !(self.others_remain() && self.facts.of(self.target).size == 0)
            && (self.facts.gateways.obey() && self.traffic == memory.traffic);
        let since = self.rollout.progressed.unwrap_or(self.now);
        self.rollout.progressed = ticks.then_some(since);
        self.times
            .extend(failing::deadline(self.facts, &self.rollout));
    }

    fn may_grow(&self, goal: Goal) -> bool {
        self.moves() && goal.weight <= self.max_weight() && !self.is_blocked()
    }

    /// The target's first pods wait until others have ended. A rolling update takes what room these
    /// leave.
    fn is_blocked(&self) -> bool {
        let takes_room = matches!(self.facts.rules.strategy, Strategy::RollingUpdate { .. });
        !takes_room && self.others_remain()
    }

    /// A revision that is neither the base nor the target still has pods; with `Recreate` any other.
    fn others_remain(&self) -> bool {
        let recreate = self.facts.rules.strategy == Strategy::Recreate;
        self.facts.pods.iter().any(|(revision, pods)| {
            let stays = !recreate && Some(revision) == self.base.as_ref();
            revision != self.target && !stays && pods.any
        })
    }

    /// It is complete: the target is the stable revision from now on.
    pub(super) fn is_done(&self) -> bool {
        let nothing_to_prove = self.facts.fixed && self.facts.desired == 0;
        let failed = self.stable.is_some() && self.rollout.failed().is_some();
        self.is_known
            && self.facts.refused.is_none()
            && !failed
            && (nothing_to_prove || self.stage == Stage::Done)
    }

    /// It has a pod to prove itself although none is wanted.
    pub(super) fn proves(&self) -> bool {
        let trying = self.stable.is_none() && self.rollout.failed().is_some();
        let prepares =
            matches!(self.stage, Stage::Preparing(goal) if trying || self.may_grow(goal));
        self.facts.desired == 0 && !self.facts.fixed && prepares && !self.is_full()
    }

    pub(super) fn course<'b>(&'b self, memory: &'b Remembered) -> Course<'b> {
        let forward = |grows: bool, next: Option<i32>| Way::Forward {
            weight: self.rollout.weight,
            next: next.filter(|_| grows),
            grows,
            keeps_base: self.listed.iter().any(|step| is_open(step, &self.rollout)),
        };
        let (way, front) = match (&self.stage, self.stable) {
            (Stage::Returning, Some(stable)) => (Way::Home { patient: false }, stable),
            _ if self.stable.is_none() && self.rollout.failed().is_some() => {
                (Way::Trying, self.target)
            }
            (Stage::Preparing(goal), _) => {
                // what has to end first is the very thing that Recreate ends
                let recreates = self.facts.rules.strategy == Strategy::Recreate;
                let grows = !self.is_full() && (self.may_grow(*goal) || recreates && self.moves());
                (forward(grows, Some(goal.weight)), self.target)
            }
            (Stage::Stuck, _) => (forward(false, None), self.target),
            (Stage::Settling | Stage::Watching(_) | Stage::Done | Stage::Returning, _) => (
                forward(self.moves() && !self.is_blocked(), None),
                self.target,
            ),
        };
        Course {
            way,
            front,
            base: self.base.as_deref(),
            before: &memory.traffic,
            traffic: &self.traffic,
            is_held: self.is_held,
            now: self.now,
        }
    }
}
