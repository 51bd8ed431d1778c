//! Phase permit: which model is meant, and whether the caller may call it.
//!
//! Pure. Called by `forward` after `authenticate`, with one table for both. What a caller may not see is, byte for byte, what
//! does not exist: for a key `unknown_model`, for somebody without one `unauthenticated`.

use std::net::IpAddr;
use std::sync::Arc;

use aimass_protocol::Error;
use aimass_protocol::v1::Pick;

use super::authenticate::Caller;
use super::route::{Project, Target};
use crate::table::{Deployment, Key, Table};

/// In the words of conditions: the only reason that holds although pods may still answer.
const SUSPENDED: &str = "Suspended";
/// The label that means the revision of the last completed rollout.
const STABLE: &str = "stable";

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
        Caller::Key { .. } => target.unknown_model(),
    };
    let deployment = find(table, target, caller)
        .filter(|deployment| is_reachable(deployment, address))
        .ok_or_else(unknown)?;
    // Public is public: whoever has a key could leave it out.
    if !deployment.access.public {
        match caller {
            Caller::Key { key, .. } if key.namespace == deployment.namespace => {
                if !names(key, deployment) {
                    return Err(Error::forbidden(&target.model));
                }
            }
            Caller::Anonymous | Caller::Key { .. } => return Err(unknown()),
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
    let project: &str = match (&target.project, caller) {
        (Project::Named(project), _) => project,
        (Project::Implied(_), Caller::Key { key, .. }) => &key.namespace,
        (Project::Implied(default), Caller::Anonymous) => default.as_deref()?,
    };
    let deployment = table.models.get(project)?.get(target.model.as_str())?;
    let meant = |host: &str| host == &*deployment.name;
    target
        .host
        .as_deref()
        .is_none_or(meant)
        .then_some(deployment)
}

fn is_reachable(deployment: &Deployment, address: IpAddr) -> bool {
    let allowed = &deployment.access.allowed;
    allowed.is_empty() || allowed.iter().any(|range| range.contains(address))
}

/// A key names objects, not addresses.
fn names(key: &Key, deployment: &Deployment) -> bool {
    let named = |model: &Arc<str>| **model == *"*" || *model == deployment.name;
    key.models.iter().any(named)
}

fn is_suspended(deployment: &Deployment) -> bool {
    let reason = deployment.unready.as_ref().map(|unready| &*unready.reason);
    reason == Some(SUSPENDED)
}

/// The number of the revision that `target` asks for; none if it leaves the choice to the gateway.
fn pin(deployment: &Deployment, target: &Target) -> Result<Option<i64>, Error> {
    let wanted = match &target.pick {
        Pick::Any => return Ok(None),
        Pick::Version(version) => Some(*version),
        Pick::Label(label) if label == STABLE => deployment.stable,
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
