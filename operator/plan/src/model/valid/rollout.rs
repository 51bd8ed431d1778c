//! `spec.rollout`, with its defaults.
//!
//! Pure. Called by `valid`. The portions of a rolling update are in `rollout/portion.rs`, the steps of
//! the watched strategies in `rollout/steps.rs`, what is asked of a revision in `rollout/analysis.rs`,
//! the words of a person in `rollout/word.rs`.

mod analysis;
mod portion;
mod steps;
mod word;

use std::time::Duration;

use aimass_crds::model_deployment::{Rollout as Wire, Strategy as WireStrategy};

use super::{Rejection, fields};

pub(crate) use analysis::Analysis;
pub(crate) use portion::Portion;
use steps::{BlueGreen, Canary};
pub(crate) use word::Word;
use word::Words;

/// How a new revision replaces the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rollout {
    pub(crate) strategy: Strategy,
    /// 30 s to 24 h.
    pub(crate) progress_deadline: Duration,
    pub(crate) auto_rollback: bool,
    pub(crate) paused: bool,
    /// 0 to 6.
    pub(crate) history: usize,
    /// With Canary and BlueGreen, and only with these.
    pub(crate) analysis: Option<Analysis>,
    /// `decision`
    pub(crate) words: Option<Words>,
    /// Eight characters.
    pub(crate) pin: Option<String>,
}

/// The way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    RollingUpdate {
        surge: Portion,
        unavailable: Portion,
    },
    Recreate,
    Canary(Canary),
    BlueGreen(BlueGreen),
}

pub(super) fn rollout(wire: &Wire) -> Result<Rollout, Rejection> {
    let progress_deadline = fields::duration(
        "spec.rollout.progressDeadline",
        wire.progress_deadline.as_ref(),
        Duration::from_secs(600),
        ("30s", "24h"),
    )?;
    let history = fields::integer("spec.rollout.history", wire.history.unwrap_or(3), 0, 6)?;
    fits(wire)?;
    let strategy = strategy(wire)?;
    let is_watched = matches!(strategy, Strategy::Canary(_) | Strategy::BlueGreen(_));
    let given = wire.analysis.as_ref().map(analysis::analysis).transpose()?;
    Ok(Rollout {
        strategy,
        progress_deadline,
        auto_rollback: wire.auto_rollback.unwrap_or(true),
        paused: wire.paused.unwrap_or(false),
        history: usize::try_from(history).unwrap_or_default(),
        analysis: is_watched.then(|| given.unwrap_or_default()),
        words: wire.decision.as_ref().map(word::words).transpose()?,
        pin: wire.pin.as_deref().map(word::pin).transpose()?,
    })
}

/// Settings of one strategy are refused with another one.
fn fits(wire: &Wire) -> Result<(), Rejection> {
    let is = wire.strategy.unwrap_or_default();
    let watched = matches!(is, WireStrategy::Canary | WireStrategy::BlueGreen);
    let rows = [
        (
            wire.rolling_update.is_some() && is != WireStrategy::RollingUpdate,
            "spec.rollout.rollingUpdate",
            "RollingUpdate",
        ),
        (
            wire.canary.is_some() && is != WireStrategy::Canary,
            "spec.rollout.canary",
            "Canary",
        ),
        (
            wire.blue_green.is_some() && is != WireStrategy::BlueGreen,
            "spec.rollout.blueGreen",
            "BlueGreen",
        ),
        (
            wire.analysis.is_some() && !watched,
            "spec.rollout.analysis",
            "Canary or BlueGreen",
        ),
    ];
    match rows.into_iter().find(|(broken, _, _)| *broken) {
        None => Ok(()),
        Some((_, path, needs)) => Err(Rejection::Strategy {
            path,
            needs,
            is: name(is),
        }),
    }
}

fn name(strategy: WireStrategy) -> &'static str {
    match strategy {
        WireStrategy::RollingUpdate => "RollingUpdate",
        WireStrategy::Recreate => "Recreate",
        WireStrategy::Canary => "Canary",
        WireStrategy::BlueGreen => "BlueGreen",
    }
}

fn strategy(wire: &Wire) -> Result<Strategy, Rejection> {
    match wire.strategy.unwrap_or_default() {
        WireStrategy::RollingUpdate => {
            let portions = wire.rolling_update.clone().unwrap_or_default();
            let (surge, unavailable) = portion::portions(&portions)?;
            Ok(Strategy::RollingUpdate { surge, unavailable })
        }
        WireStrategy::Recreate => Ok(Strategy::Recreate),
        WireStrategy::Canary => {
            let canary = wire.canary.clone().unwrap_or_default();
            steps::canary(&canary).map(Strategy::Canary)
        }
        WireStrategy::BlueGreen => {
            let blue_green = wire.blue_green.clone().unwrap_or_default();
            steps::blue_green(&blue_green).map(Strategy::BlueGreen)
        }
    }
}
