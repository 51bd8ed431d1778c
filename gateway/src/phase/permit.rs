//! Phase permit: which model is meant, and whether the caller may call it.
//!
//! Pure. Called by `phase` after `authenticate`, with one table for both. What a caller may not see is, byte for byte, what
//! does not exist: for a key or a token `unknown_model`, for somebody without one `unauthenticated`.

use std::net::IpAddr;
use std::sync::Arc;

use aimass_protocol::Error;
use aimass_protocol::v1::Pick;

use super::authenticate::Caller;
use super::route::{Project, Target};
use crate::review::Wanted;
use crate::table::{Deployment, Key, Table};

/// In the words of conditions: the only reason that holds although pods may still answer.
const SUSPENDED: &str = "Suspended";
/// The label that means the revision of the last completed rollout.
const STABLE: &str = "stable";
/// The label that means the revision that the spec asks for, be it that one or the next.
const CANARY: &str = "canary";

/// A request that may go on.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The model.
    pub deployment: Arc<Deployment>,
    /// The number of the only revision that may answer.
    pub pin: Option<i64>,
    /// What the pod is asked: path without query.
    pub path: String,
}

/// What the API server must be asked before [`bind`] can decide: nothing, but for callers with tokens.
///
/// It is asked about models that do not exist, too. Otherwise a caller without rights could tell them from those that do, by the
/// time that an answer takes, or by getting none at all while the API server is away.
#[must_use]
pub fn question(
    table: &Table,
    target: &Target,
    caller: &Caller,
    address: IpAddr,
) -> Option<Wanted> {
    let Caller::Token { allowed, .. } = caller else {
        return None;
    };
    let found = find(table, target, caller).filter(|found| is_reachable(found, address));
    if found.is_some_and(|found| found.access.public) {
        return None;
    }
    let wanted = Wanted {
        namespace: project_of(&target.project, caller)?.into(),
        name: found.map_or_else(
            || target.model.as_str().into(),
            |found| Arc::clone(&found.name),
        ),
    };
    (allowed.as_deref() != Some(&wanted)).then_some(wanted)
}

/// The model that `target` names, if `caller` may call it from `address`.
///
/// # Errors
/// `unknown_model`, `forbidden`, `unauthenticated`, `unknown_version`, `unknown_label`; `not_ready` for a suspended model.
pub fn bind(
    table: &Table,
    target: &Target,
    caller: &Caller,
    address: IpAddr,
) -> Result<Bound, Error> {
    let unknown = || match caller {
        Caller::Anonymous => Error::unauthenticated(),
        Caller::Key { .. } | Caller::Token { .. } => target.unknown_model(),
    };
    let deployment = find(table, target, caller)
        .filter(|deployment| is_reachable(deployment, address))
        .ok_or_else(unknown)?;
    // Public is public: whoever has a key or a token could leave it out.
    if !deployment.access.public {
        match caller {
            Caller::Key { key, .. } if key.namespace == deployment.namespace => {
                if !names(key, deployment) {
                    return Err(Error::forbidden(&target.model));
                }
            }
            Caller::Token {
                allowed: Some(allowed),
                ..
            } if is_meant(allowed, deployment) => {}
            Caller::Anonymous | Caller::Key { .. } | Caller::Token { .. } => {
                return Err(unknown());
            }
        }
    }
    if is_suspended(deployment) {
        return Err(Error::suspended(&target.model));
    }
    let pin = pin(deployment, target)?;
    Ok(Bound {
        deployment: Arc::clone(deployment),
        pin,
        path: target.call.path(&deployment.served_name, pin),
    })
}

fn find<'a>(table: &'a Table, target: &Target, caller: &Caller) -> Option<&'a Arc<Deployment>> {
    let project = project_of(&target.project, caller)?;
    let deployment = table.model(project, &target.model)?;
    let meant = |host: &str| host == &*deployment.name;
    target
        .host
        .as_deref()
        .is_none_or(meant)
        .then_some(deployment)
}

/// The namespace that is meant.
pub(super) fn project_of<'a>(project: &'a Project, caller: &'a Caller) -> Option<&'a str> {
    match (project, caller) {
        (Project::Named(project), _) => Some(project),
        (Project::Implied(_), Caller::Key { key, .. }) => Some(&key.namespace),
        (Project::Implied(default), Caller::Anonymous | Caller::Token { .. }) => default.as_deref(),
    }
}

/// Whether `caller` may call it from `address`, as far as the table knows.
pub(super) fn is_listed(deployment: &Deployment, caller: &Caller, address: IpAddr) -> bool {
    let opens = |key: &Key| key.namespace == deployment.namespace && names(key, deployment);
    is_reachable(deployment, address)
        && (deployment.access.public || matches!(caller, Caller::Key { key, .. } if opens(key)))
}

fn is_reachable(deployment: &Deployment, address: IpAddr) -> bool {
    let allowed = &deployment.access.allowed;
    allowed.is_empty() || allowed.iter().any(|range| range.contains(address))
}

/// Whether a yes of the API server is about this very object.
fn is_meant(allowed: &Wanted, deployment: &Deployment) -> bool {
    allowed.namespace == deployment.namespace && allowed.name == deployment.name
}

/// A key names objects, not addresses.
fn names(key: &Key, deployment: &Deployment) -> bool {
    let named = |model: &Arc<str>| **model == *"*" || *model == deployment.name;
    key.models.iter().any(named)
}

/// Whether its owner wants nobody to be answered, whatever pods there are.
pub(super) fn is_suspended(deployment: &Deployment) -> bool {
    let reason = deployment.unready.as_ref().map(|unready| &*unready.reason);
    reason == Some(SUSPENDED)
}

/// The number of the revision that `target` asks for; none if it leaves the choice to the gateway.
fn pin(deployment: &Deployment, target: &Target) -> Result<Option<i64>, Error> {
    let wanted = match &target.pick {
        Pick::Any => return Ok(None),
        Pick::Version(version) => Some(*version),
        Pick::Label(label) if label == STABLE => deployment.stable,
        Pick::Label(label) if label == CANARY => deployment.target,
        Pick::Label(_) => None,
    };
    let known = |number: &i64| deployment.revisions.iter().any(|r| r.number == *number);
    wanted
        .filter(known)
        .map(Some)
        .ok_or_else(|| target.unknown_version())
}

#[cfg(test)]
mod tests;
