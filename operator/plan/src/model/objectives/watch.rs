//! One model that has objectives, between two looks at it.
//!
//! Pure. Kept by the operator's desk. A model that nobody calls costs nothing: its watch rests until
//! somebody does, and the window begins with that.

use aimass_crds::condition::Condition;
use aimass_crds::signals::Load;

use super::ring::Ring;
use super::{Judged, Objectives, Standing, judge};
use crate::model::scale::Tick;

/// One model.
#[derive(Clone, Debug)]
pub struct Watch {
    objectives: Objectives,
    ring: Ring,
    /// What holds: at first what status says.
    standing: Standing,
    /// `None` until a whole window has been seen: what status says stays.
    judged: Option<Judged>,
    /// Up to when time has passed; `None` while a gateway is not heard.
    looked: Option<Tick>,
}

impl Watch {
    /// Nothing is known yet but what status says.
    #[must_use]
    pub fn new(objectives: Objectives, status: &[Condition], now: Tick) -> Self {
        Self {
            ring: Ring::new(objectives.window),
            objectives,
            standing: Standing::read(status).unwrap_or(Standing::NoTraffic),
            judged: None,
            looked: Some(now),
        }
    }

    /// Takes over what another spec says. What was counted is judged by it, if the window is the same.
    pub fn respec(&mut self, objectives: Objectives) {
        if objectives == self.objectives {
            return;
        }
        if objectives.window != self.objectives.window {
            self.ring = Ring::new(objectives.window);
        }
        self.objectives = objectives;
        self.judged = None;
    }

    /// One gateway counted this for one revision.
    pub fn add(&mut self, load: &Load, now: Tick) {
        if self.looked.is_none() {
            return;
        }
        if self.rests() {
            self.looked = Some(now);
        }
        self.ring.add(load);
    }

    /// Judges the window that is over, if one is; whether there is something to tell. To be called each
    /// second in which every gateway is heard.
    pub fn look(&mut self, now: Tick) -> bool {
        let before = self.looked.replace(now).unwrap_or(now);
        let passed = now.since(before);
        if self.rests() {
            self.ring.clear();
            return false;
        }
        let Some(counts) = self.ring.pass(passed) else {
            return false;
        };
        let judged = judge(&self.objectives, counts);
        if judged.standing != self.standing {
            self.standing = judged.standing;
            self.ring.clear();
        } else if self.judged.is_some() {
            return false;
        }
        self.judged = Some(judged);
        true
    }

    /// A gateway is not heard: until the next look there is no time, and what others say does not count.
    pub const fn skip(&mut self) {
        self.looked = None;
    }

    /// Whether nothing can change before somebody calls.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.standing == Standing::NoTraffic && self.ring.is_empty()
    }

    /// What was found out; `None`: nothing yet.
    #[must_use]
    pub const fn judged(&self) -> Option<&Judged> {
        self.judged.as_ref()
    }

    /// Whether the objectives are met; `None`: nobody can tell.
    #[must_use]
    pub const fn is_met(&self) -> Option<bool> {
        match self.standing {
            Standing::Met => Some(true),
            Standing::ErrorRateAbove | Standing::LatencyAbove => Some(false),
            Standing::NoTraffic => None,
        }
    }
}
