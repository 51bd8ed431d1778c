//! How many pods there shall be over all revisions, and who says so.
//!
//! Pure. Called by the planner before the rollout divides them. `spec.suspend` comes first, then
//! `spec.replicas`; else the load says it, as `scale` understood it from the gateways. What is not
//! known changes nothing: without a recommendation the number of the last status stays.

use aimass_crds::model_deployment::{LimitedBy, ScalingMode, ScalingStatus};

use super::observed::Signals;
use super::valid::Valid;

/// How many pods there shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Who says it.
    pub(crate) mode: ScalingMode,
    /// How many: 0 to 1000.
    pub(crate) desired: i32,
    /// What keeps it from being more.
    pub(crate) limited_by: Option<LimitedBy>,
    /// The decision in words.
    pub(crate) message: String,
    /// Which quota has no room for more, and what to do, where that is known.
    pub(crate) held: Option<String>,
    /// The load says it, but no gateway speaks.
    pub(crate) silent: bool,
}

/// Decides the number; `before` is what the last status said.
pub(crate) fn size(valid: &Valid, signals: &Signals, before: Option<&ScalingStatus>) -> Size {
    let by_hand = |mode, desired, message: String| Size {
        mode,
        desired,
        limited_by: None,
        message,
        held: None,
        silent: false,
    };
    if valid.suspended {
        let message = "no replicas: suspended".to_owned();
        return by_hand(ScalingMode::Suspended, 0, message);
    }
    match valid.replicas {
        Some(0) => {
            let message = "no replicas, set by spec.replicas".to_owned();
            by_hand(ScalingMode::Fixed, 0, message)
        }
        Some(desired) => {
            let message = format!("{}, set by spec.replicas", counted(desired));
            by_hand(ScalingMode::Fixed, desired, message)
        }
        None => automatic(valid, signals, before),
    }
}

fn automatic(valid: &Valid, signals: &Signals, before: Option<&ScalingStatus>) -> Size {
    let (min, max) = (valid.automatic.min, valid.automatic.max);
    let first = min.max(1);
    // A number from while it was suspended says nothing about the load.
    let before = before.filter(|before| before.mode != ScalingMode::Suspended);
    let (desired, limited_by, message) = match (&signals.recommended, before) {
        _ if !signals.expected => {
            let message = format!(
                "{}, at least spec.scaling.min: without a gateway nobody counts requests",
                counted(first)
            );
            (first, None, message)
        }
        (Some(recommended), _) => (
            recommended.desired.clamp(min, max),
            recommended.limited_by,
            recommended.message.clone(),
        ),
        (None, Some(before)) => {
            let desired = before.desired.clamp(min, max);
            let message = format!("{}, as before: the load is not known", counted(desired));
            (desired, before.limited_by, message)
        }
        (None, None) => {
            let message = format!("{} to begin with: the load is not known", counted(first));
            (first, None, message)
        }
    };
    Size {
        mode: ScalingMode::Automatic,
        desired,
        limited_by,
        message,
        held: held(signals, limited_by),
        silent: signals.expected && signals.gateways.values().all(|gateway| gateway.silent),
    }
}

/// What the signals know of the quota, where that is what limits the number.
fn held(signals: &Signals, limited_by: Option<LimitedBy>) -> Option<String> {
    let recommended = signals.recommended.as_ref()?;
    let by_quota = signals.expected && limited_by == Some(LimitedBy::Quota);
    recommended.held.clone().filter(|_| by_quota)
}

/// A number of replicas in words.
pub(crate) fn counted(replicas: i32) -> String {
    match replicas {
        1 => "1 replica".to_owned(),
        _ => format!("{replicas} replicas"),
    }
}

#[cfg(test)]
mod tests;
