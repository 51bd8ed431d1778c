//! All objects that should exist, in the order in which they are written.
//!
//! Pure. Called by the planner. What pods mount comes before pods, the memory of a revision before
//! anything that shows it, Services before what they lead to, a policy before the pods that it
//! shields; Deployments that grow before those that shrink.

use super::config_map::config_map;
use super::controller_revision::controller_revision;
use super::deployment::deployment;
use super::disruption_budget::disruption_budget;
use super::facts;
use super::history::Known;
use super::names;
use super::network_policy::network_policy;
use super::observed::Children;
use super::planned::Object;
use super::service::{address, headless};
use super::source::Files;
use super::valid::Valid;

/// A revision that is kept, with its size.
pub(crate) struct Kept<'a> {
    /// The revision.
    pub(crate) known: &'a Known,
    /// How many pods it shall have.
    pub(crate) size: i32,
    /// Of a ConfigMap source, where the content is at hand: only the target's is.
    pub(crate) files: Option<&'a Files>,
}

/// What exists once for a model, and not always.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Once<'a> {
    /// Whether it has a PodDisruptionBudget.
    pub(crate) budget: bool,
    /// What its NetworkPolicy is made from, if it has one.
    pub(crate) policy: Option<Policy<'a>>,
}

/// Who may reach its pods, beside those that collect metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    /// Namespace of the gateways.
    pub(crate) gateway: &'a str,
    /// The operator's; absent offline.
    pub(crate) operator: Option<&'a str>,
}

/// All objects of the kept revisions (the newest first) and of the model itself.
pub(crate) fn objects(
    valid: &Valid,
    kept: &[Kept<'_>],
    once: &Once<'_>,
    children: &Children,
) -> Vec<Object> {
    if kept.is_empty() {
        return Vec::new();
    }
    let copies = kept.iter().filter_map(|kept| {
        Some(Object::ConfigMap(Box::new(config_map(
            valid,
            kept.known,
            kept.files?,
        ))))
    });
    let memories = kept.iter().filter_map(|kept| {
        Some(Object::ControllerRevision(Box::new(controller_revision(
            valid, kept.known,
        )?)))
    });
    let services = [address(valid)]
        .into_iter()
        .chain(kept.iter().map(|kept| headless(valid, kept.known)))
        .map(|service| Object::Service(Box::new(service)));
    let Once { budget, policy } = once;
    let budget = budget.then(|| Object::PodDisruptionBudget(Box::new(disruption_budget(valid))));
    let policy = policy
        .as_ref()
        .map(|policy| Object::NetworkPolicy(Box::new(network_policy(valid, policy))));

    let mut deployments: Vec<(bool, Object)> = kept
        .iter()
        .filter_map(|kept| {
            let name = names::of_revision(&valid.name, &kept.known.name);
            let now = children
                .deployments
                .get(&name)
                .map_or(0, |live| facts::of(live).size);
            let template = kept.known.template.as_ref()?;
            let object = deployment(valid, kept.known, template, kept.size);
            Some((kept.size < now, Object::Deployment(Box::new(object))))
        })
        .collect();
    deployments.sort_by_key(|(shrinks, _)| *shrinks);

    let deployments = deployments.into_iter().map(|(_, object)| object);
    copies
        .chain(memories)
        .chain(services)
        .chain(budget)
        .chain(policy)
        .chain(deployments)
        .collect()
}
