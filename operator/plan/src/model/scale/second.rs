//! What gateways count, and how much work that is.
//!
//! Pure. Summed up by `ring`.

use serde::Serialize;

use super::tick::{Milli, share};
use super::tuning::Counting;

/// What one gateway counted for one revision during a span, as in its `report`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts<'a> {
    /// Requests forwarded and not answered, the mean over the span.
    pub in_flight: Milli,
    /// Requests waiting for a slot or a pod, the mean over the span.
    pub queued: Milli,
    /// Requests that came.
    pub arrived: u64,
    /// From choice to last byte, in microseconds, summed over the requests completed.
    pub service_us: u64,
    /// Requests completed.
    pub completed: u64,
    /// What the gateway remembers one request to take; 0: nothing.
    pub mean_service_us: u64,
    /// Answers by latency: bucket and count. May be left empty where no target asks for it.
    pub latency: &'a [(u8, u32)],
}

impl Counts<'_> {
    /// Whether no request arrived, waited, was in flight or completed.
    pub(super) fn idle(&self) -> bool {
        let Self {
            in_flight,
            queued,
            arrived,
            service_us: _, // of those completed
            completed,
            mean_service_us: _, // of earlier ones
            latency,
        } = self;
        in_flight.0 | queued.0 | arrived | completed == 0 && latency.is_empty()
    }
}

/// One second, summed over gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Second {
    pub(super) in_flight: Milli,
    pub(super) queued: Milli,
    pub(super) arrived: u64,
    pub(super) service_us: u64,
    pub(super) completed: u64,
}

/// A queue that takes this long to drain, once there is a slot, counts like requests in flight; one
/// that drains faster counts by its share.
const DRAIN_US: u64 = 2_000_000;

impl Second {
    pub(super) fn add(&mut self, more: Self) {
        let Self {
            in_flight,
            queued,
            arrived,
            service_us,
            completed,
        } = more;
        self.in_flight.0 = self.in_flight.0.saturating_add(in_flight.0);
        self.queued.0 = self.queued.0.saturating_add(queued.0);
        self.arrived = self.arrived.saturating_add(arrived);
        self.service_us = self.service_us.saturating_add(service_us);
        self.completed = self.completed.saturating_add(completed);
    }

    /// How many requests want to be worked on at once, where one takes `service_us`.
    ///
    /// Arrivals count by Little's law: what finds no slot would otherwise not count at all.
    pub(super) fn demand(self, service_us: Option<u64>, counting: Counting) -> Milli {
        let (Milli(in_flight), Milli(queued)) = (self.in_flight, self.queued);
        match (counting, service_us) {
            (Counting::Work, Some(service_us)) => {
                let arriving = share(self.arrived, service_us, 1000);
                let draining = share(queued, service_us.min(DRAIN_US), DRAIN_US);
                Milli(in_flight.max(arriving).saturating_add(draining))
            }
            (Counting::Work, None) | (Counting::Requests, _) => {
                Milli(in_flight.saturating_add(queued))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(in_flight: u64, queued: u64, arrived: u64, service_us: Option<u64>, expect: u64) {
        let second = Second {
            in_flight: Milli(in_flight),
            queued: Milli(queued),
            arrived,
            ..Second::default()
        };
        let demand = second.demand(service_us, Counting::Work);
        assert_eq!(demand, Milli(expect));
        let plain = second.demand(service_us, Counting::Requests);
        assert_eq!(plain, Milli(in_flight.saturating_add(queued)));
    }

    #[test]
    fn demand_is_what_is_in_flight_or_arrives_and_what_drains_slowly() {
        check(4_120, 0, 10, Some(100_000), 4_120);
        check(4_120, 0, 118, Some(44_100), 5_203);
        // twenty wait, each takes 20 ms: they are gone as soon as there is a slot
        check(1_000, 20_000, 0, Some(20_000), 1_200);
        check(1_000, 20_000, 0, Some(2_000_000), 21_000);
        check(1_000, 20_000, 0, Some(60_000_000), 21_000);
        check(1_000, 20_000, 500, None, 21_000);
    }

    #[test]
    fn huge_counts_saturate() {
        let most = u64::MAX;
        check(most, most, most, Some(most), most);
        check(0, 0, most, Some(2_000), most);
        let mut second = Second {
            arrived: most,
            ..Second::default()
        };
        second.add(second);
        assert_eq!(second.arrived, most);
    }
}
