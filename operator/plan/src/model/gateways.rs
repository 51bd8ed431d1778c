//! Who obeys the weights: what the gateways say of `trafficVersion`, and what is still under way.
//!
//! Pure. Made by the planner, asked by `rollout`. A gateway that is silent has said nothing: what it
//! obeys is not known, and nobody takes pods away that it may still send requests to.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::observed::Signals;

/// How long pods without requests stay at least after a rollout: a moment to change one's mind.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// What is known of the gateways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gateways<'a> {
    /// As reported.
    pub(crate) signals: &'a Signals,
    /// `status.trafficVersion`; 0 before the first.
    pub(crate) version: i64,
    /// Since when status says that all of them obey it.
    pub(crate) obeyed_since: Option<Timestamp>,
    /// Since when status says that not all do.
    pub(crate) lagging_since: Option<Timestamp>,
}

/// How many of the gateways obey the present weights: the condition `Routed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Routed {
    /// Whether there should be gateways.
    pub expected: bool,
    /// Those that obey, and say so.
    pub have: usize,
    /// Those that are there.
    pub want: usize,
    /// What they obey; 0 before the first weights.
    pub version: i64,
}

impl Gateways<'_> {
    /// There should be gateways, and there is none.
    pub(crate) fn are_gone(&self) -> bool {
        self.signals.expected && self.signals.gateways.is_empty()
    }

    /// Every gateway that is there obeys the present weights, and says so.
    pub(crate) fn obey(&self) -> bool {
        !self.signals.expected || !self.are_gone() && self.have() == self.signals.gateways.len()
    }

    /// How many there are that do not report.
    pub(crate) fn silent(&self) -> usize {
        let all = self.signals.gateways.values();
        all.filter(|gateway| gateway.silent).count()
    }

    fn have(&self) -> usize {
        let obeys = Some(self.version);
        let all = self.signals.gateways.values();
        all.filter(|gateway| {
            !gateway.silent && (self.version == 0 || gateway.traffic_version == obeys)
        })
        .count()
    }

    /// The highest version that any gateway speaks of: status may have been lost.
    pub(crate) fn newest(&self) -> i64 {
        let all = self.signals.gateways.values();
        all.filter_map(|gateway| gateway.traffic_version)
            .max()
            .unwrap_or(0)
    }

    /// For the condition; with weights that nobody can obey yet, because they are new.
    pub(crate) fn routed(&self, version: i64) -> Routed {
        let is_new = version != self.version;
        Routed {
            expected: self.signals.expected,
            have: if is_new { 0 } else { self.have() },
            want: self.signals.gateways.len(),
            version,
        }
    }

    /// From when on a revision without a share may lose its pods, as of `now`: at once if no gateway
    /// has a request for it, else when none can have one any more. `patient`: not at once. `None`: that
    /// depends on the gateways.
    pub(crate) fn drained_at(
        &self,
        revision: &str,
        (now, patient): (Timestamp, bool),
        longest: SignedDuration,
    ) -> Option<Timestamp> {
        if !self.signals.expected {
            return Some(now);
        }
        if !self.obey() {
            return None;
        }
        let since = self.obeyed_since.unwrap_or(now);
        let assigned = |gateway: &super::observed::Gateway| {
            gateway.assigned.get(revision).copied().unwrap_or(0) > 0
        };
        let wait = if self.signals.gateways.values().any(assigned) {
            longest.saturating_add(PATIENCE)
        } else if patient {
            PATIENCE
        } else {
            return Some(now);
        };
        since.checked_add(wait).ok()
    }
}

#[cfg(test)]
mod tests;
