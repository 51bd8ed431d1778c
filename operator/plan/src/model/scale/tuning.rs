//! What a deployment's owner may set, and what nobody sets.
//!
//! Pure. [`Rules`] are made by the operator's signals task from a spec with its defaults; [`Tuning`]
//! is part of them so that tests can hold the algorithm against the one it was derived from.

use std::time::Duration;

use super::tick::{Milli, seconds};

/// How one deployment is scaled. Numbers of 0 where at least 1 is meant count as 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `scaling.target.inFlight`: running and waiting requests per replica, the mean.
    pub in_flight: u32,
    /// `scaling.target.rate`: requests a second per replica.
    pub rate: Option<u32>,
    /// `scaling.target.latency`: the 95th percentile.
    pub latency: Option<Duration>,
    /// `traffic.maxConcurrency`: slots per replica; at least `in_flight`.
    pub max_concurrency: u32,
    /// `scaling.window`.
    pub window: Duration,
    /// `scaling.scaleDownDelay`.
    pub scale_down_delay: Duration,
    /// `scaling.idleTimeout`.
    pub idle_timeout: Duration,
    /// The constants; [`Tuning::AIMASS`] outside of tests.
    pub tuning: Tuning,
}

impl Rules {
    /// What one replica shall work on.
    pub(super) fn target(&self) -> Milli {
        Milli::whole(u64::from(self.in_flight.max(1)))
    }

    /// What one replica can work on.
    pub(super) fn slots(&self) -> Milli {
        Milli::whole(u64::from(self.max_concurrency.max(self.in_flight).max(1)))
    }

    /// Seconds of the fast window.
    pub(super) fn fast(&self) -> u64 {
        let share = seconds(self.window) / self.tuning.fast_share.max(1);
        share.max(self.tuning.fast_least)
    }
}

/// The constants of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// What is counted as demand.
    pub counting: Counting,
    /// When a burst is taken for more than noise.
    pub alarm: Alarm,
    /// The fast window is the window divided by this.
    pub fast_share: u64,
    /// The fast window has at least so many seconds.
    pub fast_least: u64,
    /// How long nothing shrinks after an alarm.
    pub hold: Duration,
    /// The runaway guard: at most this share of the pods that are ready.
    pub growth_percent: u32,
    /// The least time between two decreases.
    pub decrease_every: Duration,
    /// One decrease leaves at least this share, rounded up.
    pub keep_percent: u32,
    /// A replica counts as this full before one is taken away: hysteresis.
    pub spare_percent: u32,
}

impl Tuning {
    /// What deployments are scaled with. Source of each: scaling-and-rollout.md §2.
    pub const AIMASS: Self = Self {
        counting: Counting::Work,
        alarm: Alarm::Saturated,
        fast_share: 20,
        fast_least: 2,
        hold: Duration::from_secs(30),
        growth_percent: 1000,
        decrease_every: Duration::from_secs(15),
        keep_percent: 50,
        spare_percent: 90,
    };

    /// The defaults of Knative's autoscaler, as far as they differ; for comparison only. Source:
    /// knative.dev/docs, "Configuring Knative Serving autoscaling".
    pub const KNATIVE: Self = Self {
        counting: Counting::Requests,
        alarm: Alarm::Wanted { percent: 200 },
        fast_share: 10,
        fast_least: 1,
        hold: Duration::from_secs(60),
        growth_percent: 100_000,
        decrease_every: Duration::ZERO,
        keep_percent: 50,
        spare_percent: 100,
    };
}

/// What is counted as demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// What is in flight or arrives, and what of the queue is not drained soon.
    Work,
    /// All requests in flight or waiting, whatever they take.
    Requests,
}

/// When a burst is taken for more than noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// No slot of a ready pod is free, and more pods would help.
    Saturated,
    /// The burst wants this share of the pods that are ready.
    Wanted {
        /// 200: twice as many.
        percent: u32,
    },
}
