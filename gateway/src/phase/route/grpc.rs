//! What the head of a gRPC call says: method and project. The model stands in the message.
//!
//! Pure. Called by `phase` for calls of gRPC, instead of [`super::parse`]; `message` reads the model's name in between, and
//! [`Asked::about`] makes a target of both.
//!
//! Calls that are about no model are refused, as in REST: `ServerLive`, `ServerReady`, `ServerMetadata` and the health
//! service speak of a server, and a pod's answer would be taken for the gateway's.

use aimass_protocol::grpc::{self as protocol, health};
use aimass_protocol::v1::Pick;
use aimass_protocol::{Error, Kind, error::cut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName};

use super::plain::is_label;
use super::{Addresses, Call, Head, Project, Target, whose};

/// Whose model is meant, where the host does not say it.
const PROJECT: HeaderName = HeaderName::from_static("aimass-project");

/// What can be asked of a model over gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rpc {
    /// `ModelInfer`
    Infer,
    /// `ModelMetadata`
    Metadata,
    /// `ModelReady`
    Ready,
}

impl Rpc {
    /// The label `method` of metrics and log, as servers have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Infer => "infer",
            Self::Metadata => "metadata",
            Self::Ready => "ready",
        }
    }

    /// The path that a pod is asked.
    #[must_use]
    pub fn path(self) -> String {
        let method = match self {
            Self::Infer => "ModelInfer",
            Self::Metadata => "ModelMetadata",
            Self::Ready => "ModelReady",
        };
        format!("/{}/{method}", protocol::SERVICE)
    }
}

/// What a call is about, as far as its head says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What is asked.
    pub rpc: Rpc,
    project: Project,
    host: Option<String>,
}

impl Asked {
    /// The target, once the message has said its model and its version, which is empty if there is none.
    ///
    /// # Errors
    /// `unknown_version`: one that is no number.
    pub fn about(self, model: &str, version: &str) -> Result<Target, Error> {
        let Self { rpc, project, host } = self;
        let target = protocol::target(model.to_owned(), version)?;
        Ok(Target {
            project,
            host,
            model: target.model,
            pick: target.version.map_or(Pick::Any, Pick::Version),
            call: Call::Rpc(rpc),
        })
    }
}

/// Reads the head of a call.
///
/// # Errors
/// `unsupported_encoding`: another content type than that of protocol buffers. `bad_route`: no such method, or one that is
/// about no model. `bad_request`: without `te: trailers` no answer is safe from a proxy that drops its end; `aimass-project`
/// names no project, or another one than the host.
pub fn parse(head: &Head<'_>, headers: &HeaderMap, addresses: &Addresses) -> Result<Asked, Error> {
    check_content_type(headers)?;
    let rpc = method(head)?;
    let te = headers.get_all(TE).iter();
    let mut codings = te.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    if !codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers")) {
        return Err(bad_request("gRPC needs the header te: trailers"));
    }
    let project = project(headers)?;
    let (host, project) = whose(head.host, project, addresses).ok_or_else(|| {
        bad_request(
            "The host and aimass-project must name one project, by names that Kubernetes has",
        )
    })?;
    Ok(Asked { rpc, project, host })
}

fn bad_request(text: &str) -> Error {
    Error::new(Kind::BadRequest, text)
}

/// Messages are in the encoding of protocol buffers, which needs not be named.
fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    let value = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let text = String::from_utf8_lossy(value.unwrap_or_default());
    let media = text.split(';').next().unwrap_or_default().trim_end();
    if matches!(media, "application/grpc" | "application/grpc+proto") {
        return Ok(());
    }
    let text = format!("Unsupported Content-Type: {}", cut(&text));
    Err(Error::new(Kind::UnsupportedEncoding, text))
}

fn method(head: &Head<'_>) -> Result<Rpc, Error> {
    let path = cut(head.path);
    if head.method != "POST" {
        // The longest registered method has 17 letters.
        let method = head.method.get(..20).unwrap_or(head.method);
        let text = format!("Method {method} not allowed: {path}");
        return Err(Error::new(Kind::MethodNotAllowed, text));
    }
    let parts = head
        .path
        .strip_prefix('/')
        .and_then(|path| path.split_once('/'));
    match parts.unwrap_or_default() {
        (protocol::SERVICE, "ModelInfer") => Ok(Rpc::Infer),
        (protocol::SERVICE, "ModelMetadata") => Ok(Rpc::Metadata),
        (protocol::SERVICE, "ModelReady") => Ok(Rpc::Ready),
        (protocol::SERVICE, "ServerLive" | "ServerReady" | "ServerMetadata")
        | (health::SERVICE, _) => {
            let text = format!(
                "{path} is about a server, and the gateway answers for models only: ask ModelReady, ModelMetadata or ModelInfer"
            );
            Err(Error::new(Kind::NotFound, text))
        }
        _ => Err(Error::new(
            Kind::NotFound,
            format!("Not found: POST {path}"),
        )),
    }
}

/// The project that the metadata names.
fn project(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut found = None;
    for value in headers.get_all(&PROJECT) {
        let text = value.to_str().ok().filter(|text| is_label(text));
        match (text, found) {
            (Some(text), None) => found = Some(text),
            (Some(text), Some(before)) if text == before => {}
            _ => {
                let text = String::from_utf8_lossy(value.as_bytes());
                return Err(Error::invalid_header(PROJECT.as_str(), &text));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
    const GOOD: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

    fn addresses() -> Addresses {
        Addresses {
            domain: Some("models.example.com".into()),
            default_project: Some("default".into()),
        }
    }

    fn read(
        path: &str,
        host: Option<&str>,
        headers: &[(&'static str, &str)],
    ) -> Result<Asked, Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let method = "POST";
        parse(&Head { method, path, host }, &map, &addresses())
    }

    #[track_caller]
    fn refuses(path: &str, headers: &[(&'static str, &str)], kind: Kind, text: &str) {
        assert_eq!(read(path, None, headers), Err(Error::new(kind, text)));
    }

    #[track_caller]
    fn names(host: &str, metadata: &[&str], expect: Option<(Option<&str>, Project)>) {
        let mut headers = GOOD.to_vec();
        headers.extend(metadata.iter().map(|value| ("aimass-project", *value)));
        let asked = read(INFER, Some(host), &headers);
        let expect = expect.map(|(host, project)| Asked {
            rpc: Rpc::Infer,
            project,
            host: host.map(str::to_owned),
        });
        match asked {
            Ok(asked) => assert_eq!(Some(asked), expect, "{host} {metadata:?}"),
            Err(error) => assert_eq!((error.kind, expect), (Kind::BadRequest, None), "{error}"),
        }
    }

    #[test]
    fn every_call_about_a_model_is_known_and_asked_of_a_pod_as_it_came() {
        for (method, rpc) in [
            ("ModelInfer", Rpc::Infer),
            ("ModelMetadata", Rpc::Metadata),
            ("ModelReady", Rpc::Ready),
        ] {
            let path = format!("/inference.GRPCInferenceService/{method}");
            let asked = read(&path, None, &GOOD).unwrap();
            assert_eq!((asked.rpc, rpc.path()), (rpc, path));
        }
    }

    #[test]
    fn what_is_about_no_model_says_what_to_ask_instead() {
        for path in [
            "/inference.GRPCInferenceService/ServerLive",
            "/inference.GRPCInferenceService/ServerReady",
            "/inference.GRPCInferenceService/ServerMetadata",
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
        ] {
            let text = format!(
                "{path} is about a server, and the gateway answers for models only: ask ModelReady, ModelMetadata or ModelInfer"
            );
            refuses(path, &GOOD, Kind::NotFound, &text);
        }
    }

    #[test]
    fn all_else_is_not_found() {
        for path in [
            "/inference.GRPCInferenceService/ModelStreamInfer",
            "/inference.GRPCInferenceService/modelinfer",
            "/inference.GRPCInferenceService/ModelInfer/",
            "/inference.GRPCInferenceService",
            "/projects/shop/inference.GRPCInferenceService/ModelInfer",
            "/tensorflow.serving.PredictionService/Predict",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/v2/models/m/infer",
            "/",
            "*",
        ] {
            refuses(
                path,
                &GOOD,
                Kind::NotFound,
                &format!("Not found: POST {path}"),
            );
        }
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))]);
        let head = Head {
            method: "GET",
            path: INFER,
            host: None,
        };
        let error = parse(&head, &headers, &addresses()).unwrap_err();
        assert_eq!(error.text, format!("Method GET not allowed: {INFER}"));
    }

    #[test]
    fn messages_are_protocol_buffers_and_trailers_must_pass() {
        let te = ("te", "trailers");
        for media in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc; x=y",
        ] {
            assert!(
                read(INFER, None, &[("content-type", media), te]).is_ok(),
                "{media}"
            );
        }
        for media in [
            "application/grpc+json",
            "application/grpc-web",
            "application/grpcx",
        ] {
            let text = format!("Unsupported Content-Type: {media}");
            refuses(
                INFER,
                &[("content-type", media), te],
                Kind::UnsupportedEncoding,
                &text,
            );
        }
        let text = "gRPC needs the header te: trailers";
        let plain = ("content-type", "application/grpc");
        refuses(INFER, &[plain], Kind::BadRequest, text);
        refuses(INFER, &[plain, ("te", "gzip")], Kind::BadRequest, text);
        assert!(read(INFER, None, &[plain, ("te", "gzip, Trailers")]).is_ok());
    }

    #[test]
    fn the_host_names_the_project_else_the_metadata_else_the_key() {
        let named = |project: &str| Project::Named(project.to_owned());
        let implied = Project::Implied(Some("default".into()));
        let own = "gateway.example.com";
        names(own, &[], Some((None, implied)));
        names(own, &["shop"], Some((None, named("shop"))));
        names(own, &["shop", "shop"], Some((None, named("shop"))));
        let host = "iris.shop.models.example.com";
        names(host, &[], Some((Some("iris"), named("shop"))));
        names(host, &["shop"], Some((Some("iris"), named("shop"))));
    }

    #[test]
    fn what_names_two_projects_or_none_is_refused() {
        names("iris.shop.models.example.com", &["lab"], None);
        names("my_model.shop.models.example.com", &[], None);
        for bad in [&["Shop"][..], &[""], &["a/b"], &["a", "b"], &["ü"]] {
            names("gateway.example.com", bad, None);
        }
    }

    #[test]
    fn the_message_says_model_and_version() {
        let asked = || read(INFER, None, &GOOD).unwrap();
        let target = asked().about("m", "").unwrap();
        assert_eq!((target.model.as_str(), target.pick), ("m", Pick::Any));
        let target = asked().about("m", "7").unwrap();
        assert_eq!(target.pick, Pick::Version(7));
        assert_eq!(target.call.protocol(), "grpc");
        let error = asked().about("m", "seven").unwrap_err();
        assert_eq!(
            (error.kind, error.text.as_str()),
            (Kind::UnknownVersion, "Model m has no version seven")
        );
    }
}
