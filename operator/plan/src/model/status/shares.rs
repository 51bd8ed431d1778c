//! `status.traffic`: the share of the requests that each revision is to get.
//!
//! Pure. Called by `status`. Until strategies say otherwise, a revision gets what its ready pods are of
//! all: what a caller of the plain Service gets. Where no pod is ready the shares stay, so that gateways
//! know for whom requests wait; a model that was proved has its stable revision for that.

use aimass_crds::model_deployment::{ScalingMode, Weight};

use super::sums::Sums;
use crate::model::outlook::Decided;

/// Revisions that can have a share at once.
const MOST: usize = 4;

/// The shares in percent, 100 in all, and the number that is counted up with each change of them.
pub(super) fn shares(
    decided: &Decided,
    sums: &Sums,
    (before, version): (Vec<Weight>, Option<i64>),
) -> (Vec<Weight>, Option<i64>) {
    let shares = match decided.scaling.mode {
        ScalingMode::Suspended => Vec::new(),
        ScalingMode::Automatic | ScalingMode::Fixed => of_ready(decided, sums)
            .or_else(|| of_before(decided, &before))
            .or_else(|| of_stable(decided))
            .unwrap_or_default(),
    };
    let version = match (version, shares == before) {
        (version, true) => version,
        (version, false) => Some(version.unwrap_or(0).max(0).saturating_add(1)),
    };
    (shares, version)
}

/// By ready pods of revisions that are to have any, the newest first.
fn of_ready(decided: &Decided, sums: &Sums) -> Option<Vec<Weight>> {
    let ready =
        |name: &str, size: i32| i64::from(sums.of_revision(name).ready.clamp(0, size.max(0)));
    let serving: Vec<(&str, i64)> = decided
        .revisions
        .iter()
        .map(|revision| (revision.name.as_str(), ready(&revision.name, revision.size)))
        .filter(|(_, ready)| *ready > 0)
        .take(MOST)
        .collect();
    let all: i64 = serving.iter().map(|(_, ready)| ready).sum();
    // What rounding leaves goes to the one with most pods; of equals to the newest.
    let most = serving.iter().rev().max_by_key(|(_, ready)| *ready)?.0;
    let part = |ready: i64| i32::try_from(ready.saturating_mul(100) / all.max(1)).unwrap_or(0);
    let rest = 100 - serving.iter().map(|(_, ready)| part(*ready)).sum::<i32>();
    let weight = |(name, ready): &(&str, i64)| Weight {
        revision: (*name).to_owned(),
        weight: part(*ready) + if *name == most { rest } else { 0 },
    };
    Some(serving.iter().map(weight).collect())
}

/// As it was, if all of them are still there.
fn of_before(decided: &Decided, before: &[Weight]) -> Option<Vec<Weight>> {
    let exists = |weight: &Weight| decided.revisions.iter().any(|r| r.name == weight.revision);
    (!before.is_empty() && before.iter().all(exists)).then(|| before.to_vec())
}

fn of_stable(decided: &Decided) -> Option<Vec<Weight>> {
    let stable = decided.stable.as_ref()?;
    Some(vec![Weight {
        revision: stable.revision.clone(),
        weight: 100,
    }])
}

#[cfg(test)]
mod tests;
