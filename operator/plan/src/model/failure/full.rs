//! That a quota has no room for a new revision's first pod, before it is tried.
//!
//! Pure. Called by the planner. Of a revision that has pods the API server itself says whether it
//! refuses more.

use std::collections::BTreeMap;

use aimass_crds::reason::Reason;

use crate::model::facts::Pods;
use crate::model::history::Known;
use crate::model::outlook::PodFailure;
use crate::model::quota::{Need, Quota, room};
use crate::model::remembered::Remembered;
use crate::model::valid::{Strategy, Valid};
use crate::text::bounded;

/// Why the first pod of `target` would be refused; `None`: it has begun, or would not be as far as is
/// known.
pub(crate) fn full(
    target: &Known,
    memory: &Remembered,
    (valid, pods): (&Valid, &BTreeMap<String, Pods>),
    quotas: &[Quota],
) -> Option<PodFailure> {
    // others have made room by then, and the quota may not have counted it yet
    let makes_room = valid.rollout.strategy == Strategy::Recreate;
    if makes_room || !is_to_begin(target, memory, pods) {
        return None;
    }
    let room = room(quotas, &[Need::of(target.template.as_ref()?)])?;
    let tight = room.tight.first().filter(|_| room.headroom == 0)?;
    let without = match memory.stable {
        Some(_) => {
            ", or roll out without further pods (spec.rollout.rollingUpdate.maxSurge 0, or strategy Recreate)"
        }
        None => "",
    };
    Some(PodFailure {
        reason: Reason::QuotaExceeded,
        message: bounded(&format!("no pod is made: {}{without}", tight.said(0))),
        pod: None,
        decisive: false,
    })
}

/// It is neither the one that serves nor one that has pods, or that failed.
fn is_to_begin(target: &Known, memory: &Remembered, pods: &BTreeMap<String, Pods>) -> bool {
    let is_sized = pods.get(&target.name).is_some_and(|pods| pods.size > 0);
    let rollout = memory.rollout.as_ref();
    let rollout = rollout.filter(|rollout| rollout.revision == target.name);
    let has_failed = rollout.is_some_and(|rollout| rollout.failed().is_some());
    memory.stable.as_ref() != Some(&target.name) && !is_sized && !has_failed
}
