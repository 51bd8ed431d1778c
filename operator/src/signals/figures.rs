//! What the metrics show of scaling and of the gateways, looked at when somebody asks.
//!
//! Pure but for the clock. So nothing is left behind of models that are gone. Registered by `context`.
//! Models have series of their own up to a bound; all further ones share those of `_other`.

use std::fmt;
use std::sync::Arc;

use aimass_chassis::metrics::{Registry, Word};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::desk::{Desk, Figures, Standing};
use crate::cache::Key;
use crate::lease::fence::Boottime;

/// Models that have series of their own.
const MODELS: usize = 2000;
/// What stands for all others.
const OTHER: &str = "_other";

/// From now on `registry` shows what lies on the desk.
pub(crate) fn register(registry: &mut Registry, desk: &Desk, boottime: &Boottime) {
    let shown = Shown {
        desk: desk.clone(),
        boottime: Arc::clone(boottime),
    };
    registry
        .sub_registry_with_prefix("aimass_operator")
        .register_collector(Box::new(shown));
}

struct Shown {
    desk: Desk,
    boottime: Boottime,
}

impl fmt::Debug for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shown").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    project: String,
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limited {
    project: String,
    model: String,
    by: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: Word,
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = crate::context::tick((self.boottime)());
        gateways(&mut encoder, self.desk.standing(now))?;
        let (models, rest) = self.desk.figures(MODELS);
        let rest = rest.map(|figures| (other(), figures));
        let models: Vec<(Key, Figures)> = models.into_iter().chain(rest).collect();
        let help = "Requests that want to be worked on at once, the mean over the window";
        let demand = |figures: &Figures| thousandths(figures.demand_milli);
        each(&mut encoder, ("demand", help), &models, demand)?;
        let help = "Pods that the load calls for, within all limits";
        each(&mut encoder, ("desired", help), &models, |f| {
            whole(f.desired)
        })?;
        let help = "Pods that serve";
        each(&mut encoder, ("ready", help), &models, |f| whole(f.ready))?;
        limited(&mut encoder, &models)?;
        let (models, rest) = self.desk.met(MODELS);
        let rest = rest.map(|met| (other(), met));
        let models: Vec<(Key, bool)> = models.into_iter().chain(rest).collect();
        let help = "1 where the last window kept to spec.objectives, 0 where not; absent where nobody can tell";
        each(&mut encoder, ("objective_met", help), &models, |met| {
            whole((*met).into())
        })
    }
}

/// Stands for all models beyond those that have series of their own.
fn other() -> Key {
    Key {
        namespace: OTHER.to_owned(),
        name: OTHER.to_owned(),
    }
}

fn gateways(encoder: &mut DescriptorEncoder<'_>, standing: Standing) -> Result<(), fmt::Error> {
    let Standing {
        live,
        connected,
        silent,
    } = standing;
    let help =
        "Gateways: those that are live, those that are read, those that have said nothing for 3 s";
    let mut family =
        encoder.encode_descriptor("signals_gateways", help, None, MetricType::Gauge)?;
    for (state, count) in [("live", live), ("connected", connected), ("silent", silent)] {
        let label = State { state: Word(state) };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        ConstGauge::new(count).encode(family.encode_family(&label)?)?;
    }
    Ok(())
}

fn each<F>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    models: &[(Key, F)],
    value: impl Fn(&F) -> f64,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (key, figures) in models {
        let label = Model {
            project: key.namespace.clone(),
            model: key.name.clone(),
        };
        ConstGauge::new(value(figures)).encode(family.encode_family(&label)?)?;
    }
    Ok(())
}

/// Only what is limited: a model has three series at most, and usually none.
fn limited(
    encoder: &mut DescriptorEncoder<'_>,
    models: &[(Key, Figures)],
) -> Result<(), fmt::Error> {
    let help = "1 where the load calls for more pods than there may be, by what keeps them away";
    let mut family = encoder.encode_descriptor("limited", help, None, MetricType::Gauge)?;
    for (key, figures) in models {
        for (by, count) in ["Max", "Quota", "Unschedulable"]
            .iter()
            .zip(figures.limited)
        {
            if count > 0 {
                let label = Limited {
                    project: key.namespace.clone(),
                    model: key.name.clone(),
                    by: Word(by),
                };
                ConstGauge::new(count).encode(family.encode_family(&label)?)?;
            }
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn thousandths(number: u64) -> f64 {
    number as f64 / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn whole(number: i64) -> f64 {
    number as f64
}
