//! `spec.rollout.canary` and `blueGreen`: the steps of rollouts that are watched.
//!
//! Pure. Called by `rollout`.

use std::time::Duration;

use aimass_crds::model_deployment::{BlueGreen as WireBlueGreen, Canary as WireCanary, CanaryStep};

use super::{Rejection, fields};

/// How long a step of a canary is watched where it does not say so.
const WATCH: Duration = Duration::from_secs(120);
/// The steps of a canary that names none.
const WEIGHTS: [i32; 2] = [10, 50];
/// How long the old pods stay after the switch where it is not said.
const KEEP_OLD: Duration = Duration::from_secs(600);

/// The shares that a new revision gets, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canary {
    /// 1 to 20, with rising weights.
    pub(crate) steps: Vec<Step>,
    /// 0 to 100.
    pub(crate) max_weight: i32,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// 1 to 99.
    pub(crate) weight: i32,
    /// 0 to 168 h.
    pub(crate) duration: Duration,
    pub(crate) approval: bool,
}

/// The switch from all old pods to all new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlueGreen {
    /// 0 to 168 h.
    pub(crate) soak: Duration,
    pub(crate) approval: bool,
    /// 0 to 168 h.
    pub(crate) keep_old: Duration,
}

pub(super) fn canary(wire: &WireCanary) -> Result<Canary, Rejection> {
    let max_weight = fields::integer(
        "spec.rollout.canary.maxWeight",
        wire.max_weight.unwrap_or(100),
        0,
        100,
    )?;
    let steps = match &wire.steps {
        Some(steps) => steps.iter().map(step).collect::<Result<_, _>>()?,
        None => WEIGHTS.map(by_default).to_vec(),
    };
    let weights: Vec<i32> = steps.iter().map(|step: &Step| step.weight).collect();
    let rising = weights.is_sorted_by(|one, other| one < other);
    if !rising || !(1..=20).contains(&steps.len()) {
        let shown: Vec<String> = weights.iter().take(20).map(ToString::to_string).collect();
        return Err(Rejection::Text {
            path: "spec.rollout.canary.steps",
            rule: "1 to 20 steps with weights that rise from step to step",
            value: shown.join(", "),
        });
    }
    Ok(Canary { steps, max_weight })
}

fn by_default(weight: i32) -> Step {
    Step {
        weight,
        duration: WATCH,
        approval: false,
    }
}

fn step(wire: &CanaryStep) -> Result<Step, Rejection> {
    let CanaryStep {
        weight,
        duration,
        approval,
    } = wire;
    let bounds = ("0s", "168h");
    Ok(Step {
        weight: fields::integer("spec.rollout.canary.steps[].weight", *weight, 1, 99)?,
        duration: fields::duration(
            "spec.rollout.canary.steps[].duration",
            duration.as_ref(),
            WATCH,
            bounds,
        )?,
        approval: approval.unwrap_or(false),
    })
}

pub(super) fn blue_green(wire: &WireBlueGreen) -> Result<BlueGreen, Rejection> {
    let WireBlueGreen {
        soak,
        approval,
        keep_old,
    } = wire;
    let bounds = ("0s", "168h");
    let path = "spec.rollout.blueGreen.soak";
    let soak = fields::duration(path, soak.as_ref(), Duration::ZERO, bounds)?;
    let path = "spec.rollout.blueGreen.keepOld";
    Ok(BlueGreen {
        soak,
        approval: approval.unwrap_or(false),
        keep_old: fields::duration(path, keep_old.as_ref(), KEEP_OLD, bounds)?,
    })
}
