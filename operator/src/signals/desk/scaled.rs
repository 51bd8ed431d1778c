//! One ModelDeployment whose number of pods the load decides: its seconds, and what was decided.
//!
//! Pure; the decision itself is `aimass_plan::model::scale`. Kept by `desk` while the spec leaves the
//! number to the load.

use std::time::Duration;

use aimass_crds::ModelDeployment;
use aimass_crds::model_deployment::LimitedBy;
use aimass_crds::signals;
use aimass_plan::model::Recommended;
use aimass_plan::model::quota::{Room, Tight};
use aimass_plan::model::scale::{
    Blocked, Counts, Coverage, Limit, Limits, Memory, Milli, Recommendation, Ring, Rule, Rules,
    Seen, Span, Tick, recommend,
};
use jiff::Timestamp;

use super::record::Records;

/// A limit that comes and goes with the load is told as long as it came within this time: what is in
/// status must not move each second.
const LIMITED: Duration = Duration::from_secs(30);
/// What is left of a window when it is over: seconds that were not closed yet.
const TAIL: Duration = Duration::from_secs(10);

/// Its pods, over all revisions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pods {
    /// Those that serve.
    pub(crate) usable: i32,
    /// Those that the quota counts: also those that start or end.
    pub(crate) existing: i32,
    /// What keeps the pods of the last increase away.
    pub(crate) blocked: Option<Blocked>,
    /// For how many more the quotas have room; `None`: none limits them, or none is known.
    pub(crate) room: Option<Room>,
}

/// What is known beside the model itself when it is decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) coverage: &'a Coverage,
    pub(super) pods: &'a Pods,
    /// Whether somebody waits at any gateway.
    pub(super) waiting: bool,
    /// For people: when it is.
    pub(super) time: Timestamp,
    /// Decisions that may be kept.
    pub(super) records: usize,
}

/// What was decided, as far as somebody has to be told when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    desired: i32,
    limited_by: Option<Limit>,
    waking: bool,
    /// Nobody knows: no gateway reports, and the number stays.
    unknown: bool,
}

/// What of a quota keeps the number from being more.
#[derive(Debug)]
struct Held {
    tight: Tight,
    /// With the figures of when it began to.
    said: String,
}

/// One model.
#[derive(Debug)]
pub(super) struct Scaled {
    generation: Option<i64>,
    rules: Rules,
    limits: Limits,
    ring: Ring,
    memory: Memory,
    /// The number that holds.
    current: i32,
    /// When a report or a wake last spoke of it.
    active: Tick,
    told: Option<Told>,
    /// When `told` was last limited.
    limited: Tick,
    /// Which quota limits `told`, if one does.
    held: Option<Held>,
    /// The decision by which `told` came about.
    decided: Option<Recommendation>,
    /// The last one, whatever it says.
    last: Option<Recommendation>,
    pub(super) records: Records,
}

impl Scaled {
    /// Nothing is known yet but the spec, and the number that status has.
    pub(super) fn new(
        model: &ModelDeployment,
        (rules, limits): (Rules, Limits),
        pods: &Pods,
        now: Tick,
    ) -> Self {
        let ring = Ring::new(rules.window, now);
        Self {
            generation: model.metadata.generation,
            rules,
            limits,
            ring,
            memory: Memory::new(now),
            current: first(model, limits, pods),
            active: now,
            told: None,
            limited: now,
            held: None,
            decided: None,
            last: None,
            records: Records::default(),
        }
    }

    /// Whether its rules are those of the spec as it is now.
    pub(super) fn is_of(&self, model: &ModelDeployment) -> bool {
        self.generation.is_some() && self.generation == model.metadata.generation
    }

    /// Takes over what another spec says.
    pub(super) fn respec(
        &mut self,
        model: &ModelDeployment,
        (rules, limits): (Rules, Limits),
        now: Tick,
    ) {
        self.generation = model.metadata.generation;
        if rules.window != self.rules.window {
            self.ring.resize(rules.window, now);
        }
        self.rules = rules;
        self.limits = limits;
    }

    /// One gateway counted this for one revision.
    pub(super) fn add(&mut self, span: Span, load: &signals::Load, now: Tick) {
        let by_latency = self.rules.latency.is_some();
        let counts = Counts {
            in_flight: Milli(load.in_flight_milli),
            queued: Milli(load.queued_milli),
            arrived: load.arrived.into(),
            service_us: load.service_us,
            completed: load.completed.into(),
            mean_service_us: load.mean_service_us,
            latency: if by_latency { &load.latency } else { &[] },
        };
        self.ring.add(span, &counts);
        self.active = now;
    }

    /// Somebody waits.
    pub(super) fn woken(&mut self, now: Tick) {
        self.active = now;
    }

    /// Decides how many pods there shall be; whether that is news.
    pub(super) fn decide(&mut self, around: Around<'_>, now: Tick) -> bool {
        let Around {
            coverage,
            pods,
            waiting,
            time,
            records,
        } = around;
        let Pods {
            usable,
            existing,
            blocked,
            room,
        } = pods;
        let seen = Seen {
            ring: &self.ring,
            coverage,
            usable: *usable,
            existing: *existing,
            waiting,
            blocked: *blocked,
            current: self.current,
            limits: Limits {
                headroom: room.as_ref().map(|room| room.headroom),
                ..self.limits
            },
        };
        let (memory, recommendation) = recommend(&self.rules, &seen, &self.memory, now);
        self.memory = memory;
        let desired = recommendation.desired;
        let unknown = recommendation.rule == Rule::Silent && desired == self.current;
        let told = Told {
            desired,
            limited_by: self.limited_by(&recommendation, now),
            waking: waiting && *usable == 0,
            unknown,
        };
        self.current = desired;
        self.last = Some(recommendation);
        let before = self.told.replace(told);
        let other =
            |before: Told| (before.desired, before.limited_by) != (told.desired, told.limited_by);
        let is_other = before.is_none_or(other);
        if is_other {
            self.decided = Some(recommendation);
            self.records.push((time, recommendation), records);
            self.held = None;
        }
        let is_held = self.is_held() && self.holds(room.as_ref(), &recommendation);
        before != Some(told) || is_held
    }

    /// Takes note of what of a quota limits the number; whether that is another one than was told. It
    /// stays the same as long as there is no more room in it, whatever its figures are.
    fn holds(&mut self, room: Option<&Room>, recommendation: &Recommendation) -> bool {
        let Some((room, further)) = room.zip(recommendation.held_by_quota()) else {
            return false;
        };
        let is_told = |tight: &Tight| self.held.as_ref().is_some_and(|held| held.tight.is(tight));
        if room.tight.iter().any(is_told) {
            return false;
        }
        // those beyond the room were counted before we saw them
        let further = further.min(room.headroom);
        self.held = room.tight.first().map(|tight| Held {
            tight: tight.clone(),
            said: tight.said(further),
        });
        true
    }

    /// Whether a quota limits the number.
    pub(super) fn is_held(&self) -> bool {
        let limit = self.told.and_then(|told| told.limited_by);
        limit == Some(Limit::Quota)
    }

    /// What limits the number: told as soon as it does, and until it has not for a while, unless the
    /// number changes.
    fn limited_by(&mut self, recommendation: &Recommendation, now: Tick) -> Option<Limit> {
        if recommendation.limited_by.is_some() {
            self.limited = now;
            return recommendation.limited_by;
        }
        let told = self
            .told
            .filter(|told| told.desired == recommendation.desired);
        told.and_then(|told| told.limited_by)
            .filter(|_| now.since(self.limited) < LIMITED)
    }

    /// Whether nothing can change before somebody speaks of it again: nobody has called for a whole
    /// window, and there are as few pods as may be.
    pub(super) fn rests(&self, now: Tick) -> bool {
        let window = self.rules.window.saturating_add(TAIL);
        let told = self.told.is_some_and(|told| {
            told.desired == self.limits.min && told.limited_by.is_none() && !told.waking
        });
        told && now.since(self.active) > window
    }

    /// The same as a plan takes it.
    pub(super) fn recommended(&self) -> Option<Recommended> {
        let told = self.told.filter(|told| !told.unknown)?;
        Some(Recommended {
            desired: told.desired,
            limited_by: told.limited_by.map(|limit| match limit {
                Limit::Max => LimitedBy::Max,
                Limit::Quota => LimitedBy::Quota,
                Limit::Unschedulable => LimitedBy::Unschedulable,
            }),
            message: self.decided.as_ref()?.to_string(),
            held: self.held.as_ref().map(|held| held.said.clone()),
            waking: told.waking,
        })
    }

    /// The last decision, whether it was news or not.
    pub(super) fn last(&self) -> Option<&Recommendation> {
        self.last.as_ref()
    }
}

/// The number that holds before anything is known: the one in status; of a model that has none yet as
/// many as there are, and at least the one that has to prove itself.
fn first(model: &ModelDeployment, limits: Limits, pods: &Pods) -> i32 {
    let status = model.status.as_ref();
    let held = status.and_then(|status| status.scaling.as_ref());
    held.map_or(pods.existing.max(limits.min).max(1), |held| held.desired)
}
