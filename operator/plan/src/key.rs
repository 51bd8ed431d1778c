//! What is decided for one APIKey: whether it opens anything, and why not.
//!
//! Pure. Called by `aimass_operator::key::reconcile`: [`plan`] after `observe`, then [`status()`],
//! [`events()`] and [`next()`]. There is nothing to write but the status: the gateways read the keys
//! themselves and judge by the same functions of `aimass-crds`, so that what is reported here is what
//! callers meet.

mod status;
mod valid;

use aimass_crds::api_key::{KeyState, credential_end, key_end, key_state};
use aimass_crds::{APIKey, APIKeyStatus};
use jiff::Timestamp;

use crate::conditions::seconds;
use crate::event::{EventRecord, transitions};
use crate::next::Next;
use crate::rejection::Rejection;
use valid::{Valid, valid};

pub use status::{status, undecodable};

/// Everything that `observe` saw of one APIKey: facts, no judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// When the observation was made: the only time that a plan knows.
    pub now: Timestamp,
    /// The UsagePlan that the key names.
    pub plan: PlanReference,
    /// Ids of the key's credentials that an older key has.
    pub taken: Vec<Taken>,
    /// Names in `spec.models` that no ModelDeployment of the namespace has.
    pub unknown_models: Vec<String>,
    /// The hour in which a gateway last accepted it, as far as is known.
    pub last_used: Option<Timestamp>,
}

/// What `spec.plan` refers to, as seen in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanReference {
    /// The key names none.
    NotNeeded,
    /// It exists.
    Exists,
    /// It does not exist.
    Absent,
    /// The operator watches one namespace and cannot know: UsagePlans are of the whole cluster.
    Unknown,
}

/// A credential id that another key has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The id.
    pub id: String,
    /// The key that has it, if it is of the same namespace: others' names are not ours to tell.
    pub by: Option<String>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// The object is being deleted: nothing is reported any more.
    Deleting,
    /// The usual case.
    Judged(Box<Decided>),
}

/// What was decided for a key that is to open something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Whether it opens anything by itself.
    pub state: KeyState,
    /// What it shares with older keys.
    pub taken: Vec<Taken>,
    /// The plan that it names and that is missing.
    pub missing_plan: Option<String>,
    /// The plan whose limits hold.
    pub effective_plan: Option<String>,
    /// The plan that it names and that nobody has looked for.
    pub unseen_plan: Option<String>,
    /// How many of its credentials are accepted, of how many.
    pub accepted: (usize, usize),
    /// From when on none of them is; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// Names of models that there are not.
    pub unknown_models: Vec<String>,
    /// The hour in which it was last used, as far as is known.
    pub last_used: Option<Timestamp>,
    /// When time alone will change something: the next end of a credential.
    pub wake_at: Option<Timestamp>,
}

/// Judges a key.
///
/// # Errors
/// A [`Rejection`] if the spec breaks a rule.
pub fn plan(key: &APIKey, observed: &Observed) -> Result<Outlook, Rejection> {
    if key.metadata.deletion_timestamp.is_some() {
        return Ok(Outlook::Deleting);
    }
    let Valid { plan } = valid(key)?;
    let Observed {
        now,
        plan: reference,
        taken,
        unknown_models,
        last_used,
    } = observed.clone();
    let credentials = &key.spec.credentials;
    let ends = credentials
        .iter()
        .map(|credential| credential_end(key, credential));
    let to_come = ends.clone().flatten().filter(|end| *end > now);
    let over = ends.flatten().filter(|end| *end <= now).count();
    let named = |wanted: PlanReference| plan.clone().filter(|_| reference == wanted);
    Ok(Outlook::Judged(Box::new(Decided {
        state: key_state(key, now),
        taken,
        missing_plan: named(PlanReference::Absent),
        effective_plan: named(PlanReference::Exists),
        unseen_plan: named(PlanReference::Unknown),
        accepted: (credentials.len().saturating_sub(over), credentials.len()),
        expires_at: key_end(key).map(seconds),
        unknown_models,
        last_used,
        wake_at: to_come.min(),
    })))
}

/// When time alone will change something.
#[must_use]
pub fn next(outlook: &Outlook, now: Timestamp) -> Next {
    let wake_at = match outlook {
        Outlook::Deleting => None,
        Outlook::Judged(decided) => decided.wake_at,
    };
    Next::at(wake_at, now)
}

/// The Events of a change from `before` to `after`; at most one per reason.
#[must_use]
pub fn events(before: &APIKeyStatus, after: &APIKeyStatus) -> Vec<EventRecord> {
    transitions(&before.conditions, &after.conditions)
}

#[cfg(test)]
mod tests;
