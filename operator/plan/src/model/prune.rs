//! Which children should no longer exist, and which revisions are kept.
//!
//! Pure. Called by the planner once sizes are known. Kept are the stable revision, the target, all
//! that still have pods, the newest `history` others, and always the highest number, because the
//! next one counts on from it.

use std::collections::BTreeSet;

use aimass_crds::model_deployment::Role;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names;
use super::objects::Once;
use super::observed::Children;
use super::outlook::RevisionOutlook;
use super::planned::{ChildKind, Prune};
use super::valid::Valid;

/// Those of `revisions` (the newest first) that are kept.
pub(crate) fn kept(revisions: Vec<RevisionOutlook>, history: usize) -> Vec<RevisionOutlook> {
    let mut retained = 0;
    revisions
        .into_iter()
        .enumerate()
        .filter(|(place, revision)| match revision.role {
            Role::Stable | Role::Target | Role::Draining => true,
            Role::Retained => {
                retained += 1;
                retained <= history || *place == 0
            }
        })
        .map(|(_, revision)| revision)
        .collect()
}

/// All children that are of no kept revision and of no other use. What a revision's pods need goes
/// after its Deployment, its memory last.
pub(crate) fn prune(
    valid: &Valid,
    children: &Children,
    kept: &[RevisionOutlook],
    once: &Once<'_>,
) -> Vec<Prune> {
    let mut names: BTreeSet<String> = kept
        .iter()
        .map(|revision| names::of_revision(&valid.name, &revision.name))
        .collect();
    let mut all = Vec::new();
    let mut add = |kind: ChildKind, name: &str, metadata: &ObjectMeta, keep: bool| {
        if !keep && metadata.deletion_timestamp.is_none() {
            all.push(Prune {
                kind,
                name: name.to_owned(),
                uid: metadata.uid.clone().unwrap_or_default(),
                resource_version: metadata.resource_version.clone().unwrap_or_default(),
            });
        }
    };
    for (name, child) in &children.disruption_budgets {
        add(
            ChildKind::PodDisruptionBudget,
            name,
            &child.metadata,
            once.budget && name == valid.name.as_str(),
        );
    }
    for (name, child) in &children.network_policies {
        add(
            ChildKind::NetworkPolicy,
            name,
            &child.metadata,
            once.policy.is_some() && name == valid.name.as_str(),
        );
    }
    for (name, child) in &children.deployments {
        add(
            ChildKind::Deployment,
            name,
            &child.metadata,
            names.contains(name),
        );
    }
    for (name, metadata) in &children.config_maps {
        add(ChildKind::ConfigMap, name, metadata, names.contains(name));
    }
    for (name, child) in &children.controller_revisions {
        add(
            ChildKind::ControllerRevision,
            name,
            &child.metadata,
            names.contains(name),
        );
    }
    if !kept.is_empty() {
        names.insert(valid.name.to_string());
    }
    for (name, child) in &children.services {
        add(
            ChildKind::Service,
            name,
            &child.metadata,
            names.contains(name),
        );
    }
    all.sort_by_key(|prune| order(prune.kind));
    all
}

fn order(kind: ChildKind) -> u8 {
    match kind {
        ChildKind::PodDisruptionBudget => 0,
        ChildKind::Deployment => 1,
        ChildKind::Service => 2,
        ChildKind::NetworkPolicy => 3,
        ChildKind::ConfigMap => 4,
        ChildKind::ControllerRevision => 5,
    }
}
