//! `spec.rollout.analysis`, with its defaults: what is asked of a new revision.
//!
//! Pure. Made by `valid`, read by `analysis`. How often is asked and what happens if the answer
//! stays Hold is the rollout's business.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// What is asked of a new revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Requests on the new revision in this step below which nothing passes. 1 to 1,000,000.
    pub min_requests: u32,
    /// Limits of the share of requests that fail; `None`: not looked at.
    pub error_rate: Option<ErrorRate>,
    /// Limits of the time within which 95 % of the answers come; `None`: not looked at.
    pub latency_p95: Option<Latency>,
    /// The same for 99 %.
    pub latency_p99: Option<Latency>,
}

impl Default for Checks {
    /// At most one point more errors than the stable revision, judged from 50 requests on.
    fn default() -> Self {
        Self {
            min_requests: 50,
            error_rate: Some(ErrorRate {
                max: None,
                max_increase: Some(Percent { hundredths: 100 }),
            }),
            latency_p95: None,
            latency_p99: None,
        }
    }
}

/// Limits of the share of requests that fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorRate {
    /// The share itself.
    pub max: Option<Percent>,
    /// Points above the stable revision's share.
    pub max_increase: Option<Percent>,
}

/// Limits of a quantile of the latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The latency itself.
    pub max: Option<Duration>,
    /// What is added to the stable revision's, as a part of that.
    pub max_increase: Option<Percent>,
}

/// A percentage, exact to a hundredth: `0.5%` is 50 hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    /// Hundredths of a percent. 0 to 10,000 for shares, to 999,999 for increases.
    pub hundredths: u32,
}

/// Which limit a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// `errorRate.max`
    ErrorRate,
    /// `errorRate.maxIncrease`
    ErrorRateIncrease,
    /// `latencyP95.max`
    LatencyP95,
    /// `latencyP95.maxIncrease`
    LatencyP95Increase,
    /// `latencyP99.max`
    LatencyP99,
    /// `latencyP99.maxIncrease`
    LatencyP99Increase,
}

impl Metric {
    /// Every metric, in the order in which they are checked.
    pub const ALL: [Self; 6] = [
        Self::ErrorRate,
        Self::ErrorRateIncrease,
        Self::LatencyP95,
        Self::LatencyP95Increase,
        Self::LatencyP99,
        Self::LatencyP99Increase,
    ];

    /// Its path below `spec.rollout.analysis`, as in status and as a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ErrorRate => "errorRate.max",
            Self::ErrorRateIncrease => "errorRate.maxIncrease",
            Self::LatencyP95 => "latencyP95.max",
            Self::LatencyP95Increase => "latencyP95.maxIncrease",
            Self::LatencyP99 => "latencyP99.max",
            Self::LatencyP99Increase => "latencyP99.maxIncrease",
        }
    }

    /// The metric that `as_str` gives `text` for: the way back from status.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == text)
    }

    /// What is measured, without the limit's kind: `errorRate`.
    pub(super) fn quantity(self) -> &'static str {
        self.as_str().split('.').next().unwrap_or_default()
    }

    /// Whether errors are counted; otherwise slow answers are.
    pub(crate) const fn is_error(self) -> bool {
        matches!(self, Self::ErrorRate | Self::ErrorRateIncrease)
    }

    /// Whether the limit is relative to the stable revision.
    pub(super) const fn is_increase(self) -> bool {
        matches!(
            self,
            Self::ErrorRateIncrease | Self::LatencyP95Increase | Self::LatencyP99Increase
        )
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    pub(super) metric: Metric,
    pub(super) bound: Bound,
    /// Whether the other limit of the same quantity is not set.
    pub(super) is_alone: bool,
}

/// A limit's value. Quantiles are in percent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    /// So many errors.
    Errors(Percent),
    /// So many points more errors than the stable revision.
    MoreErrors(Percent),
    /// So long.
    Slow { quantile: u32, max: Duration },
    /// So much longer than the stable revision.
    Slower { quantile: u32, increase: Percent },
}

impl Checks {
    /// `min_requests`, and never nothing: no data is no reason to pass.
    pub(super) fn least(&self) -> u64 {
        u64::from(self.min_requests.max(1))
    }

    /// The limits that are set, in the order of [`Metric::ALL`].
    pub(super) fn list(&self) -> Vec<Check> {
        let ErrorRate { max, max_increase } = self.error_rate.unwrap_or_default();
        let errors = pair(
            (Metric::ErrorRate, max.map(Bound::Errors)),
            (
                Metric::ErrorRateIncrease,
                max_increase.map(Bound::MoreErrors),
            ),
        );
        let p95 = latency(
            self.latency_p95,
            95,
            (Metric::LatencyP95, Metric::LatencyP95Increase),
        );
        let p99 = latency(
            self.latency_p99,
            99,
            (Metric::LatencyP99, Metric::LatencyP99Increase),
        );
        errors.into_iter().chain(p95).chain(p99).flatten().collect()
    }
}

fn latency(
    limits: Option<Latency>,
    quantile: u32,
    (metric, increase_metric): (Metric, Metric),
) -> [Option<Check>; 2] {
    let Latency { max, max_increase } = limits.unwrap_or_default();
    let max = max.map(|max| Bound::Slow { quantile, max });
    let increase = max_increase.map(|increase| Bound::Slower { quantile, increase });
    pair((metric, max), (increase_metric, increase))
}

fn pair(one: (Metric, Option<Bound>), other: (Metric, Option<Bound>)) -> [Option<Check>; 2] {
    let is_alone = one.1.is_none() || other.1.is_none();
    [one, other].map(|(metric, bound)| {
        bound.map(|bound| Check {
            metric,
            bound,
            is_alone,
        })
    })
}
