//! Checks of containers that ended: what they wrote, how they ended, how often.
//!
//! Pure. Called by `failure` in its order. Server and fetch write `{"reason","message"}` as their
//! termination message; when they could not, Kubernetes gives the last lines of their log.

use aimass_crds::reason::Reason;
use serde::Deserialize;

use super::Facts;
use crate::model::observed::{Container, Pod, Terminated};
use crate::model::outlook::PodFailure;
use crate::text::{bounded, cut};

/// Restarts of one pod after which a crash is no accident.
const CRASHES: i32 = 3;

const ARTIFACT: [Reason; 6] = [
    Reason::ArtifactUnavailable,
    Reason::AccessDenied,
    Reason::FetchTimeout,
    Reason::OutOfDisk,
    Reason::ArtifactInvalid,
    Reason::DigestMismatch,
];

/// The model's files, as `fetch` or `server` found them.
pub(super) fn artifact(facts: &Facts<'_>) -> Option<PodFailure> {
    written(facts, &ARTIFACT)
}

/// Killed by the kernel, or refused by the server before that could happen.
pub(super) fn out_of_memory(facts: &Facts<'_>) -> Option<PodFailure> {
    killed(facts).or_else(|| written(facts, &[Reason::OutOfMemory]))
}

fn killed(facts: &Facts<'_>) -> Option<PodFailure> {
    let (pod, container, _) = ended(facts).find(|(_, _, end)| end.reason == "OOMKilled")?;
    let limit = limit(facts, &container.name).unwrap_or_default();
    Some(PodFailure {
        reason: Reason::OutOfMemory,
        message: format!(
            "container {} of pod {} was killed at {limit} of memory: raise spec.runtime.resources.limits.memory",
            container.name, pod.name
        ),
        pod: Some(pod.name.clone()),
        decisive: container.restarts >= CRASHES,
    })
}

/// The model, as the engine found it.
pub(super) fn model(facts: &Facts<'_>) -> Option<PodFailure> {
    written(facts, &[Reason::ModelLoadFailed, Reason::EngineUnavailable])
}

/// Any other end, seen more than once.
pub(super) fn crash(facts: &Facts<'_>) -> Option<PodFailure> {
    let (pod, container, end) = ended(facts).find(|(_, container, _)| container.restarts >= 2)?;
    let output = last_output(&end.message);
    let output = if output.is_empty() {
        "none".to_owned()
    } else {
        output
    };
    Some(PodFailure {
        reason: Reason::CrashLooping,
        message: bounded(&format!(
            "container {} of pod {} ended with exit code {} after {} restarts; last output: {output}: see kubectl logs {} -c {} --previous",
            container.name, pod.name, end.exit_code, container.restarts, pod.name, container.name
        )),
        pod: Some(pod.name.clone()),
        decisive: container.restarts >= CRASHES,
    })
}

/// A termination message with one of `reasons`.
fn written(facts: &Facts<'_>, reasons: &[Reason]) -> Option<PodFailure> {
    ended(facts).find_map(|(pod, container, end)| {
        let said: Said = serde_json::from_str(end.message.trim()).ok()?;
        let reason = said
            .reason
            .parse()
            .ok()
            .filter(|reason| reasons.contains(reason))?;
        // exit 3: refused, not unavailable; the second attempt shows that it stays so
        let twice = container.restarts >= 2 || container.restarts >= 1 && !container.running;
        Some(PodFailure {
            reason,
            message: bounded(&said.message),
            pod: Some(pod.name.clone()),
            decisive: end.exit_code == 3 && twice,
        })
    })
}

/// What a container writes when it gives up.
#[derive(Deserialize)]
struct Said {
    reason: String,
    #[serde(default)]
    message: String,
}

/// Every container that ended in error, with its pod.
fn ended<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'a Pod, &'a Container, &'a Terminated)> {
    facts.pods.iter().flat_map(|pod| {
        pod.containers.iter().filter_map(move |container| {
            let end = container.terminated.as_ref()?;
            (end.exit_code != 0).then_some((*pod, container, end))
        })
    })
}

/// The last line of a log; of a JSON line, its message.
fn last_output(log: &str) -> String {
    let line = log
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let said = serde_json::from_str::<serde_json::Value>(line).ok();
    let message = said
        .as_ref()
        .and_then(|said| said.get("message"))
        .and_then(|said| said.as_str());
    cut(message.unwrap_or(line), 300)
}

/// The memory limit of a container, as its template has it.
fn limit(facts: &Facts<'_>, container: &str) -> Option<String> {
    let spec = facts.template?.spec.as_ref()?;
    let mut all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let resources = all
        .find(|other| other.name == container)?
        .resources
        .as_ref()?;
    resources
        .limits
        .as_ref()?
        .get("memory")
        .map(|quantity| quantity.0.clone())
}
