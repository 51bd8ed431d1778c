//! `status.revisions` and `status.traffic`: which revisions there are, how they are, and what share each has.
//!
//! Pure. Called by `cut::model`.

use std::sync::Arc;

use aimass_crds::model_deployment::ModelDeploymentStatus;

use super::Cut;
use crate::table::RevisionState;

/// What all weights are together.
const WHOLE: u32 = 100;

/// A revision that `status` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Eight characters.
    pub name: Arc<str>,
    /// Its number.
    pub number: i64,
    /// How it is.
    pub state: RevisionState,
    /// Its share of the requests, in percent.
    pub weight: u8,
}

/// The revisions that `status` names. Their weights are 100 together, or all 0: nobody has said how to share.
///
/// # Errors
/// The weights are not 100 together, or name a revision that there is not.
pub(super) fn of(status: &ModelDeploymentStatus) -> Cut<Vec<Known>> {
    let named = status.revisions.iter().map(|revision| Known {
        name: revision.name.as_str().into(),
        number: revision.number,
        state: RevisionState::of(&revision.reason),
        weight: 0,
    });
    let mut known: Vec<Known> = named.collect();
    let mut sum = 0_u32;
    for share in &status.traffic {
        let name = &share.revision;
        let mut all = known.iter_mut();
        let Some(revision) = all.find(|revision| *revision.name == **name) else {
            return Err(format!("status.traffic names {name}, which is no revision"));
        };
        let weight = u8::try_from(share.weight).ok();
        let Some(weight) = weight.filter(|weight| u32::from(*weight) <= WHOLE) else {
            let weight = share.weight;
            return Err(format!(
                "status.traffic[{name}] must be between 0 and {WHOLE}, is {weight}"
            ));
        };
        if revision.weight > 0 {
            return Err(format!("status.traffic names {name} twice"));
        }
        revision.weight = weight;
        sum += u32::from(weight);
    }
    if sum != WHOLE && !status.traffic.is_empty() {
        return Err(format!("status.traffic must be {WHOLE} in all, is {sum}"));
    }
    Ok(known)
}
