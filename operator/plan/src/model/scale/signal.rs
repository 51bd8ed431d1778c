//! How many replicas each signal wants, and why.
//!
//! Pure. Called by `decide`. Requests in flight always count; a rate and a latency where the spec
//! sets a target. The largest wish counts, in either direction.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::inputs::Inputs;
use super::latency;
use super::memory::Memory;
use super::tick::{Milli, Tick};
use super::tuning::{Alarm, Rules};

/// How many replicas are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Want {
    /// How many.
    pub replicas: i32,
    /// What wants them.
    pub signal: Signal,
}

/// What wants replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Signal {
    /// `target.inFlight`.
    InFlight {
        /// Requests that want to be worked on at once.
        demand: Milli,
        /// How many of them one replica takes.
        per_replica: Milli,
    },
    /// `target.rate`.
    Rate {
        /// Requests a second.
        rate: Milli,
        /// How many of them one replica takes.
        per_replica: Milli,
    },
    /// `target.latency`.
    Latency {
        /// The 95th percentile in microseconds.
        p95_us: u64,
        /// What it is held against.
        limit_us: u64,
    },
}

/// All wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// By the window.
    pub up: Want,
    /// By the fast window.
    pub burst: Want,
    /// So that there would still be something to spare.
    pub down: Want,
    /// The runaway guard: pods that never get ready justify no more than this.
    pub most: i32,
}

/// Answers below which a percentile says nothing.
const ENOUGH_ANSWERS: u64 = 20;
/// How long an increase takes to show in a percentile of ten seconds.
const SHOWS_AFTER: Duration = Duration::from_secs(10);

/// Works them out.
pub(super) fn wanted(rules: &Rules, inputs: &Inputs, memory: &Memory, now: Tick) -> Wanted {
    let slow = (inputs.slow, inputs.slow_rate);
    let fast = (inputs.fast, inputs.fast_rate);
    let larger = (slow.0.max(fast.0), slow.1.max(fast.1));
    let mut wanted = Wanted {
        up: by_load(rules, slow, 100),
        burst: by_load(rules, fast, 100),
        down: by_load(rules, larger, rules.tuning.spare_percent),
        most: most(rules, inputs),
    };
    if let Some(limit) = rules.latency {
        by_latency(&mut wanted, inputs, limit, shows(inputs, memory, now));
    }
    wanted
}

/// How many replicas the fast demand of one revision needs.
pub(super) fn needed(rules: &Rules, fast: Milli) -> i32 {
    replicas(fast, rules.target())
}

/// Whether the burst is taken for more than noise.
pub(super) fn alarming(rules: &Rules, inputs: &Inputs, burst: i32) -> bool {
    let ready = inputs.usable.max(1);
    match rules.tuning.alarm {
        Alarm::Saturated => {
            let slots = rules
                .slots()
                .0
                .saturating_mul(u64::from(ready.unsigned_abs()));
            inputs.fast.0 >= slots && burst > ready
        }
        Alarm::Wanted { percent } => {
            i64::from(burst).saturating_mul(100)
                >= i64::from(percent).saturating_mul(i64::from(ready))
        }
    }
}

fn most(rules: &Rules, inputs: &Inputs) -> i32 {
    let ready = inputs.usable.max(1);
    percent_of(ready, rules.tuning.growth_percent).max(inputs.current)
}

/// A share, rounded up.
pub(super) fn percent_of(replicas: i32, percent: u32) -> i32 {
    let product = u64::from(replicas.unsigned_abs()).saturating_mul(u64::from(percent));
    i32::try_from(product.div_ceil(100)).unwrap_or(i32::MAX)
}

/// By requests in flight and by rate; a replica counts as full at `percent` of its target.
fn by_load(rules: &Rules, (demand, rate): (Milli, Milli), percent: u32) -> Want {
    let full = |target: Milli| Milli(target.0 / 100 * u64::from(percent.max(1)));
    let per_replica = full(rules.target());
    let in_flight = Want {
        replicas: replicas(demand, per_replica),
        signal: Signal::InFlight {
            demand,
            per_replica,
        },
    };
    let Some(target) = rules.rate else {
        return in_flight;
    };
    let per_replica = full(Milli::whole(u64::from(target.max(1))));
    in_flight.or_more(Want {
        replicas: replicas(rate, per_replica),
        signal: Signal::Rate { rate, per_replica },
    })
}

fn replicas(load: Milli, per_replica: Milli) -> i32 {
    i32::try_from(load.0.div_ceil(per_replica.0.max(1))).unwrap_or(i32::MAX)
}

/// Whether the percentile shows what the last increase did.
fn shows(inputs: &Inputs, memory: &Memory, now: Tick) -> bool {
    let since = memory.last_increase().map(|last| now.since(last));
    inputs.usable >= inputs.current && since.is_none_or(|since| since >= SHOWS_AFTER)
}

/// Too slow: more, at most twice as many at a time. Nearly too slow: no fewer.
fn by_latency(wanted: &mut Wanted, inputs: &Inputs, limit: Duration, shows: bool) {
    if inputs.answers < ENOUGH_ANSWERS {
        return;
    }
    let (p95_us, limit_us) = (inputs.p95_us, latency::told_apart_us(limit).max(1));
    let signal = Signal::Latency { p95_us, limit_us };
    if p95_us > limit_us && shows {
        let ready = inputs.usable.max(1);
        let times = u128::from(ready.unsigned_abs()) * u128::from(p95_us);
        let in_ratio = times.div_ceil(u128::from(limit_us));
        let replicas = i32::try_from(in_ratio)
            .unwrap_or(i32::MAX)
            .min(ready.saturating_mul(2));
        wanted.up = wanted.up.or_more(Want { replicas, signal });
    }
    if u128::from(p95_us) * 10 > u128::from(limit_us) * 9 {
        let replicas = inputs.current;
        wanted.down = wanted.down.or_more(Want { replicas, signal });
    }
}

impl Want {
    /// The larger of two.
    pub(super) fn or_more(self, other: Self) -> Self {
        if other.replicas > self.replicas {
            other
        } else {
            self
        }
    }
}

/// `48.20 in flight wants 7 at 7 per replica`.
impl fmt::Display for Want {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replicas = self.replicas;
        match self.signal {
            Signal::InFlight {
                demand,
                per_replica,
            } => write!(
                formatter,
                "{demand} in flight wants {replicas} at {per_replica} per replica"
            ),
            Signal::Rate { rate, per_replica } => write!(
                formatter,
                "{rate} requests/s wants {replicas} at {per_replica} per replica"
            ),
            Signal::Latency { p95_us, limit_us } => write!(
                formatter,
                "p95 {} ms of at most {} ms wants {replicas}",
                Milli(p95_us),
                Milli(limit_us)
            ),
        }
    }
}

#[cfg(test)]
mod tests;
