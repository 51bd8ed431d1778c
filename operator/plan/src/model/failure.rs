//! What keeps a revision's pods from getting ready: a list of checks in order of causality.
//!
//! Pure. Called by the planner for each revision that has pods. The first check that hits is the
//! reason; the troubleshooting page is made from this list.

mod checks;
mod ended;
mod full;

use std::time::Duration;

pub(crate) use full::full;

use aimass_crds::reason::Reason;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::observed::Pod;
use super::outlook::PodFailure;
use crate::text::bounded;

/// How long a pod may wait for its volumes before its Events are read.
pub const VOLUME_WAIT: SignedDuration = SignedDuration::from_secs(30);

/// How long a refusal of pods must last before a rollout counts as failed: a webhook may be
/// restarting.
const REFUSAL_WAIT: SignedDuration = SignedDuration::from_secs(30);

/// What is known of one revision's pods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// Its Deployment.
    pub(crate) deployment: Option<&'a Deployment>,
    /// Its pods that do not end and are not ready.
    pub(crate) pods: &'a [&'a Pod],
    /// What they are made from.
    pub(crate) template: Option<&'a PodTemplateSpec>,
    /// `runtime.startDeadline`, effective.
    pub(crate) start_deadline: Duration,
    /// When it was observed.
    pub(crate) now: Timestamp,
}

type Check = fn(&Facts<'_>) -> Option<PodFailure>;

/// In order of causality: what comes first explains what comes after.
const CHECKS: [Check; 11] = [
    checks::refused,
    checks::unschedulable,
    checks::volume,
    checks::config_invalid,
    checks::image,
    ended::artifact,
    ended::out_of_memory,
    ended::model,
    ended::crash,
    checks::evicted,
    checks::start_timeout,
];

/// The first reason in order of causality.
#[must_use]
pub(crate) fn find(facts: &Facts<'_>) -> Option<PodFailure> {
    CHECKS.iter().find_map(|check| check(facts))
}

/// Whether a pod has waited for its volumes for so long that its Events should be read.
#[must_use]
pub fn waits_for_volumes(pod: &Pod, now: Timestamp) -> bool {
    is_mounting(pod)
        && pod
            .created
            .is_some_and(|created| now.duration_since(created) >= VOLUME_WAIT)
}

/// When time alone changes what [`find`] says of a revision.
pub(crate) fn wake_at(facts: &Facts<'_>) -> Option<Timestamp> {
    let after = |start: Option<Timestamp>, wait: SignedDuration| start?.checked_add(wait).ok();
    let starts = SignedDuration::try_from(facts.start_deadline).unwrap_or(SignedDuration::MAX);
    let pods = facts.pods.iter().flat_map(|pod| {
        let mounting = is_mounting(pod).then(|| match after(pod.created, VOLUME_WAIT) {
            // its Events are read, but may come late
            Some(at) if at <= facts.now => after(Some(facts.now), VOLUME_WAIT),
            at => at,
        });
        [mounting.flatten(), after(pod.created, starts)]
    });
    let refusal = checks::refused_since(facts).and_then(|since| after(Some(since), REFUSAL_WAIT));
    pods.chain([refusal])
        .flatten()
        .filter(|at| *at > facts.now)
        .min()
}

/// Scheduled, and no container has come further than waiting for its creation.
fn is_mounting(pod: &Pod) -> bool {
    let waits = |reason: &str| reason == "ContainerCreating" || reason == "PodInitializing";
    !pod.ready
        && !pod.deleting
        && pod.unschedulable.is_none()
        && !pod.containers.is_empty()
        && pod.containers.iter().all(|container| {
            container
                .waiting
                .as_ref()
                .is_some_and(|(reason, _)| waits(reason))
        })
}

/// A failure seen on `pod` that may pass by itself.
fn passing(pod: &Pod, reason: Reason, message: &str) -> PodFailure {
    PodFailure {
        reason,
        message: bounded(message),
        pod: Some(pod.name.clone()),
        decisive: false,
    }
}

#[cfg(test)]
mod tests;
