//! Objects, read and cut down to what the table needs.
//!
//! Pure. Called by `watch` for each object before it is kept: at 10,000 models what is not needed is most of the memory.

mod peers;
mod revisions;
mod traffic;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aimass_crds::api_key::credential_end;
use aimass_crds::condition::ConditionType;
use aimass_crds::model_deployment::{Access as WantedAccess, AccessMode, Retry as WantedRetry};
use aimass_crds::network::Cidr;
use aimass_crds::usage_plan::{Mode, Rate as WantedRate};
use aimass_crds::{APIKey, ModelDeployment, UsagePlan, labels};
use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use self::peers::peers;
pub use self::revisions::Known;
use crate::table::{Access, Capacity, EndpointState, Key, Network, Plan, Rate, Retry, Unready};

/// The name of the port that predictions are asked on.
const PORT: &str = "http";

/// What of an object counts, or why it is not understood; notes are about what of it is left aside.
pub type Cut<V> = Result<V, String>;

/// A ModelDeployment.
#[derive(Debug)]
pub struct Model {
    /// `metadata.creationTimestamp`
    pub created: Timestamp,
    /// Its deletion has begun: it is not routed any more.
    pub deleted: bool,
    /// The name in addresses.
    pub served_name: Arc<str>,
    /// Who may call.
    pub access: Access,
    /// The time of a request in all.
    pub request_timeout: Duration,
    /// Bytes of a request's body.
    pub max_request_bytes: u64,
    /// What may be sent again.
    pub retry: Retry,
    /// Requests that one pod is given at once, and those that wait for one.
    pub capacity: Capacity,
    /// Why nothing is to be expected, if so.
    pub unready: Option<Unready>,
    /// The number of the stable revision.
    pub stable: Option<i64>,
    /// The number of the revision that the spec asks for.
    pub target: Option<i64>,
    /// What changes of the weights are counted by; 0 before the first.
    pub traffic_version: i64,
    /// The revisions that `status` names.
    pub revisions: Vec<Known>,
}

/// An EndpointSlice of one revision.
#[derive(Debug)]
pub struct Slice {
    /// The name of the ModelDeployment.
    pub deployment: Arc<str>,
    /// The revision's.
    pub revision: Arc<str>,
    /// Its pods.
    pub endpoints: Vec<(SocketAddr, EndpointState)>,
}

/// The credentials of an APIKey.
#[derive(Debug)]
pub struct Credentials {
    /// `metadata.creationTimestamp`
    pub created: Timestamp,
    /// By their ids.
    pub keys: Vec<(Arc<str>, Arc<Key>)>,
}

/// Reads a ModelDeployment.
///
/// # Errors
/// A value has not the form that its schema asks for.
pub fn model(object: &ModelDeployment, _: &mut Vec<String>) -> Cut<Model> {
    let spec = &object.spec;
    let status = object.status.clone().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let traffic = spec.traffic.as_ref();
    Ok(Model {
        created: created(&object.metadata),
        deleted: object.metadata.deletion_timestamp.is_some(),
        served_name: spec.served_name.as_deref().unwrap_or(name).into(),
        access: access(spec.access.as_ref())?,
        request_timeout: traffic::request_timeout(traffic)?,
        max_request_bytes: traffic::max_request_bytes(traffic)?,
        retry: match traffic
            .and_then(|traffic| traffic.retry)
            .unwrap_or_default()
        {
            WantedRetry::Never => Retry::Never,
            WantedRetry::Unsent => Retry::Unsent,
            WantedRetry::Idempotent => Retry::Idempotent,
        },
        capacity: traffic::capacity(spec.scaling.as_ref(), traffic)?,
        unready: unready(object),
        stable: status.stable.as_ref().map(|stable| stable.number),
        target: status.target.as_ref().map(|target| target.number),
        traffic_version: status.traffic_version.unwrap_or(0),
        revisions: revisions::of(&status)?,
    })
}

/// Why a model does not answer: what its owner decided, else what `status` says.
fn unready(object: &ModelDeployment) -> Option<Unready> {
    let because = |reason: &str, decided| {
        Some(Unready {
            reason: reason.into(),
            decided,
        })
    };
    if object.spec.suspend == Some(true) {
        return because("Suspended", true);
    }
    if object.spec.replicas == Some(0) {
        return because("AtZero", true);
    }
    let conditions = &object.status.as_ref()?.conditions;
    let ready = ConditionType::Ready.find(conditions)?;
    match ready.status.as_str() {
        "False" => because(&ready.reason, false),
        _ => None,
    }
}

fn access(access: Option<&WantedAccess>) -> Cut<Access> {
    let Some(access) = access else {
        return Ok(Access::default());
    };
    let public = match access.mode.unwrap_or_default() {
        AccessMode::Public => true,
        AccessMode::Authenticated => false,
    };
    let allowed = networks("spec.access.allowedCIDRs", access.allowed_cidrs.as_ref())?;
    Ok(Access { public, allowed })
}

/// Never fewer than were written: a range that is not understood must not become "all".
fn networks(path: &str, ranges: Option<&Vec<Cidr>>) -> Cut<Vec<Network>> {
    let network = |range: &Cidr| {
        let rule = || {
            format!(
                "{path} must hold ranges such as 10.0.0.0/8, holds {:?}",
                range.0
            )
        };
        let (address, prefix) = range.get().ok_or_else(rule)?;
        Ok(Network { address, prefix })
    };
    ranges.into_iter().flatten().map(network).collect()
}

/// Reads an EndpointSlice.
///
/// # Errors
/// It does not say whose it is, or has no addresses or no port of a pod.
pub fn slice(object: &EndpointSlice, notes: &mut Vec<String>) -> Cut<Slice> {
    let label = |key: &str| {
        let labels = object.metadata.labels.as_ref();
        let value = labels.and_then(|labels| labels.get(key));
        value
            .map(|value| Arc::from(value.as_str()))
            .ok_or_else(|| format!("has no label {key}"))
    };
    let (deployment, revision) = (label(labels::DEPLOYMENT)?, label(labels::REVISION)?);
    if !matches!(object.address_type.as_str(), "IPv4" | "IPv6") {
        return Err(format!(
            "addressType must be IPv4 or IPv6, is {}",
            object.address_type
        ));
    }
    let listed = object.endpoints.as_deref().unwrap_or_default();
    if listed.is_empty() {
        // Without endpoints there are no ports either.
        return Ok(Slice {
            deployment,
            revision,
            endpoints: Vec::new(),
        });
    }
    let ports = object.ports.iter().flatten();
    let mut named = ports.filter(|port| port.name.as_deref() == Some(PORT));
    let port = named.next().and_then(|port| u16::try_from(port.port?).ok());
    let port = port
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("has no port named {PORT}"))?;
    let mut endpoints = Vec::with_capacity(listed.len());
    for endpoint in listed {
        match address(endpoint) {
            Ok(address) => endpoints.push((SocketAddr::new(address, port), state(endpoint))),
            Err(note) => notes.push(note),
        }
    }
    Ok(Slice {
        deployment,
        revision,
        endpoints,
    })
}

/// The pod's address: an endpoint may list several, which are alike; everybody uses the first.
fn address(endpoint: &Endpoint) -> Result<IpAddr, String> {
    let text = endpoint.addresses.first().map_or("", String::as_str);
    let address: IpAddr = text
        .parse()
        .map_err(|_invalid| format!("{text:?} is no address of a pod"))?;
    match is_pod(address.to_canonical()) {
        true => Ok(address.to_canonical()),
        false => Err(format!("{address} is no address of a pod")),
    }
}

/// Whether a pod may have this address. Whoever may write EndpointSlices must not lead requests to the gateway itself, or to
/// what answers on link-local addresses in many clouds.
fn is_pod(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(four) => four.is_link_local() || four.is_broadcast(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    !link_local && !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

/// Absent conditions mean yes, and what serves although it is not ready is the last resort.
fn state(endpoint: &Endpoint) -> EndpointState {
    let conditions = endpoint.conditions.as_ref();
    let ready = conditions.and_then(|conditions| conditions.ready);
    let serving = conditions.and_then(|conditions| conditions.serving);
    match (ready, serving) {
        (None | Some(true), _) => EndpointState::Ready,
        (Some(false), Some(true)) => EndpointState::Serving,
        (Some(false), _) => EndpointState::NotReady,
    }
}

/// Reads an APIKey.
///
/// # Errors
/// A hash or a range has not the form that its schema asks for.
pub fn credentials(object: &APIKey, _: &mut Vec<String>) -> Cut<Credentials> {
    let (spec, metadata) = (&object.spec, &object.metadata);
    let text = |text: &Option<String>| Arc::from(text.as_deref().unwrap_or_default());
    let models: Vec<Arc<str>> = spec
        .models
        .iter()
        .map(|name| name.as_str().into())
        .collect();
    let allowed = networks("spec.allowedCIDRs", spec.allowed_cidrs.as_ref())?;
    let mut keys = Vec::with_capacity(spec.credentials.len());
    for credential in &spec.credentials {
        let rule = || {
            let id = &credential.id;
            format!("spec.credentials[{id}].sha256 must have 64 hexadecimal digits")
        };
        let key = Key {
            uid: text(&metadata.uid),
            namespace: text(&metadata.namespace),
            name: text(&metadata.name),
            sha256: hash(&credential.sha256).ok_or_else(rule)?,
            models: models.clone(),
            plan: spec.plan.as_deref().map(Arc::from),
            not_after: credential_end(object, credential),
            disabled: spec.disabled.unwrap_or(false),
            allowed: allowed.clone(),
            used: AtomicBool::new(false),
        };
        keys.push((credential.id.as_str().into(), Arc::new(key)));
    }
    Ok(Credentials {
        created: created(metadata),
        keys,
    })
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        let digits = text.get(2 * index..2 * index + 2)?;
        // `from_str_radix` would take a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}

/// Reads a UsagePlan.
///
/// # Errors
/// A number or a duration is beyond what its schema allows.
pub fn plan(object: &UsagePlan, _: &mut Vec<String>) -> Cut<Arc<Plan>> {
    let spec = &object.spec;
    let rates: Cut<Vec<Rate>> = spec.rates.iter().flatten().map(rate).collect();
    let concurrency = |wanted: i32| {
        let rule = || format!("spec.concurrency must be at least 1, is {wanted}");
        u32::try_from(wanted)
            .ok()
            .filter(|most| *most > 0)
            .ok_or_else(rule)
    };
    Ok(Arc::new(Plan {
        rates: rates?,
        concurrency: spec.concurrency.map(concurrency).transpose()?,
        shadow: match spec.mode.unwrap_or_default() {
            Mode::Shadow => true,
            Mode::Enforce => false,
        },
    }))
}

fn rate(wanted: &WantedRate) -> Cut<Rate> {
    let path = format!("spec.rates[{}]", wanted.name);
    let number = |field: &str, number: i64| {
        let rule = || format!("{path}.{field} must be at least 1, is {number}");
        u64::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(rule)
    };
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
    let rule = || {
        format!(
            "{path}.window must be between 1s and 24h, is {:?}",
            wanted.window.0
        )
    };
    let window = wanted.window.get();
    Ok(Rate {
        name: wanted.name.as_str().into(),
        requests: number("requests", wanted.requests)?,
        window: window
            .filter(|window| (least..=most).contains(window))
            .ok_or_else(rule)?,
        burst: number("burst", wanted.effective_burst())?,
    })
}

/// The API server sets it on every object; what has none counts as the youngest.
fn created(metadata: &ObjectMeta) -> Timestamp {
    metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::MAX, |time| time.0)
}

#[cfg(test)]
mod tests;
