//! How one revision follows another: which size and which share of the requests each gets now, what
//! is remembered, how far it is.
//!
//! Pure. Called by the planner with facts and memory. In order: `begin` finds the rollout that the
//! memory tells of, `failing` whether it has failed, `course` goes as far as the facts allow
//! (`steps` says where, `watch` whether a step has passed), `shares` moves weights, `capacity`
//! gives each revision a size.
//!
//! State is derived, not stored: a crash between apply and status finds the same state again. Pods
//! come first, weights after them, and only when every gateway obeys may pods go; what is new in one
//! output lets nothing shrink in the same one, because status is written last.

mod begin;
mod capacity;
mod course;
mod failing;
mod shares;
mod steps;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use aimass_crds::reason::Reason;
use jiff::{SignedDuration, Timestamp};

use super::facts::Pods;
use super::gateways::Gateways;
use super::outlook::{PodFailure, Progress, RolloutMemory, Wait};
use super::remembered::Remembered;
use super::valid::{Rollout, Word};
use capacity::{Course, Way};
use course::UnderWay;

/// What is known when it is decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// How many pods there shall be.
    pub(crate) desired: i32,
    /// A person says that number: with 0, nothing is proved.
    pub(crate) fixed: bool,
    /// `spec.suspend`.
    pub(crate) suspended: bool,
    /// `spec.rollout`.
    pub(crate) rules: &'a Rollout,
    /// The revision that the spec asks for; `None` while its references do not resolve.
    pub(crate) target: Option<&'a str>,
    /// Why no pod of the target may be made.
    pub(crate) refused: Option<&'a PodFailure>,
    /// What keeps pods from getting ready, by revision.
    pub(crate) failures: &'a BTreeMap<String, PodFailure>,
    /// The revisions that exist, by name.
    pub(crate) pods: &'a BTreeMap<String, Pods>,
    /// Their names, the newest first.
    pub(crate) order: &'a [String],
    /// Who obeys the weights.
    pub(crate) gateways: Gateways<'a>,
    /// `spec.traffic.requestTimeout`.
    pub(crate) request_timeout: Duration,
    /// Status was lost: nothing may be taken away by it.
    pub(crate) is_lost: bool,
}

impl Facts<'_> {
    fn of(&self, revision: &str) -> Pods {
        self.pods.get(revision).copied().unwrap_or_default()
    }

    /// What a person says of this revision.
    fn word(&self, revision: &str) -> Option<Word> {
        let words = self.rules.words.as_ref()?;
        (words.revision == revision).then_some(words.word)
    }

    /// The share of the pods wanted that are ready, in percent, rounded down; 0 without any, 100 if
    /// none is wanted.
    fn ready_share(&self, revision: &str) -> i32 {
        let ready = self.of(revision).ready;
        match self.desired {
            0 => 100,
            desired => ready.min(desired).saturating_mul(100) / desired,
        }
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The size of each revision that exists, and of the target unless it is refused.
    pub(crate) sizes: BTreeMap<String, i32>,
    /// To be written to status.
    pub(crate) memory: Remembered,
    /// How far it is.
    pub(crate) progress: Progress,
    /// What it waits for.
    pub(crate) wait: Option<Wait>,
    /// A new revision has a pod to prove itself, although no pod is wanted.
    pub(crate) proves: bool,
    /// When time alone changes something.
    pub(crate) wake_at: Option<Timestamp>,
}

/// Decides the next step. Applied to its own result it decides the same.
#[must_use]
pub(crate) fn next(facts: &Facts<'_>, memory: &Remembered, now: Timestamp) -> Decision {
    if facts.suspended {
        return suspended(facts, memory);
    }
    let exists = |revision: &&str| facts.pods.contains_key(*revision);
    let stable = memory.stable.as_deref();
    let under_way = memory.rollout.as_ref().map(|r| r.revision.as_str());
    match facts.target {
        Some(target) if stable == Some(target) => home(facts, memory, target, now),
        Some(target) => rolling(facts, memory, (target, true), now),
        // What serves goes on, nothing new begins.
        None => match (under_way.filter(exists), stable) {
            (Some(target), _) if stable != Some(target) => {
                rolling(facts, memory, (target, false), now)
            }
            (_, Some(stable)) => unresolved(home(facts, memory, stable, now), memory),
            (_, None) => nothing(facts, memory, now),
        },
    }
}

/// No pod, no share; the memory stays, with its clocks stopped.
fn suspended(facts: &Facts<'_>, memory: &Remembered) -> Decision {
    let empty = Remembered {
        traffic: super::traffic::Traffic::default(),
        rollout: memory.rollout.clone().map(stopped),
        ..memory.clone()
    };
    Decision {
        sizes: facts.pods.keys().map(|name| (name.clone(), 0)).collect(),
        memory: published(facts, empty, memory),
        progress: Progress::Suspended,
        wait: None,
        proves: false,
        wake_at: None,
    }
}

/// There is nothing to serve, and nothing is known to begin with: what is there stays, but for what is too many.
fn nothing(facts: &Facts<'_>, memory: &Remembered, now: Timestamp) -> Decision {
    let kept = capacity::kept(facts, &memory.traffic, now);
    let stays = Remembered {
        rollout: memory.rollout.clone().map(stopped),
        ..memory.clone()
    };
    Decision {
        sizes: kept.sizes,
        memory: published(facts, stays, memory),
        progress: Progress::NotAccepted,
        wait: None,
        proves: false,
        wake_at: kept.wake_at,
    }
}

/// `stable` serves, and the spec's references do not resolve.
fn unresolved(decision: Decision, memory: &Remembered) -> Decision {
    let rollout = memory.rollout.clone().map(stopped);
    Decision {
        progress: Progress::NotAccepted,
        memory: Remembered {
            rollout,
            ..decision.memory
        },
        ..decision
    }
}

/// `target` is the stable revision: it has its full size at once, whatever else still serves goes.
fn home(facts: &Facts<'_>, memory: &Remembered, target: &str, now: Timestamp) -> Decision {
    let mut traffic = memory.traffic.clone();
    shares::return_to(facts, &mut traffic, target, None);
    let course = Course {
        way: Way::Home { patient: true },
        front: target,
        base: None,
        before: &memory.traffic,
        traffic: &traffic,
        is_held: facts.is_lost,
        now,
    };
    let capacity = capacity::of(facts, &course);
    let progress = if !traffic.is_all(target) {
        Progress::RollingBack
    } else if facts.rules.pin.is_some() {
        Progress::Pinned
    } else {
        Progress::Complete
    };
    let remembered = Remembered {
        stable: Some(target.to_owned()),
        traffic,
        version: memory.version,
        rollout: None,
    };
    let memory = published(facts, remembered, memory);
    Decision {
        wake_at: soonest([capacity.wake_at, at_once(facts, &memory, now)]),
        sizes: capacity.sizes,
        memory,
        progress,
        wait: None,
        proves: false,
    }
}

/// A revision is on its way to replace the stable one, or back. `is_known`: the spec asks for it now;
/// else its references do not resolve, and nothing new begins.
fn rolling(
    facts: &Facts<'_>,
    memory: &Remembered,
    (target, is_known): (&str, bool),
    now: Timestamp,
) -> Decision {
    let mut under_way = UnderWay::new(facts, memory, (target, is_known), now);
    if under_way.is_done() {
        return home(facts, memory, target, now);
    }
    let course = under_way.course(memory);
    let capacity = capacity::of(facts, &course);
    let (progress, wait) = under_way.progress(&capacity.sizes);
    let proves = under_way.proves();
    if !is_known {
        under_way.rollout = stopped(under_way.rollout);
    }
    let wake_at = under_way.wake_at();
    let remembered = Remembered {
        stable: memory.stable.clone(),
        traffic: under_way.traffic,
        version: memory.version,
        rollout: Some(under_way.rollout),
    };
    let is_news = under_way.is_held;
    let memory = published(facts, remembered, memory);
    let at_once = at_once(facts, &memory, now).or(is_news.then_some(now));
    Decision {
        sizes: capacity.sizes,
        memory,
        progress: if is_known {
            progress
        } else {
            Progress::NotAccepted
        },
        wait,
        proves,
        wake_at: soonest([wake_at, capacity.wake_at, at_once]),
    }
}

/// Weights that differ have a new version, above any that a gateway knows.
fn published(facts: &Facts<'_>, mut next: Remembered, before: &Remembered) -> Remembered {
    let newest = facts.gateways.newest();
    if next.traffic != before.traffic || newest > before.version {
        next.version = newest.max(facts.gateways.version).saturating_add(1);
    }
    next
}

/// New weights are to be acted upon: at once where nobody has to obey them.
fn at_once(facts: &Facts<'_>, memory: &Remembered, now: Timestamp) -> Option<Timestamp> {
    let is_new = memory.version != facts.gateways.version;
    (is_new && !facts.gateways.signals.expected).then_some(now)
}

/// A rollout whose progress is not waited for.
fn stopped(mut rollout: RolloutMemory) -> RolloutMemory {
    rollout.progressed = None;
    rollout
}

fn soonest<const N: usize>(times: [Option<Timestamp>; N]) -> Option<Timestamp> {
    times.into_iter().flatten().min()
}

/// A length of time as the clock has it.
fn signed(length: Duration) -> SignedDuration {
    SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX)
}

/// Whether a failure says that there is no room for pods.
fn is_room(reason: Reason) -> bool {
    matches!(reason, Reason::QuotaExceeded | Reason::Unschedulable)
}

#[cfg(test)]
mod tests;
