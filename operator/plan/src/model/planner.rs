//! `plan`: from a ModelDeployment and what was observed to what is to be done.
//!
//! Pure, total, deterministic. Called by `aimass_operator::model::converge` and, offline, by
//! `render`.

use std::collections::BTreeMap;

use aimass_crds::ModelDeployment;
use aimass_crds::model_deployment::{RevisionRef, Role, ScalingMode};
use aimass_crds::reason::Reason;
use jiff::Timestamp;

use super::facts;
use super::gateways::Gateways;
use super::history::{self, Known};
use super::objectives::within;
use super::objects::{Kept, Once, Policy, objects};
use super::observed::{Observed, Platform, Pod, Signals};
use super::outlook::{
    Accepted, Decided, Outlook, PodFailure, RevisionFailure, RevisionOutlook, Scaling,
};
use super::planned::Plan;
use super::size::{Size, size};
use super::source::{self, Content, Resolved};
use super::valid::{Rejection, Valid, valid};
use super::{drift, failure, names, prune, remembered, revision, rollout};
use crate::conditions::seconds;
use crate::text::bounded;

/// Decides everything: which revisions exist, how big each is, what has to be written and deleted.
///
/// # Errors
/// A [`Rejection`] if the spec breaks a rule. Nothing is written then: what serves goes on.
pub fn plan(model: &ModelDeployment, observed: &Observed) -> Result<Plan, Rejection> {
    if model.metadata.deletion_timestamp.is_some() {
        return Ok(Plan {
            objects: Vec::new(),
            prune: Vec::new(),
            outlook: Outlook::Deleting,
        });
    }
    let valid = valid(model, &observed.platform)?;
    let mut history = history::known(&valid.name, &observed.children);
    let wanted = wanted(&valid, observed, &history)?;
    let pods = facts::pods(&valid.name, &history, &observed.children, &observed.pods);
    let read = remembered::read(model.status.as_ref(), &history, &pods);
    let mut troubles = troubles(&valid, observed, &history);
    let before = model
        .status
        .as_ref()
        .and_then(|status| status.scaling.as_ref());
    let size = size(&valid, &observed.signals, before);
    let may_begin = size.desired > 0 || size.mode == ScalingMode::Automatic;
    if let Some(target) = wanted.target.as_ref().filter(|_| may_begin)
        && let Some(full) = failure::full(target, &read.memory, (&valid, &pods), &observed.quotas)
    {
        troubles.failures.entry(target.name.clone()).or_insert(full);
    }

    let order: Vec<String> = history.iter().map(|known| known.name.clone()).collect();
    let facts = rollout::Facts {
        desired: size.desired,
        fixed: size.mode != ScalingMode::Automatic,
        suspended: valid.suspended,
        rules: &valid.rollout,
        target: wanted.target.as_ref().map(|target| target.name.as_str()),
        refused: wanted.refused.as_ref(),
        failures: &troubles.failures,
        pods: &pods,
        order: &order,
        gateways: Gateways {
            signals: &observed.signals,
            version: read.memory.version,
            obeyed_since: read.obeyed_since,
            lagging_since: read.lagging_since,
        },
        request_timeout: valid.traffic.request_timeout,
        is_lost: read.is_lost,
    };
    let decision = rollout::next(&facts, &read.memory, seconds(observed.now));
    let routed = facts.gateways.routed(decision.memory.version);
    let target = wanted.target.as_ref().map(reference);
    if let Some(known) = wanted.target.filter(|_| wanted.refused.is_none()) {
        history.retain(|other| other.name != known.name);
        history.insert(0, known);
        history.sort_by_key(|known| std::cmp::Reverse(known.number));
    }

    let stable = decision.memory.stable.as_deref();
    let stable = history
        .iter()
        .find(|known| Some(known.name.as_str()) == stable)
        .map(reference);
    let roles = Roles {
        target: target.as_ref(),
        stable: stable.as_ref(),
    };
    let all = history
        .iter()
        .map(|known| {
            let size = decision.sizes.get(&known.name).copied().unwrap_or(0);
            let pods = pods.get(&known.name).copied().unwrap_or_default();
            let share = decision.memory.traffic.of(&known.name);
            let serves = size > 0 || share > 0 || pods.any;
            outlook_of(
                known,
                (size, roles.of(known, serves)),
                troubles.failures.get(&known.name),
            )
        })
        .collect();
    let kept = prune::kept(all, valid.rollout.history);

    let sized: Vec<Kept<'_>> = kept
        .iter()
        .filter_map(|revision| {
            let known = history.iter().find(|known| known.name == revision.name)?;
            let is_target = target
                .as_ref()
                .is_some_and(|target| target.revision == known.name);
            let files = wanted.content.files.as_ref().filter(|_| is_target);
            Some(Kept {
                known,
                size: revision.size,
                files,
            })
        })
        .collect();
    let once = Once {
        budget: budget(&valid, &observed.signals, &size) && !kept.is_empty(),
        policy: policy(&observed.platform).filter(|_| !kept.is_empty()),
    };
    let objects = objects(&valid, &sized, &once, &observed.children)
        .into_iter()
        .map(|object| drift::desired(object, &observed.children))
        .collect();
    let prune = prune::prune(&valid, &observed.children, &kept, &once);

    let failure = worst(&kept, wanted.refused, target.as_ref());
    let wake_at = [decision.wake_at, troubles.wake_at]
        .into_iter()
        .flatten()
        .min();
    let outlook = Outlook::Serving(Box::new(Decided {
        accepted: wanted.accepted,
        scaling: scaling(&valid, size, decision.proves),
        target,
        stable,
        revisions: kept,
        rollout: decision.memory.rollout,
        progress: decision.progress,
        wait: decision.wait,
        traffic: decision
            .memory
            .traffic
            .written(history.iter().map(|k| k.name.as_str())),
        routed,
        within: within(valid.objectives.as_ref(), &observed.signals),
        failure,
        wake_at,
        url: names::url(&valid, observed.platform.gateway_url.as_deref()),
        served_name: valid.served_name,
    }));
    Ok(Plan {
        objects,
        prune,
        outlook,
    })
}

/// Whether pods go one by one when nodes are emptied. Where the load says how many there are, that is
/// settled for all numbers: it would come and go with them.
fn budget(valid: &Valid, signals: &Signals, size: &Size) -> bool {
    let by_load = size.mode == ScalingMode::Automatic && signals.expected;
    size.desired >= 2 || by_load && valid.automatic.max >= 2
}

/// `proves`: a pod is wanted although the load calls for none.
fn scaling(valid: &Valid, size: Size, proves: bool) -> Scaling {
    let Size {
        mode,
        desired,
        limited_by,
        message,
        held,
        silent,
    } = size;
    Scaling {
        mode,
        min: valid.automatic.min,
        max: valid.automatic.max,
        desired: desired.max(i32::from(proves)),
        limited_by: limited_by.filter(|_| !proves),
        message: if proves {
            "1 replica: a new revision proves itself while nobody calls".to_owned()
        } else {
            message
        },
        held: held.filter(|_| !proves),
        silent,
        asleep: mode == ScalingMode::Automatic && desired == 0,
    }
}

/// Who may reach pods, where that is bounded.
fn policy(platform: &Platform) -> Option<Policy<'_>> {
    Some(Policy {
        gateway: platform.gateway_namespace.as_deref()?,
        operator: platform.operator_namespace.as_deref(),
    })
}

/// What the spec asks for, as far as its references tell.
struct Wanted {
    accepted: Accepted,
    target: Option<Known>,
    content: Content,
    refused: Option<PodFailure>,
}

fn wanted(valid: &Valid, observed: &Observed, history: &[Known]) -> Result<Wanted, Rejection> {
    let target = |content: &Content| revision::target(valid, &observed.platform, content, history);
    let accepted = Accepted::Valid;
    if let Some(pin) = &valid.rollout.pin {
        return Ok(pinned(pin, history));
    }
    Ok(match source::resolve(valid, &observed.reference) {
        Resolved::Found(content) => Wanted {
            accepted,
            target: Some(target(&content)?),
            content,
            refused: None,
        },
        Resolved::Mismatch(content, message) => {
            let target = target(&content)?;
            // an older revision may have a copy of exactly this content: then nothing is amiss
            let refused = (target.created.is_none()).then_some(PodFailure {
                reason: Reason::DigestMismatch,
                message: bounded(&message),
                pod: None,
                decisive: true,
            });
            Wanted {
                accepted,
                target: Some(target),
                content,
                refused,
            }
        }
        Resolved::Unresolved(accepted) => Wanted {
            accepted,
            target: None,
            content: Content::default(),
            refused: None,
        },
    })
}

/// A revision that is kept is served, whatever the rest of the spec says.
fn pinned(pin: &str, history: &[Known]) -> Wanted {
    let is_kept = |known: &&Known| known.name == pin && known.template.is_some();
    let target = history.iter().find(is_kept).cloned();
    let accepted = match target {
        Some(_) => Accepted::Valid,
        None => Accepted::Missing {
            reason: Reason::RevisionNotFound,
            message: format!(
                "revision {pin} is not kept: correct spec.rollout.pin to one of status.revisions, or remove it"
            ),
        },
    };
    Wanted {
        accepted,
        target,
        content: Content::default(),
        refused: None,
    }
}

/// What keeps pods from getting ready, by revision, and when time changes that.
struct Troubles {
    failures: BTreeMap<String, PodFailure>,
    wake_at: Option<Timestamp>,
}

fn troubles(valid: &Valid, observed: &Observed, history: &[Known]) -> Troubles {
    let mut troubles = Troubles {
        failures: BTreeMap::new(),
        wake_at: None,
    };
    for known in history {
        let mine = |pod: &&Pod| pod.revision == known.name && !pod.deleting && !pod.ready;
        let pods: Vec<&Pod> = observed.pods.iter().filter(mine).collect();
        let child = names::of_revision(&valid.name, &known.name);
        let deployment = observed.children.deployments.get(&child);
        if deployment.is_none_or(|deployment| facts::of(deployment).size == 0) {
            continue;
        }
        let facts = failure::Facts {
            deployment,
            pods: &pods,
            template: known.template.as_ref(),
            start_deadline: valid.runtime.start_deadline,
            now: observed.now,
        };
        if let Some(found) = failure::find(&facts) {
            troubles.failures.insert(known.name.clone(), found);
        }
        troubles.wake_at = [troubles.wake_at, failure::wake_at(&facts)]
            .into_iter()
            .flatten()
            .min();
    }
    troubles
}

struct Roles<'a> {
    target: Option<&'a RevisionRef>,
    stable: Option<&'a RevisionRef>,
}

impl Roles<'_> {
    fn of(&self, known: &Known, serves: bool) -> Role {
        let is =
            |other: Option<&RevisionRef>| other.is_some_and(|other| other.revision == known.name);
        if is(self.stable) {
            Role::Stable
        } else if is(self.target) {
            Role::Target
        } else if serves {
            Role::Draining
        } else {
            Role::Retained
        }
    }
}

fn outlook_of(
    known: &Known,
    (size, role): (i32, Role),
    failure: Option<&PodFailure>,
) -> RevisionOutlook {
    RevisionOutlook {
        name: known.name.clone(),
        number: known.number,
        created: known.created,
        model: known.model.clone(),
        digest: known.digest.clone(),
        role,
        size,
        failure: failure.cloned(),
    }
}

/// The failure that explains most: that of the target, else that of the newest revision with one.
fn worst(
    kept: &[RevisionOutlook],
    refused: Option<PodFailure>,
    target: Option<&RevisionRef>,
) -> Option<RevisionFailure> {
    if let (Some(failure), Some(target)) = (refused, target) {
        return Some(RevisionFailure {
            revision: target.revision.clone(),
            failure,
        });
    }
    let of_target = |revision: &&RevisionOutlook| {
        target.is_some_and(|target| target.revision == revision.name) && revision.failure.is_some()
    };
    let found = kept
        .iter()
        .find(of_target)
        .or_else(|| kept.iter().find(|r| r.failure.is_some()))?;
    let failure = found.failure.clone()?;
    Some(RevisionFailure {
        revision: found.name.clone(),
        failure,
    })
}

fn reference(known: &Known) -> RevisionRef {
    RevisionRef {
        revision: known.name.clone(),
        number: known.number.max(1),
    }
}
