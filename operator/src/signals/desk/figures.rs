//! What the metrics show of the desk.
//!
//! Pure. Made by `desk` when somebody asks.

use aimass_plan::model::scale::{Limit, Recommendation};

/// Figures of one model, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Thousandths of requests that want to be worked on at once.
    pub(crate) demand_milli: u64,
    pub(crate) desired: i64,
    pub(crate) ready: i64,
    /// Models whose number is limited by the spec, by the quota, for want of nodes.
    pub(crate) limited: [i64; 3],
}

/// How many gateways there are, and how many of them tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) live: usize,
    pub(crate) connected: usize,
    pub(crate) silent: usize,
}

impl Figures {
    pub(super) fn of(last: &Recommendation) -> Self {
        let limits = [Limit::Max, Limit::Quota, Limit::Unschedulable];
        Self {
            demand_milli: last.inputs.slow.0,
            desired: last.desired.into(),
            ready: last.inputs.usable.into(),
            limited: limits.map(|limit| (last.limited_by == Some(limit)).into()),
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        let [max, quota, nodes] = self.limited;
        let [more_max, more_quota, more_nodes] = other.limited;
        Self {
            demand_milli: self.demand_milli.saturating_add(other.demand_milli),
            desired: self.desired.saturating_add(other.desired),
            ready: self.ready.saturating_add(other.ready),
            limited: [
                max.saturating_add(more_max),
                quota.saturating_add(more_quota),
                nodes.saturating_add(more_nodes),
            ],
        }
    }
}
