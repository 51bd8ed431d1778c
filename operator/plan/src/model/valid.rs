//! The only rejection: a spec that breaks a rule stops here, as types that cannot be invalid leave.
//!
//! Pure. Called by [`super::plan`] first. The API server has checked the same rules already (schema
//! and CEL), but an object may be older than a rule, and `render` reads files that no API server has
//! seen. What concerns *another* object is no rejection but a condition (`source`). Defaults are
//! applied here and nowhere else.

mod batching;
mod fields;
mod objectives;
mod rejection;
mod resources;
mod rollout;
mod scaling;
mod traffic;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aimass_crds::ModelDeployment;
use aimass_crds::model_deployment::{Engine, Runtime as WireRuntime, Toleration};

use super::objectives::Objectives;
use super::observed::Platform;

pub(crate) use batching::Batching;
pub(crate) use objectives::objectives;
pub use rejection::Rejection;
pub(crate) use resources::Resources;
pub(crate) use rollout::{Analysis, Rollout, Strategy, Word};
pub(crate) use scaling::Automatic;
pub(crate) use traffic::Traffic;

/// A name that leaves room for a revision: `^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$`, because it ends up,
/// with a revision, in the names of Services and pods and in labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A spec that breaks no rule, with every default applied.
#[derive(Clone, Debug)]
pub(crate) struct Valid {
    pub(crate) name: Name,
    pub(crate) namespace: String,
    /// Absent only offline.
    pub(crate) uid: Option<String>,
    pub(crate) served_name: String,
    pub(crate) source: Source,
    pub(crate) runtime: Runtime,
    pub(crate) batching: Batching,
    pub(crate) restart_token: Option<String>,
    pub(crate) suspended: bool,
    /// 0 to 1000, as asked for, whether suspended or not; `None`: the load says it.
    pub(crate) replicas: Option<i32>,
    pub(crate) automatic: Automatic,
    pub(crate) traffic: Traffic,
    pub(crate) rollout: Rollout,
    pub(crate) objectives: Option<Objectives>,
}

/// Where the files are, with what acts on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    ConfigMap {
        name: String,
        key: Option<String>,
        digest: Option<String>,
    },
    Pvc {
        claim: String,
        path: String,
        digest: Option<String>,
        max_size: String,
    },
    Http {
        url: String,
        digest: String,
        secret: Option<String>,
        max_size: String,
    },
}

/// What the pods run with.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    /// The server's, with that engine in it.
    pub(crate) image: String,
    /// 1 to 64.
    pub(crate) threads: i64,
    pub(crate) resources: Resources,
    pub(crate) node_selector: BTreeMap<String, String>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) priority_class: Option<String>,
    pub(crate) runtime_class: Option<String>,
    pub(crate) service_account: Option<String>,
    pub(crate) pull_secrets: Vec<String>,
    pub(crate) pod_labels: BTreeMap<String, String>,
    pub(crate) pod_annotations: BTreeMap<String, String>,
    /// 5 s to 2 h.
    pub(crate) start_deadline: Duration,
}

/// Checks every rule, one after the other; the first that is broken is the answer.
pub(crate) fn valid(model: &ModelDeployment, platform: &Platform) -> Result<Valid, Rejection> {
    let spec = &model.spec;
    let name = name(model.metadata.name.as_deref().unwrap_or_default())?;
    let served_name = match &spec.served_name {
        Some(text) => fields::served_name(text)?,
        None => name.to_string(),
    };
    let replicas = spec
        .replicas
        .map(|replicas| fields::integer("spec.replicas", replicas, 0, 1000));
    traffic::access(&spec.access.clone().unwrap_or_default())?;
    Ok(Valid {
        namespace: model
            .metadata
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned()),
        uid: model.metadata.uid.clone().filter(|uid| !uid.is_empty()),
        served_name,
        source: fields::source(&spec.model, platform)?,
        runtime: runtime(&spec.runtime.clone().unwrap_or_default(), platform)?,
        batching: batching::batching(&spec.batching.clone().unwrap_or_default())?,
        restart_token: spec
            .restart_token
            .as_deref()
            .map(fields::restart_token)
            .transpose()?,
        suspended: spec.suspend.unwrap_or(false),
        replicas: replicas.transpose()?,
        automatic: scaling::automatic(spec.scaling.as_ref(), spec.traffic.as_ref())?,
        traffic: traffic::traffic(&spec.traffic.clone().unwrap_or_default())?,
        rollout: rollout::rollout(&spec.rollout.clone().unwrap_or_default())?,
        objectives: spec.objectives.as_ref().map(objectives).transpose()?,
        name,
    })
}

fn name(text: &str) -> Result<Name, Rejection> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let legal = text.len() <= 52
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(inner)
        && !text.ends_with('-');
    if legal {
        Ok(Name(text.to_owned()))
    } else {
        Err(Rejection::Name {
            name: text.to_owned(),
        })
    }
}

fn runtime(wire: &WireRuntime, platform: &Platform) -> Result<Runtime, Rejection> {
    let builtin = wire.builtin.clone().unwrap_or_default();
    let engine = builtin.engine.unwrap_or_default();
    let image = match engine {
        Engine::Auto | Engine::Tract | Engine::Rten => Some(&platform.server_image),
        Engine::OnnxRuntime => platform.onnxruntime_image.as_ref(),
    };
    let resources = resources::resources(&wire.resources.clone().unwrap_or_default())?;
    let threads = match builtin.threads {
        Some(threads) => i64::from(fields::integer(
            "spec.runtime.builtin.threads",
            threads,
            1,
            64,
        )?),
        None => resources.cpus().clamp(1, 64),
    };
    let start_deadline = fields::duration(
        "spec.runtime.startDeadline",
        wire.start_deadline.as_ref(),
        Duration::from_secs(600),
        ("5s", "2h"),
    )?;
    let secrets = wire
        .image_pull_secrets
        .iter()
        .flatten()
        .map(|secret| secret.secret_name.clone());
    Ok(Runtime {
        engine,
        image: image.ok_or(Rejection::NoOnnxRuntime)?.clone(),
        threads,
        resources,
        node_selector: wire.node_selector.clone().unwrap_or_default(),
        tolerations: wire.tolerations.clone().unwrap_or_default(),
        priority_class: wire.priority_class_name.clone(),
        runtime_class: wire.runtime_class_name.clone(),
        service_account: wire.service_account_name.clone(),
        pull_secrets: secrets.collect(),
        pod_labels: fields::unreserved("spec.runtime.podLabels", wire.pod_labels.as_ref())?,
        pod_annotations: fields::unreserved(
            "spec.runtime.podAnnotations",
            wire.pod_annotations.as_ref(),
        )?,
        start_deadline,
    })
}

/// `spec.rollout` alone, for the tables of `rollout`.
#[cfg(test)]
pub(crate) fn rollout_for_tests(wire: &aimass_crds::model_deployment::Rollout) -> Rollout {
    rollout::rollout(wire).unwrap()
}

#[cfg(test)]
mod tests;
