//! Headers: which of the caller's go to the pod, which of the pod's go back, and what is said of where a request came from.
//!
//! Pure. Called by `forward` around each attempt, and before `authenticate` for the caller's address. What a caller could
//! say in the gateway's name is removed, whatever its spelling: a pod may believe these headers.

mod origin;

use std::time::Duration;

use aimass_protocol::Kind;
use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, SERVER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

pub use origin::{Origin, Scheme, origin};

use crate::key::API_KEY;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout-ms");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const PROJECT: HeaderName = HeaderName::from_static("aimass-project");
const CALLER: HeaderName = HeaderName::from_static("aimass-caller");
const ERROR: HeaderName = HeaderName::from_static("aimass-error");
const REVISION: HeaderName = HeaderName::from_static("aimass-revision");
const MODEL_VERSION: HeaderName = HeaderName::from_static("aimass-model-version");

/// Of one connection, and not of the message. Besides these, whatever `connection` names.
static HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// What the gateway alone reads of a request, or says to a pod. `host` is the pod's own address; `expect` is answered here;
/// a subprotocol may be a key.
static NOT_FOR_PODS: [HeaderName; 10] = [
    AUTHORIZATION,
    API_KEY,
    SEC_WEBSOCKET_PROTOCOL,
    COOKIE,
    EXPECT,
    FORWARDED,
    HOST,
    REQUEST_ID,
    REQUEST_TIMEOUT,
    GRPC_TIMEOUT,
];

/// The only headers with this beginning that callers may send to pods.
const AIMASS: &str = "aimass-";
const AIMASS_FROM_CALLERS: [&str; 2] = ["aimass-batching", "aimass-json-nonfinite"];

/// What the gateway itself says of its limits, and of itself.
static NOT_FROM_PODS: [HeaderName; 3] = [
    SERVER,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
];

/// What a pod is told of a request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Where it came from.
    pub origin: Origin,
    /// The host that the caller asked for.
    pub host: Option<&'a str>,
    /// A valid id: the caller's, as [`request_id`] finds it, or a new one.
    pub request_id: &'a str,
    /// The model's namespace.
    pub project: &'a str,
    /// Who calls, if known.
    pub caller: Option<&'a str>,
    /// What is left of the deadline.
    pub time_left: Duration,
}

/// The headers of a request to a pod. `host` is for whoever makes the connection to add.
#[must_use]
pub fn to_pod(from_caller: &HeaderMap, facts: &Facts<'_>) -> HeaderMap {
    let named = named_by_connection(from_caller);
    let mut headers = HeaderMap::with_capacity(from_caller.len() + 8);
    for (name, value) in from_caller {
        if goes_to_pod(name) && !named.contains(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if !has_one_trace(&headers) {
        headers.remove(TRACE_PARENT);
        headers.remove(TRACE_STATE);
    }
    let time_left = u64::try_from(facts.time_left.as_millis()).unwrap_or(u64::MAX);
    headers.insert(REQUEST_TIMEOUT, time_left.max(1).into());
    let address = facts.origin.address.to_string();
    set(&mut headers, FORWARDED_FOR, &address);
    set(&mut headers, FORWARDED_PROTO, facts.origin.scheme.name());
    set(&mut headers, REQUEST_ID, facts.request_id);
    set(&mut headers, PROJECT, facts.project);
    if let Some(host) = facts.host {
        set(&mut headers, FORWARDED_HOST, host);
    }
    if let Some(caller) = facts.caller {
        set(&mut headers, CALLER, caller);
    }
    headers
}

/// The headers of an answer to the caller, without what the gateway adds to every answer.
#[must_use]
pub fn from_pod(from_pod: &HeaderMap) -> HeaderMap {
    let named = named_by_connection(from_pod);
    let mut headers = HeaderMap::with_capacity(from_pod.len() + 8);
    for (name, value) in from_pod {
        let known = *name != ERROR || is_kind(value);
        let ours = NOT_FROM_PODS.contains(name) || HOP_BY_HOP.contains(name);
        if known && !ours && !named.contains(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Says which revision of the ModelDeployment `name` was chosen, as pods say it, if the pod did not: on every answer for
/// which one was, errors too.
pub fn identify(headers: &mut HeaderMap, name: &str, revision: &str, number: i64) {
    if !headers.contains_key(REVISION) {
        set(headers, REVISION, &format!("{name}-{revision}"));
    }
    if !headers.contains_key(MODEL_VERSION) {
        headers.insert(MODEL_VERSION, number.into());
    }
}

/// The caller's id of its request, if it is one: 1 to 64 of `[A-Za-z0-9._-]`.
#[must_use]
pub fn request_id(from_caller: &HeaderMap) -> Option<&str> {
    let id = from_caller.get(REQUEST_ID)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=64).contains(&id.len()) && id.bytes().all(plain)).then_some(id)
}

fn goes_to_pod(name: &HeaderName) -> bool {
    let text = name.as_str();
    // Much software reads `x_request_id` as `x-request-id`.
    !text.contains('_')
        && !HOP_BY_HOP.contains(name)
        && !NOT_FOR_PODS.contains(name)
        && !text.starts_with("x-forwarded-")
        && (!text.starts_with(AIMASS) || AIMASS_FROM_CALLERS.contains(&text))
}

/// What does not parse as a name names nothing.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    names.filter_map(|name| name.trim().parse().ok()).collect()
}

/// A trace that is invalid is none, and a state without its trace says nothing.
fn has_one_trace(headers: &HeaderMap) -> bool {
    let mut parents = headers.get_all(TRACE_PARENT).iter();
    match (parents.next(), parents.next()) {
        (Some(parent), None) => is_trace_parent(parent.as_bytes()),
        _ => false,
    }
}

/// W3C Trace Context, version 00: `00-<32 hex>-<16 hex>-<2 hex>`, in lower case, and neither id all zeros.
fn is_trace_parent(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = value.split(|byte| *byte == b'-').take(5).collect();
    let [version, trace, span, flags] = parts.as_slice() else {
        return false;
    };
    let hex = |part: &[u8], length: usize| {
        let digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        part.len() == length && part.iter().all(digit)
    };
    let id = |part: &[u8], length| hex(part, length) && part.iter().any(|byte| *byte != b'0');
    *version == b"00" && id(trace, 32) && id(span, 16) && hex(flags, 2)
}

fn is_kind(value: &HeaderValue) -> bool {
    let known = |kind: &Kind| kind.name().as_bytes() == value.as_bytes();
    Kind::ALL.iter().any(known)
}

/// What cannot be a header's value is left out: all of these are names that Kubernetes or this gateway made, or a host that
/// was in a header. Only people's names, in Kubernetes, may be of other characters.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

#[cfg(test)]
mod tests;
