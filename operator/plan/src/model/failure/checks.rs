//! Checks of what happens before a container runs, and of time.
//!
//! Pure. Called by `failure` in its order.

use aimass_crds::reason::Reason;
use jiff::{SignedDuration, Timestamp};

use super::{Facts, REFUSAL_WAIT, passing};
use crate::model::observed::{Container, Pod};
use crate::model::outlook::PodFailure;
use crate::text::{bounded, cut};

/// The Deployment's ReplicaFailure: the API server refuses pods.
pub(super) fn refused(facts: &Facts<'_>) -> Option<PodFailure> {
    let (message, _) = replica_failure(facts)?;
    let quota = message.contains("exceeded quota");
    let (reason, what_to_do) = if quota {
        (
            Reason::QuotaExceeded,
            "raise the quota, or lower spec.runtime.resources.requests or spec.replicas",
        )
    } else {
        (
            Reason::AdmissionRefused,
            "change what the message names, or ask the platform to allow it",
        )
    };
    let lasting =
        refused_since(facts).is_some_and(|since| facts.now.duration_since(since) >= REFUSAL_WAIT);
    let said = cut(message, 800);
    Some(PodFailure {
        reason,
        message: bounded(&format!("pods are refused: {said}: {what_to_do}")),
        pod: None,
        decisive: !quota && lasting,
    })
}

/// Since when pods are refused for good: not for a quota, which may be raised.
pub(super) fn refused_since(facts: &Facts<'_>) -> Option<Timestamp> {
    let (message, since) = replica_failure(facts)?;
    since.filter(|_| !message.contains("exceeded quota"))
}

fn replica_failure<'a>(facts: &Facts<'a>) -> Option<(&'a str, Option<Timestamp>)> {
    let conditions = facts.deployment?.status.as_ref()?.conditions.as_ref()?;
    let found = conditions
        .iter()
        .find(|c| c.type_ == "ReplicaFailure" && c.status == "True")?;
    let since = found.last_transition_time.as_ref().map(|time| time.0);
    Some((found.message.as_deref().unwrap_or_default(), since))
}

pub(super) fn unschedulable(facts: &Facts<'_>) -> Option<PodFailure> {
    facts.pods.iter().find_map(|pod| {
        let said = cut(pod.unschedulable.as_deref()?, 800);
        let text = format!("no node for pod {}: {said}: lower spec.runtime.resources.requests, correct spec.runtime.nodeSelector or add nodes", pod.name);
        Some(passing(pod, Reason::Unschedulable, &text))
    })
}

pub(super) fn volume(facts: &Facts<'_>) -> Option<PodFailure> {
    facts.pods.iter().find_map(|pod| {
        let said = cut(pod.volume_failures.first()?, 800);
        let text = format!("pod {} cannot mount a volume: {said}: create what is missing; a claim that several nodes mount needs ReadWriteMany or ReadOnlyMany", pod.name);
        Some(passing(pod, Reason::VolumeMountFailed, &text))
    })
}

pub(super) fn config_invalid(facts: &Facts<'_>) -> Option<PodFailure> {
    let (pod, container, said) = waiting(
        facts,
        &[
            "CreateContainerConfigError",
            "CreateContainerError",
            "RunContainerError",
        ],
    )?;
    let text = format!(
        "container {} of pod {} cannot be created: {}: correct what the message names",
        container.name,
        pod.name,
        cut(said, 800)
    );
    Some(passing(pod, Reason::ConfigInvalid, &text))
}

pub(super) fn image(facts: &Facts<'_>) -> Option<PodFailure> {
    const REASONS: [&str; 6] = [
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
    ];
    let (pod, container, said) = waiting(facts, &REASONS)?;
    let text = format!(
        "cannot pull {}: {}: correct the operator's --server-image or spec.runtime.imagePullSecrets",
        container.image,
        cut(said, 600)
    );
    Some(passing(pod, Reason::ImagePullFailed, &text))
}

pub(super) fn evicted(facts: &Facts<'_>) -> Option<PodFailure> {
    facts.pods.iter().find_map(|pod| {
        let (_, said) = pod.reason.as_ref().filter(|(reason, _)| reason == "Evicted")?;
        let text = format!("pod {} was evicted: {}: raise spec.runtime.resources.requests, or spec.model.maxSize if its disk was full", pod.name, cut(said, 800));
        Some(passing(pod, Reason::Evicted, &text))
    })
}

/// Only for a pod that never was ready: one that lost its readiness has another trouble.
pub(super) fn start_timeout(facts: &Facts<'_>) -> Option<PodFailure> {
    let allowed = SignedDuration::try_from(facts.start_deadline).ok()?;
    facts.pods.iter().find_map(|pod| {
        let late = facts.now.duration_since(pod.created?) >= allowed;
        let started = pod.containers.iter().any(|container| container.name == "server" && container.started);
        let text = format!("pod {} is not ready after {} s: see kubectl logs {}, or raise spec.runtime.startDeadline", pod.name, facts.start_deadline.as_secs(), pod.name);
        (late && !started).then(|| passing(pod, Reason::StartTimeout, &text))
    })
}

/// The first container that waits for one of `reasons`, with what is said of it.
fn waiting<'a>(facts: &Facts<'a>, reasons: &[&str]) -> Option<(&'a Pod, &'a Container, &'a str)> {
    facts.pods.iter().find_map(|pod| {
        pod.containers.iter().find_map(|container| {
            let (reason, said) = container.waiting.as_ref()?;
            reasons
                .contains(&reason.as_str())
                .then_some((*pod, container, said.as_str()))
        })
    })
}
