//! What becomes of requests for a revision that has no endpoint to give them to.
//!
//! Pure. Asked by `choose` for a request that comes, and by `wait` for those that wait: so that both decide alike.

use std::time::Instant;

use super::endpoint::count;
use super::{AT_ZERO, STARTING};
use crate::table::{Deployment, Revision, RevisionState};

/// What becomes of them.
#[derive(Clone, Copy, Debug)]
pub(in crate::phase) enum Lack<'a> {
    /// They wait: pods are on their way, or come if somebody asks for them.
    Wait,
    /// They go to another revision, which is an error of this one.
    Elsewhere(&'a Revision),
    /// Its pods fail, for this reason. They come back by themselves, if somebody asks for them.
    Failing(&'a str),
    /// Its pods are there and none of them is ready.
    Down,
    /// Nobody sees to it that there will be any, for this reason.
    Never(&'a str),
}

/// Decides for requests for `revision`; `pinned`: they name it, and get it or none.
#[must_use]
pub(in crate::phase) fn lack<'a>(
    deployment: &'a Deployment,
    revision: &'a Revision,
    pinned: bool,
    now: Instant,
) -> Lack<'a> {
    if let Some(unready) = &deployment.unready
        && unready.decided
    {
        return Lack::Never(&unready.reason);
    }
    // Without weights there is no operator that would see who waits.
    if deployment.picks.is_none() {
        return Lack::Never(reason(deployment));
    }
    match &revision.state {
        // One that no requests are meant for is not woken by those that name it.
        RevisionState::AtZero if revision.weight == 0 && pinned => return Lack::Never(AT_ZERO),
        // Whoever waits for it has begun to wait before another one got its share.
        RevisionState::AtZero if revision.weight == 0 => {
            return elsewhere(deployment, revision, now).map_or(Lack::Wait, Lack::Elsewhere);
        }
        RevisionState::AtZero | RevisionState::Starting => return Lack::Wait,
        RevisionState::Ready | RevisionState::Failing(_) => {}
    }
    if !pinned && let Some(other) = elsewhere(deployment, revision, now) {
        return Lack::Elsewhere(other);
    }
    match &revision.state {
        RevisionState::Failing(reason) => Lack::Failing(reason),
        _ if revision.endpoints.is_empty() => Lack::Wait,
        _ => Lack::Down,
    }
}

/// What is known of a model that does not answer.
#[must_use]
pub(in crate::phase) fn reason(deployment: &Deployment) -> &str {
    let unready = deployment.unready.as_ref();
    unready.map_or(STARTING, |unready| &*unready.reason)
}

/// The revision with most endpoints, of those that requests are meant for.
fn elsewhere<'a>(
    deployment: &'a Deployment,
    revision: &Revision,
    now: Instant,
) -> Option<&'a Revision> {
    let others = deployment.revisions.iter();
    let others = others.filter(|other| other.name != revision.name && other.weight > 0);
    let counted = others.map(|other| (count(other, now), other));
    // Of equals the newest.
    let most = counted.rev().max_by_key(|(usable, _)| *usable);
    most.filter(|(usable, _)| *usable > 0)
        .map(|(_, other)| other)
}
