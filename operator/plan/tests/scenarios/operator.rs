//! What the operator's signals task does for one deployment: add what gateways report, close
//! seconds, ask each second and at a wake.

use std::collections::BTreeSet;
use std::time::Duration;

use aimass_plan::model::scale::{
    Counts, Coverage, Limits, Memory, Milli, Recommendation, Ring, Rules, Seen, Tick, Tuning,
    recommend,
};

/// The rules of all scenarios unless they say otherwise: 7 of 10 slots.
pub(crate) fn rules() -> Rules {
    Rules {
        in_flight: 7,
        rate: None,
        latency: None,
        max_concurrency: 10,
        window: Duration::from_secs(60),
        scale_down_delay: Duration::ZERO,
        idle_timeout: Duration::from_secs(300),
        tuning: Tuning::AIMASS,
    }
}

/// From zero to a hundred.
pub(crate) const LIMITS: Limits = Limits {
    min: 0,
    max: 100,
    headroom: None,
};

/// Pods as the operator sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pods {
    pub(crate) usable: i32,
    pub(crate) existing: i32,
    pub(crate) waiting: bool,
}

/// One leader.
pub(crate) struct Operator {
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
    pub(crate) current: i32,
    pub(crate) live: BTreeSet<String>,
    ring: Ring,
    coverage: Coverage,
    memory: Memory,
}

impl Operator {
    /// A leader that finds `current` in status.
    pub(crate) fn new(rules: Rules, limits: Limits, current: i32, now: Tick) -> Self {
        Self {
            rules,
            limits,
            current,
            live: BTreeSet::from(["a".to_owned()]),
            ring: Ring::new(rules.window, now),
            coverage: Coverage::new(now),
            memory: Memory::new(now),
        }
    }

    /// Another one takes over: what is not in status is lost.
    pub(crate) fn succeed(&mut self, now: Tick) {
        let live = std::mem::take(&mut self.live);
        *self = Self::new(self.rules, self.limits, self.current, now);
        self.live = live;
    }

    /// A gateway's report of the last second.
    pub(crate) fn report(&mut self, gateway: &str, counts: &Counts<'_>, now: Tick) {
        let span = self.coverage.report(gateway, Duration::from_secs(1), now);
        self.ring.add(span, counts);
    }

    /// A gateway's connection was lost.
    pub(crate) fn disconnected(&mut self, gateway: &str) {
        self.coverage.connected(gateway);
    }

    /// `spec.replicas` is gone: from this number on it is decided again.
    pub(crate) fn automatic_from(&mut self, current: i32, now: Tick) {
        self.current = current;
        self.memory = Memory::new(now);
    }

    /// Each second, and at a wake.
    pub(crate) fn decide(&mut self, pods: Pods, now: Tick) -> Recommendation {
        self.coverage.close(&self.live, now);
        let seen = Seen {
            ring: &self.ring,
            coverage: &self.coverage,
            usable: pods.usable,
            existing: pods.existing,
            waiting: pods.waiting,
            blocked: None,
            current: self.current,
            limits: self.limits,
        };
        let (memory, found) = recommend(&self.rules, &seen, &self.memory, now);
        self.memory = memory;
        self.current = found.desired;
        found
    }
}

/// What a gateway reports that has this many requests in flight, each of which takes 100 ms.
pub(crate) fn steady(in_flight: f64) -> Counts<'static> {
    let arrived = (in_flight * 10.0).round() as u64;
    Counts {
        in_flight: Milli((in_flight * 1000.0).round() as u64),
        arrived,
        completed: arrived,
        service_us: arrived * 100_000,
        mean_service_us: 100_000,
        ..Counts::default()
    }
}
