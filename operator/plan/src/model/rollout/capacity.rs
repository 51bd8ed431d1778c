//! How many pods each revision has: what its share of the requests needs, now and next.
//!
//! Pure. Called by `rollout` once shares are decided. Sizes follow from what is ready now, not from a
//! step count, so that they are right after any crash. A revision gets smaller only when every gateway
//! obeys the present shares, never below what its share needs, and without one only when no request
//! can be on its pods.

mod wanted;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Facts, signed};
use crate::model::facts::Pods;
use crate::model::traffic::Traffic;
use crate::model::valid::Strategy;

/// Where the pods are to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course<'a> {
    /// How the one in front comes to its size.
    pub(super) way: Way,
    /// The revision that has everything in the end.
    pub(super) front: &'a str,
    /// Who has what the one in front does not have yet.
    pub(super) base: Option<&'a str>,
    /// The shares that gateways know of.
    pub(super) before: &'a Traffic,
    /// The shares as they are decided now.
    pub(super) traffic: &'a Traffic,
    /// Nothing may shrink in this output.
    pub(super) is_held: bool,
    /// When it is decided.
    pub(super) now: Timestamp,
}

/// How the revision in front comes to its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is known to work: at once. `patient`: what it has replaced stays for a moment.
    Home {
        /// Not after a failure.
        patient: bool,
    },
    /// Step by step.
    Forward {
        /// Its share by now.
        weight: i32,
        /// The share that pods come up for.
        next: Option<i32>,
        /// It may have further pods.
        grows: bool,
        /// The base keeps its full size: a failure returns at once.
        keeps_base: bool,
    },
    /// It failed, and there is nothing to return to: one pod goes on trying.
    Trying,
}

/// A size for each revision, and when time alone lets one shrink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    pub(super) sizes: BTreeMap<String, i32>,
    pub(super) wake_at: Option<Timestamp>,
}

/// The sizes of all revisions that exist, and of the one in front.
pub(super) fn of(facts: &Facts<'_>, course: &Course<'_>) -> Capacity {
    let mut guard = Guard {
        facts,
        course,
        wake_at: None,
    };
    let mut sizes = BTreeMap::new();
    for revision in facts.order {
        if revision != course.front {
            let size = wanted::of_other(facts, course, revision);
            sizes.insert(revision.clone(), guard.allowed(revision, size));
        }
    }
    keep_ready(facts, course, &mut sizes);
    // A refused target has no size, because it does not exist.
    if facts.refused.is_none() || facts.pods.contains_key(course.front) {
        let size = wanted::of_front(facts, course, &sizes);
        sizes.insert(course.front.to_owned(), guard.allowed(course.front, size));
    }
    Capacity {
        sizes,
        wake_at: guard.wake_at,
    }
}

/// The sizes of all revisions that exist where none is in front: none grows.
pub(super) fn kept(facts: &Facts<'_>, traffic: &Traffic, now: Timestamp) -> Capacity {
    let course = Course {
        way: Way::Home { patient: false },
        front: "",
        base: None,
        before: traffic,
        traffic,
        is_held: facts.is_lost,
        now,
    };
    let mut guard = Guard {
        facts,
        course: &course,
        wake_at: None,
    };
    let kept = |(name, pods): (&String, &Pods)| {
        let wanted = pods.size.min(facts.desired);
        (name.clone(), guard.allowed(name, wanted))
    };
    let sizes = facts.pods.iter().map(kept).collect();
    Capacity {
        sizes,
        wake_at: guard.wake_at,
    }
}

/// Lets a revision shrink, or not.
struct Guard<'a> {
    facts: &'a Facts<'a>,
    course: &'a Course<'a>,
    wake_at: Option<Timestamp>,
}

impl Guard<'_> {
    fn allowed(&mut self, revision: &str, wanted: i32) -> i32 {
        let pods = self.facts.of(revision);
        let course = self.course;
        if wanted >= pods.size {
            return wanted;
        }
        let gateways = &self.facts.gateways;
        if self.facts.rules.strategy == Strategy::Recreate {
            // requests wait until the next one's pods are there
            let stays = course.is_held || gateways.are_gone();
            return if stays { pods.size } else { wanted };
        }
        let shareless = |traffic: &Traffic| traffic.of(revision) == 0;
        let had_none = shareless(course.before) && shareless(course.traffic);
        if course.is_held {
            return pods.size;
        }
        if had_none && pods.ready == 0 {
            return wanted;
        }
        if course.before != course.traffic || !gateways.obey() {
            return pods.size;
        }
        if !had_none {
            return wanted;
        }
        let patient = course.way == Way::Home { patient: true };
        let longest = signed(self.facts.request_timeout);
        let at = gateways.drained_at(revision, (course.now, patient), longest);
        if at.is_some_and(|at| at <= course.now) {
            return wanted;
        }
        self.wake_at = [self.wake_at, at].into_iter().flatten().min();
        pods.size
    }
}

/// Ready pods that serve are not taken away while there are too few in all: others may have failed
/// since shares were decided. Without gateways every ready pod serves.
fn keep_ready(facts: &Facts<'_>, course: &Course<'_>, sizes: &mut BTreeMap<String, i32>) {
    let floor = match facts.rules.strategy {
        Strategy::Recreate => return,
        Strategy::RollingUpdate { .. } => facts.desired - wanted::portions(facts).1,
        Strategy::Canary(_) | Strategy::BlueGreen(_) => facts.desired,
    };
    let rolls = matches!(facts.rules.strategy, Strategy::RollingUpdate { .. });
    let all_serve = rolls && !facts.gateways.signals.expected;
    let serves = |revision: &str| all_serve || course.traffic.of(revision) > 0;
    let kept: i32 = sizes
        .iter()
        .filter(|(revision, _)| serves(revision))
        .map(|(revision, size)| facts.of(revision).ready.min(*size))
        .sum();
    let mut missing = floor - kept - facts.of(course.front).ready;
    let base_first = facts
        .order
        .iter()
        .filter(|revision| Some(revision.as_str()) == course.base)
        .chain(facts.order);
    for revision in base_first.filter(|revision| serves(revision)) {
        let Some(size) = sizes.get_mut(revision) else {
            continue;
        };
        let back = missing.min(facts.of(revision).ready - *size);
        if back > 0 {
            *size += back;
            missing -= back;
        }
    }
}
