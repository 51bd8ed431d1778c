//! Phase route: what a request is about, by its head alone.
//!
//! Pure. Called by `phase` before anything is known of the caller; [`super::permit`] finds the model that is meant. Syntax
//! only: the raw path is matched once, by the protocols' own parsers, and what could be read in two ways is refused. No byte
//! of the path goes on: what a pod is asked is written anew, from what was understood.
//!
//! Every route of [`parse`] is one of a model, and a pod answers it. The protocols' other routes are [`own()`]: which models a
//! caller may call no pod knows, and `/v2` and `/v2/health/*` speak of the server, which is the gateway here. A WebSocket ends
//! here, and its messages come back as requests.

mod grpc;
mod host;
mod own;
mod plain;

use std::fmt::Write as _;
use std::sync::Arc;

use aimass_protocol::error::cut;
use aimass_protocol::v1::{self, Pick};
use aimass_protocol::ws::Dialect;
use aimass_protocol::{Error, Kind, v2};
use http::Request;
use http::header::HOST;

pub use grpc::{Asked, Rpc, parse as parse_call};
pub use host::is_misdirected;
use host::named_by_host;
pub use own::{Own, own};
use plain::{is_label, is_plain};

/// What is read of a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// `GET`, `POST` …
    pub method: &'a str,
    /// As it was sent, without the query string.
    pub path: &'a str,
    /// `:authority` or the target's, else `Host`: the listener has seen to it that they agree.
    pub host: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// That of `request`.
    #[must_use]
    pub fn of<B>(request: &'a Request<B>) -> Self {
        let uri = request.uri();
        let header = || request.headers().get(HOST)?.to_str().ok();
        Self {
            method: request.method().as_str(),
            path: uri.path(),
            host: uri.authority().map(|a| a.as_str()).or_else(header),
        }
    }
}

/// What the platform says of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// `--domain`: with `example.com`, the host `iris.shop.example.com` names model `iris` of project `shop`.
    pub domain: Option<Arc<str>>,
    /// `--default-project`: whose models are meant where neither the address nor a key says it.
    pub default_project: Option<Arc<str>>,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whose model.
    pub project: Project,
    /// The name of the ModelDeployment that the host names, if it names one.
    pub host: Option<String>,
    /// The served name in the path, decoded.
    pub model: String,
    /// The version or label in the path.
    pub pick: Pick,
    /// What is asked.
    pub call: Call,
}

/// Whose model is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Project {
    /// That of this namespace, which host or path name.
    Named(String),
    /// That of the key's namespace, else that of this one.
    Implied(Option<Arc<str>>),
}

/// What can be asked of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `POST /v1/models/{m}:predict`
    Predict,
    /// `POST /v1/models/{m}:classify`
    Classify,
    /// `POST /v1/models/{m}:regress`
    Regress,
    /// `GET /v1/models/{m}`
    Status,
    /// `GET /v1/models/{m}/metadata`
    Metadata,
    /// `POST /v2/models/{m}/infer`
    Infer,
    /// `GET /v2/models/{m}`
    ModelMetadata,
    /// `GET /v2/models/{m}/ready`
    ModelReady,
    /// A call of gRPC, whose message names the model.
    Rpc(Rpc),
    /// `GET /v1/models/{m}/ws`, or `/v2/models/{m}/ws`
    WebSocket(Dialect),
}

/// Reads a head.
///
/// # Errors
/// `bad_route`: there is no such route, or it could be read in two ways. `unknown_version`: below `/v2`, one that is no
/// number.
pub fn parse(head: &Head<'_>, addresses: &Addresses) -> Result<Target, Error> {
    let refused = || bad_route(head);
    if !is_plain(head.path) {
        return Err(refused());
    }
    let (prefix, path) = split(head.path).ok_or_else(refused)?;
    let (model, pick, call) = read(head.method, path)?.ok_or_else(refused)?;
    let (host, project) = whose(head.host, prefix, addresses).ok_or_else(refused)?;
    Ok(Target {
        project,
        host,
        model,
        pick,
        call,
    })
}

/// Whose model is meant, and its object's name if the host says it; `named` is the project that the request names besides.
/// `None`: the host names another one, or has labels that no object can have.
fn whose(
    host: Option<&str>,
    named: Option<&str>,
    addresses: &Addresses,
) -> Option<(Option<String>, Project)> {
    let by_host = match (host, &addresses.domain) {
        (Some(host), Some(domain)) => named_by_host(host, domain).ok()?,
        _ => None,
    };
    Some(match (by_host, named) {
        (Some(host), named) if named.is_none_or(|named| named == host.project) => {
            (Some(host.name), Project::Named(host.project))
        }
        (Some(_), _) => return None,
        (None, Some(named)) => (None, Project::Named(named.to_owned())),
        (None, None) => (None, Project::Implied(addresses.default_project.clone())),
    })
}

/// The value of the header `Allow` where [`parse`] says `Method … not allowed`.
#[must_use]
pub fn allowed_methods(path: &str) -> Option<&'static str> {
    let (_, path) = split(path)?;
    v2::allowed_methods(path)
}

/// The project in `/projects/{ns}/…`, and what comes after it.
fn split(path: &str) -> Option<(Option<&str>, &str)> {
    let Some(after) = path.strip_prefix("/projects/") else {
        return Some((None, path));
    };
    let (project, rest) = after.split_at_checked(after.find('/')?)?;
    is_label(project).then_some((Some(project), rest))
}

/// What the protocols read in a path without a project; `None` if it is not for a pod.
fn read(method: &str, path: &str) -> Result<Option<(String, Pick, Call)>, Error> {
    if is_below(path, "/v1") {
        let (target, call) = match v1::parse_path(method, path)? {
            v1::Route::Predict(target) => (target, Call::Predict),
            v1::Route::Classify(target) => (target, Call::Classify),
            v1::Route::Regress(target) => (target, Call::Regress),
            v1::Route::Status(target) => (target, Call::Status),
            v1::Route::Metadata(target) => (target, Call::Metadata),
            v1::Route::WebSocket(target) => (target, Call::WebSocket(Dialect::Tfs)),
            v1::Route::Models => return Ok(None),
        };
        return Ok(Some((target.model, target.pick, call)));
    }
    if !is_below(path, "/v2") {
        return Ok(None);
    }
    let (target, call) = match v2::parse_path(method, path)? {
        v2::Route::Infer(target) => (target, Call::Infer),
        v2::Route::Metadata(target) => (target, Call::ModelMetadata),
        v2::Route::ModelReady(target) => (target, Call::ModelReady),
        v2::Route::WebSocket(target) => (target, Call::WebSocket(Dialect::Oip)),
        v2::Route::Server | v2::Route::Live | v2::Route::Ready | v2::Route::Models => {
            return Ok(None);
        }
    };
    let pick = target.version.map_or(Pick::Any, Pick::Version);
    Ok(Some((target.model, pick, call)))
}

/// Whether the first segment of `path` is `prefix`; TensorFlow Serving ignores its case.
fn is_below(path: &str, prefix: &str) -> bool {
    path.split_at_checked(prefix.len())
        .is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/'))
        })
}

/// In the words of the protocol that the path seems to be of.
fn bad_route(head: &Head<'_>) -> Error {
    let path = split(head.path).map_or(head.path, |(_, path)| path);
    // The longest registered method has 17 letters.
    let method = head.method.get(..20).unwrap_or(head.method);
    let seen = format!("{} {}", cut(method), cut(head.path));
    if is_below(path, "/v1") {
        return Error::new(Kind::BadRoute, format!("Malformed request: {seen}"));
    }
    Error::new(Kind::NotFound, format!("Not found: {seen}"))
}

impl Target {
    /// What a caller learns where there is no such model: the same, byte for byte, where there is one that is not for it.
    #[must_use]
    pub fn unknown_model(&self) -> Error {
        match self.call {
            Call::Infer
            | Call::ModelMetadata
            | Call::ModelReady
            | Call::Rpc(_)
            | Call::WebSocket(Dialect::Oip) => {
                // As a server says it: without the model its version does not matter.
                v2::unknown_model(&v2::Target {
                    model: self.model.clone(),
                    version: None,
                })
            }
            _ => self.unknown_version(),
        }
    }

    /// What a caller learns where the model has no such version or label.
    #[must_use]
    pub fn unknown_version(&self) -> Error {
        let model = self.model.clone();
        let pick = self.pick.clone();
        match self.call {
            Call::Predict
            | Call::Classify
            | Call::Regress
            | Call::Metadata
            | Call::WebSocket(Dialect::Tfs) => v1::unknown_servable(&v1::Target { model, pick }),
            Call::Status => v1::unknown_status(&v1::Target { model, pick }),
            Call::Infer
            | Call::ModelMetadata
            | Call::ModelReady
            | Call::Rpc(_)
            | Call::WebSocket(Dialect::Oip) => {
                let version = match pick {
                    Pick::Version(version) => Some(version),
                    Pick::Any | Pick::Label(_) => None,
                };
                v2::unknown_model(&v2::Target { model, version })
            }
        }
    }
}

impl Call {
    /// The label `protocol` of metrics and log.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Predict
            | Self::Classify
            | Self::Regress
            | Self::Status
            | Self::Metadata
            | Self::WebSocket(Dialect::Tfs) => "tfs",
            Self::Infer
            | Self::ModelMetadata
            | Self::ModelReady
            | Self::WebSocket(Dialect::Oip) => "oip",
            Self::Rpc(_) => "grpc",
        }
    }

    /// Whether a model without pods is woken for it. Whoever asks how a model is must not change how it is.
    #[must_use]
    pub const fn wakes(self) -> bool {
        match self {
            Self::Predict
            | Self::Classify
            | Self::Regress
            | Self::Metadata
            | Self::Infer
            | Self::ModelMetadata
            | Self::WebSocket(_)
            | Self::Rpc(Rpc::Infer | Rpc::Metadata) => true,
            Self::Status | Self::ModelReady | Self::Rpc(Rpc::Ready) => false,
        }
    }

    /// The label `method` of metrics and log, as servers have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Classify => "classify",
            Self::Regress => "regress",
            Self::Status => "status",
            Self::Metadata | Self::ModelMetadata => "metadata",
            Self::Infer => "infer",
            Self::ModelReady => "ready",
            Self::Rpc(rpc) => rpc.name(),
            Self::WebSocket(_) => "websocket",
        }
    }

    /// The path that a pod is asked: of `model` under its served name and, if one is pinned, of the one version it has. For a
    /// call of gRPC its method: the message says the rest.
    #[must_use]
    pub fn path(self, model: &str, version: Option<i64>) -> String {
        let mut path = match self.protocol() {
            "tfs" => "/v1/models/".to_owned(),
            _ => "/v2/models/".to_owned(),
        };
        for byte in model.bytes() {
            // A served name has no other characters; but if one ever had, it would be escaped and not a path of its own.
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                path.push(char::from(byte));
            } else {
                // Writing into a String cannot fail.
                let _ = write!(path, "%{byte:02X}");
            }
        }
        if let Some(version) = version {
            let _ = write!(path, "/versions/{version}");
        }
        path.push_str(match self {
            Self::Predict => ":predict",
            Self::Classify => ":classify",
            Self::Regress => ":regress",
            Self::Status | Self::ModelMetadata => "",
            Self::Metadata => "/metadata",
            Self::Infer => "/infer",
            Self::ModelReady => "/ready",
            Self::Rpc(rpc) => return rpc.path(),
            // Asked of no pod.
            Self::WebSocket(_) => "/ws",
        });
        path
    }
}

#[cfg(test)]
mod tests;
