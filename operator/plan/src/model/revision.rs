//! What makes a revision: everything that decides what a pod serves, hashed.
//!
//! Pure. Called by the planner once the source is resolved. Scaling, rollout settings and the served
//! name are not part of it: they change no pod; nor is traffic, but for a request that may take
//! longer than 60 s, because then pods take longer to end. A default that is part of it never changes, or every
//! model of the world would roll out on an upgrade.

use aimass_crds::model_deployment::Engine;
use serde_json::{Value, json};

use super::canonical::{base32, hash};
use super::history::Known;
use super::observed::Platform;
use super::pod;
use super::source::{Content, describe, identity as source_identity};
use super::valid::{Batching, Rejection, Source, Valid};

/// The revision that `valid` asks for: the one that exists with this content, else a new one with
/// the next number.
pub(crate) fn target(
    valid: &Valid,
    platform: &Platform,
    content: &Content,
    history: &[Known],
) -> Result<Known, Rejection> {
    let identity = identity(valid, platform, content);
    let name = base32(hash(&identity));
    let existing = history.iter().find(|known| known.name == name);
    let next = history
        .iter()
        .map(|known| known.number)
        .max()
        .unwrap_or(0)
        .saturating_add(1);
    let number = match existing {
        None => next,
        Some(Known {
            identity: Some(other),
            ..
        }) if *other != identity => {
            return Err(Rejection::RevisionTaken { revision: name });
        }
        Some(known) if known.identity.is_some() && known.template.is_some() => {
            return Ok(known.clone());
        }
        // its memory was deleted: the same content under its old number
        Some(known) => known.number,
    };
    Ok(render(valid, platform, content, (name, number, identity)))
}

fn render(
    valid: &Valid,
    platform: &Platform,
    content: &Content,
    (name, number, identity): (String, i64, Value),
) -> Known {
    let template = pod::template(valid, platform, content, (&name, number));
    Known {
        name,
        number,
        created: None,
        model: describe(&valid.source),
        digest: content.digest.clone(),
        identity: Some(identity),
        template: Some(template),
    }
}

/// Everything that decides what a pod serves, with effective values.
fn identity(valid: &Valid, platform: &Platform, content: &Content) -> Value {
    let runtime = &valid.runtime;
    let mut identity = json!({
        "schema": 1,
        "model": {"format": "Onnx", "source": source_identity(&valid.source, content)},
        "server": {
            "image": runtime.image,
            "stopGraceSeconds": valid.traffic.stop_grace(),
            "fetch": fetch(&valid.source, platform),
        },
        "runtime": {
            "engine": engine(runtime.engine),
            "threads": runtime.threads,
            "requests": runtime.resources.requests,
            "limits": runtime.resources.limits,
            "nodeSelector": runtime.node_selector,
            "tolerations": runtime.tolerations,
            "priorityClassName": runtime.priority_class,
            "runtimeClassName": runtime.runtime_class,
            "serviceAccountName": runtime.service_account,
            "imagePullSecrets": runtime.pull_secrets,
            "podLabels": runtime.pod_labels,
            "podAnnotations": runtime.pod_annotations,
            "startDeadlineSeconds": runtime.start_deadline.as_secs(),
        },
        "restartToken": valid.restart_token,
    });
    let Batching {
        max_size,
        max_delay,
    } = &valid.batching;
    // Absent, it is no part: revisions from before this field keep their names.
    if let Some(fields) = identity.as_object_mut()
        && (max_size.is_some() || max_delay.is_some())
    {
        let delay = max_delay.and_then(|delay| u64::try_from(delay.as_millis()).ok());
        let batching = json!({"maxSize": max_size, "maxDelayMilliseconds": delay});
        fields.insert("batching".to_owned(), batching);
    }
    identity
}

/// Part of the hash of every revision: never renamed.
fn engine(engine: Engine) -> &'static str {
    match engine {
        Engine::Auto => "Auto",
        Engine::Tract => "Tract",
        Engine::Rten => "Rten",
        Engine::OnnxRuntime => "OnnxRuntime",
    }
}

/// What the platform allows this one source; the rest of its list changes no revision.
fn fetch(source: &Source, platform: &Platform) -> Value {
    match source {
        Source::Http { url, .. } => json!({"hostAllowed": host_allowed(url, platform)}),
        Source::ConfigMap { .. } | Source::Pvc { .. } => Value::Null,
    }
}

fn host_allowed(url: &str, platform: &Platform) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    };
    platform
        .allow_hosts
        .iter()
        .any(|allowed| allowed.eq_ignore_ascii_case(host))
}
