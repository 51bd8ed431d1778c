//! Whose turn it is.
//!
//! Pure but for the count of turns. Called by `choose`.

use super::super::permit::Bound;
use super::{Draw, Wish};
use crate::table::{Revision, sticky};

/// The revision that a request is meant for; `None`: any of the model.
///
/// In this order: the one that it names; the one that it was given before, while that is there; the one that its caller stays
/// on; the next in turn.
pub(super) fn of<'a>(bound: &'a Bound, wish: &Wish<'_>, draw: &Draw) -> Option<&'a Revision> {
    let deployment = &bound.deployment;
    let revisions = &deployment.revisions;
    if let Some(pin) = bound.pin {
        return revisions.iter().find(|revision| revision.number == pin);
    }
    let picks = deployment.picks.as_ref()?;
    let given = wish.given.and_then(|given| deployment.revision(given));
    if given.is_some() {
        return given;
    }
    let weights = revisions.iter().map(|revision| revision.weight);
    let place = match wish.sticky {
        Some(value) => sticky(&deployment.uid, value, weights)?,
        None => picks.at(draw.offset.wrapping_add(deployment.live.turn())),
    };
    revisions.get(place)
}
