//! The arithmetic of a rollout: a size for each revision.
//!
//! Pure. Called by `rollout`. Sizes follow from what is ready now, not from a step count, so that
//! they are right after any crash. Never more than `desired + maxSurge` pods, never fewer than
//! `desired - maxUnavailable` ready ones while any revision can serve.

use std::collections::BTreeMap;

use super::Facts;
use crate::model::valid::Strategy;

/// How fast the revision in front may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// By the portions of the strategy.
    Surge,
    /// To the full size at once: it is known to work.
    All,
    /// Not at all.
    Frozen,
    /// To one pod, or back to it.
    One,
}

/// Sizes on the way to `front` alone. `backup` is the revision to return to: it is sized for what
/// the others do not serve. The rest only keeps what is ready, as long as it is needed.
pub(super) fn toward(
    facts: &Facts<'_>,
    front: &str,
    backup: Option<&str>,
    growth: Growth,
) -> BTreeMap<String, i32> {
    match facts.rules.strategy {
        Strategy::RollingUpdate { surge, unavailable } => {
            let surge = surge.ceil(facts.desired);
            let unavailable = unavailable.floor(facts.desired);
            // a percentage of few pods may round down to nothing, and then nothing could begin
            let unavailable = if surge == 0 {
                unavailable.max(1)
            } else {
                unavailable
            };
            rolling(facts, front, backup, (growth, surge, unavailable))
        }
        Strategy::Recreate => recreate(facts, front, backup, growth),
    }
}

fn rolling(
    facts: &Facts<'_>,
    front: &str,
    backup: Option<&str>,
    (growth, surge, unavailable): (Growth, i32, i32),
) -> BTreeMap<String, i32> {
    let desired = facts.desired;
    let backup = backup.filter(|backup| *backup != front);
    let ready = facts.of(front).ready.min(desired);
    // what the others have to serve
    let need = desired
        .saturating_sub(unavailable)
        .saturating_sub(ready)
        .max(0);

    let mut sizes = BTreeMap::new();
    let mut left = need - backup.map_or(0, |backup| facts.of(backup).ready).min(need);
    for name in facts
        .order
        .iter()
        .filter(|name| *name != front && Some(name.as_str()) != backup)
    {
        let keep = facts.of(name).ready.min(left);
        left -= keep;
        sizes.insert(name.clone(), keep);
    }
    if let Some(backup) = backup {
        let kept: i32 = sizes.values().sum();
        sizes.insert(backup.to_owned(), need - kept);
    }

    let now = facts.of(front).size;
    let taken: i32 = sizes
        .iter()
        .map(|(name, size)| {
            let pods = facts.of(name);
            // what has not ended yet still takes room
            pods.size.max(pods.present).max(*size)
        })
        .sum();
    let size = match growth {
        Growth::Surge => now.max(desired.saturating_add(surge).saturating_sub(taken)),
        Growth::All => desired,
        Growth::Frozen => now,
        Growth::One => 1,
    };
    insert(facts, &mut sizes, front, size.clamp(0, desired));
    sizes
}

fn recreate(
    facts: &Facts<'_>,
    front: &str,
    backup: Option<&str>,
    growth: Growth,
) -> BTreeMap<String, i32> {
    let now = facts.of(front).size;
    if growth == Growth::Frozen && now == 0 {
        // stopped before it began: the old revision goes on
        let keep = |name: &String| {
            if Some(name.as_str()) == backup {
                facts.desired
            } else {
                0
            }
        };
        return facts
            .order
            .iter()
            .map(|name| (name.clone(), keep(name)))
            .collect();
    }
    let others = || facts.order.iter().filter(|name| *name != front);
    let mut sizes: BTreeMap<String, i32> = others().map(|name| (name.clone(), 0)).collect();
    let ended = others().all(|name| !facts.of(name).any);
    let size = match growth {
        Growth::Surge | Growth::All if ended => facts.desired,
        Growth::One if ended => 1,
        Growth::Surge | Growth::All | Growth::One | Growth::Frozen => now,
    };
    insert(facts, &mut sizes, front, size.clamp(0, facts.desired));
    sizes
}

/// A refused target has no size, because it does not exist.
fn insert(facts: &Facts<'_>, sizes: &mut BTreeMap<String, i32>, front: &str, size: i32) {
    if facts.refused.is_none() || facts.pods.contains_key(front) {
        sizes.insert(front.to_owned(), size);
    }
}
