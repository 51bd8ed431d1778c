//! How far a rollout is, in the words of `RolledOut`, and when to look again.
//!
//! Pure. Called by `rollout` once sizes are known.

use std::collections::BTreeMap;

use aimass_crds::reason::Reason;
use jiff::{SignedDuration, Timestamp};

use super::{Stage, UnderWay};
use crate::model::outlook::{Failed, Progress, Wait};
use crate::model::rollout::steps::Goal;
use crate::model::rollout::{is_room, soonest};

/// How long gateways may take over a share before that is worth a word.
const LAGGING: SignedDuration = SignedDuration::from_secs(10);
/// How often it is looked whether they have, should nobody say so; and whether a quota has room.
const LOOK: SignedDuration = SignedDuration::from_secs(1);

impl UnderWay<'_> {
    /// How far it is, and what it waits for.
    pub(in crate::model::rollout) fn progress(
        &mut self,
        sizes: &BTreeMap<String, i32>,
    ) -> (Progress, Option<Wait>) {
        if let Some(failed) = self.rollout.failed() {
            return (self.failed(failed, sizes), None);
        }
        let lagging = self.lags();
        let waits = |progress, wait| (progress, Some(wait));
        match &self.stage {
            _ if self.facts.rules.paused => (Progress::Paused, None),
            Stage::Settling if lagging => waits(Progress::GatewaysLagging, Wait::Gateways),
            Stage::Settling => waits(Progress::Progressing, Wait::Gateways),
            Stage::Watching(wait) => {
                let progress = match wait {
                    Wait::Verdict { .. } => Progress::Holding,
                    Wait::Approval { .. } => Progress::AwaitingApproval,
                    _ => Progress::Progressing,
                };
                waits(progress, wait.clone())
            }
            Stage::Preparing(goal) => self.preparing(*goal, lagging),
            Stage::Done | Stage::Returning | Stage::Stuck => (Progress::Progressing, None),
        }
    }

    fn preparing(&self, goal: Goal, lagging: bool) -> (Progress, Option<Wait>) {
        let Goal { weight, pods, .. } = goal;
        let ready = self.facts.of(self.target).ready;
        let failing = self.facts.failures.get(self.target);
        let wait = Some(Wait::Pods { weight, want: pods });
        if weight > self.max_weight() {
            return (Progress::AtMaxWeight, Some(Wait::MaxWeight { weight }));
        }
        if ready >= pods && lagging {
            return (Progress::GatewaysLagging, Some(Wait::Gateways));
        }
        let progress = if failing.is_some_and(|failing| is_room(failing.reason)) {
            Progress::WaitingForCapacity
        } else if ready == 0 {
            Progress::Starting
        } else {
            Progress::Progressing
        };
        if self.others_remain() && self.facts.of(self.target).size == 0 {
            return (progress, Some(Wait::Leaving));
        }
        (progress, wait)
    }

    fn failed(&self, failed: &Failed, sizes: &BTreeMap<String, i32>) -> Progress {
        if self.stage != Stage::Returning {
            return Progress::Failed;
        }
        let stays = |revision: &str| self.stable == Some(revision);
        let back = self.traffic.shares().all(|(revision, _)| stays(revision))
            && sizes
                .iter()
                .all(|(revision, size)| stays(revision) || *size == 0);
        match failed.reason {
            _ if !back => Progress::RollingBack,
            Reason::Aborted => Progress::Aborted,
            _ => Progress::RolledBack,
        }
    }

    /// A quota has no room for its first pods. They are not tried before it has: whoever makes pods of a
    /// Deployment waits longer after each refusal, for minutes in the end.
    pub(super) fn is_full(&self) -> bool {
        let failing = self.facts.failures.get(self.target);
        self.facts.of(self.target).size == 0
            && failing.is_some_and(|failing| failing.reason == Reason::QuotaExceeded)
    }

    /// Gateways have not taken over the weights for a while, or there is none.
    fn lags(&mut self) -> bool {
        let gateways = &self.facts.gateways;
        if gateways.obey() {
            return false;
        }
        let since = gateways.lagging_since.unwrap_or(self.now);
        let at = since.checked_add(LAGGING).ok();
        let lags = gateways.are_gone() || at.is_some_and(|at| at <= self.now);
        self.times.extend(at.filter(|_| !lags));
        lags
    }

    /// When time alone changes something.
    pub(in crate::model::rollout) fn wake_at(&self) -> Option<Timestamp> {
        let gateways = &self.facts.gateways;
        let asks = match self.stage {
            Stage::Settling => gateways.signals.expected,
            Stage::Preparing(_) => self.moves() && self.is_full(),
            Stage::Watching(_) | Stage::Done | Stage::Returning | Stage::Stuck => false,
        };
        let look = self.now.checked_add(LOOK).ok().filter(|_| asks);
        let times = self.times.iter().copied().filter(|at| *at > self.now);
        soonest([times.min(), look])
    }
}
