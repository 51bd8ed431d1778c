//! The paths below `/v2`.
//!
//! Pure. Called by the server before anything else. Names are percent-decoded once.

use crate::error::{Error, Kind, cut, cut_half, cut_method};
use crate::v1::percent_decode;

/// What a request below `/v2` asks for. `HEAD` asks what `GET` asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET /v2`
    Server,
    /// `GET /v2/health/live`
    Live,
    /// `GET /v2/health/ready`
    Ready,
    /// `GET /v2/models`
    Models,
    /// `GET /v2/models/{m}[/versions/{n}]`
    Metadata(Target),
    /// `GET /v2/models/{m}[/versions/{n}]/ready`
    ModelReady(Target),
    /// `POST /v2/models/{m}[/versions/{n}]/infer`
    Infer(Target),
    /// `GET /v2/models/{m}[/versions/{n}]/ws`: a WebSocket
    WebSocket(Target),
}

/// A model and perhaps one of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The model's name, decoded.
    pub model: String,
    /// `/versions/{n}`, 0 ≤ n ≤ `i64::MAX`.
    pub version: Option<i64>,
}

/// Reads method and raw path (no query string). Errors: `bad_route` (404, 405), `unknown_version` for one that is no
/// decimal number.
pub fn parse_path(method: &str, raw_path: &str) -> Result<Route, Error> {
    let path = cut(raw_path);
    let Some(route) = route(raw_path) else {
        return Err(Error::new(
            Kind::NotFound,
            format!("Not found: {} {path}", cut_method(method)),
        ));
    };
    let allowed = route
        .as_ref()
        .map_or_else(|failed| failed.allowed, Route::allowed);
    if !allowed.split(", ").any(|allowed| allowed == method) {
        let text = format!("Method {} not allowed: {path}", cut_method(method));
        return Err(Error::new(Kind::MethodNotAllowed, text));
    }
    route.map_err(|failed| failed.error)
}

/// The value of the header `Allow` for a path that exists: `GET, HEAD` or `POST`.
pub fn allowed_methods(raw_path: &str) -> Option<&'static str> {
    Some(
        route(raw_path)?
            .as_ref()
            .map_or_else(|failed| failed.allowed, Route::allowed),
    )
}

/// No model, or no version of it, answers to `target`.
pub fn unknown_model(target: &Target) -> Error {
    let model = cut(&target.model);
    match target.version {
        None => Error::new(Kind::UnknownModel, format!("Model {model} not found")),
        Some(version) => unknown_version(model, &version.to_string()),
    }
}

fn unknown_version(model: &str, version: &str) -> Error {
    Error::new(
        Kind::UnknownVersion,
        format!("Model {model} has no version {version}"),
    )
}

impl Route {
    fn allowed(&self) -> &'static str {
        match self {
            Self::Infer(_) => "POST",
            Self::WebSocket(_) => "GET",
            Self::Server
            | Self::Live
            | Self::Ready
            | Self::Models
            | Self::Metadata(_)
            | Self::ModelReady(_) => "GET, HEAD",
        }
    }
}

/// A path of the right form whose version is no number.
struct Failed {
    allowed: &'static str,
    error: Error,
}

fn route(path: &str) -> Option<Result<Route, Failed>> {
    let rest = path.strip_prefix("/v2")?;
    let mut parts = rest.split('/');
    if parts.next() != Some("") {
        return None;
    }
    let parts: Vec<&str> = parts.take(6).collect();
    Some(Ok(match parts.as_slice() {
        [] | [""] => Route::Server,
        ["health", "live"] => Route::Live,
        ["health", "ready"] => Route::Ready,
        ["models"] => Route::Models,
        ["models", model, "versions", version] => {
            return model_route(model, Some(version), Route::Metadata);
        }
        ["models", model, "versions", version, "ready"] => {
            return model_route(model, Some(version), Route::ModelReady);
        }
        ["models", model, "versions", version, "infer"] => {
            return model_route(model, Some(version), Route::Infer);
        }
        ["models", model, "versions", version, "ws"] => {
            return model_route(model, Some(version), Route::WebSocket);
        }
        ["models", model] => return model_route(model, None, Route::Metadata),
        ["models", model, "ws"] => return model_route(model, None, Route::WebSocket),
        ["models", model, "ready"] => return model_route(model, None, Route::ModelReady),
        ["models", model, "infer"] => return model_route(model, None, Route::Infer),
        _ => return None,
    }))
}

fn model_route(
    model: &str,
    version: Option<&str>,
    route: fn(Target) -> Route,
) -> Option<Result<Route, Failed>> {
    let model = percent_decode(model).filter(|model| !model.is_empty())?;
    let Some(text) = version else {
        return Some(Ok(route(Target {
            model,
            version: None,
        })));
    };
    if text.is_empty() {
        return None;
    }
    Some(target(model.clone(), text).map(route).map_err(|error| {
        let version = None;
        let allowed = route(Target { model, version }).allowed();
        Failed { allowed, error }
    }))
}

/// `version` of `model`; an error if it is no decimal number.
pub(crate) fn target(model: String, version: &str) -> Result<Target, Error> {
    let digits = version.bytes().all(|byte| byte.is_ascii_digit());
    let number = version.parse::<i64>().ok().filter(|_| digits);
    if number.is_none() {
        return Err(unknown_version(cut_half(&model), cut_half(version)));
    }
    Ok(Target {
        model,
        version: number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(model: &str, version: Option<i64>) -> Target {
        Target {
            model: model.to_owned(),
            version,
        }
    }

    #[track_caller]
    fn accepts(method: &str, path: &str, expect: Route) {
        assert_eq!(parse_path(method, path), Ok(expect));
    }

    #[track_caller]
    fn refuses(method: &str, path: &str, kind: Kind, text: &str) {
        assert_eq!(parse_path(method, path), Err(Error::new(kind, text)));
    }

    #[test]
    fn every_route_has_its_path() {
        accepts("GET", "/v2", Route::Server);
        accepts("GET", "/v2/", Route::Server);
        accepts("GET", "/v2/health/live", Route::Live);
        accepts("HEAD", "/v2/health/ready", Route::Ready);
        accepts("GET", "/v2/models", Route::Models);
        accepts(
            "GET",
            "/v2/models/iris",
            Route::Metadata(target("iris", None)),
        );
        accepts(
            "GET",
            "/v2/models/iris/versions/7",
            Route::Metadata(target("iris", Some(7))),
        );
        accepts(
            "GET",
            "/v2/models/iris/ready",
            Route::ModelReady(target("iris", None)),
        );
        let seven = || target("iris", Some(7));
        accepts(
            "GET",
            "/v2/models/iris/versions/7/ready",
            Route::ModelReady(seven()),
        );
        accepts(
            "POST",
            "/v2/models/iris/infer",
            Route::Infer(target("iris", None)),
        );
        accepts(
            "POST",
            "/v2/models/iris/versions/7/infer",
            Route::Infer(seven()),
        );
        let socket = Route::WebSocket(target("iris", None));
        accepts("GET", "/v2/models/iris/ws", socket);
        let socket = Route::WebSocket(seven());
        accepts("GET", "/v2/models/iris/versions/7/ws", socket);
        accepts(
            "POST",
            "/v2/models/a%20b/infer",
            Route::Infer(target("a b", None)),
        );
    }

    #[test]
    fn an_unknown_path_is_not_found() {
        for path in [
            "/v2/foo",
            "/v2x",
            "/v2/health",
            "/v2/models/",
            "/v2/models/iris/",
            "/v2/models/iris/infer/x",
            "/v2/models/iris/versions/",
            "/v2/models/%ff",
            "/V2/models",
        ] {
            refuses(
                "GET",
                path,
                Kind::NotFound,
                &format!("Not found: GET {path}"),
            );
            assert_eq!(allowed_methods(path), None);
        }
    }

    #[test]
    fn a_known_path_says_which_methods_it_has() {
        let infer = "/v2/models/m/infer";
        let text = "Method GET not allowed: /v2/models/m/infer";
        refuses("GET", infer, Kind::MethodNotAllowed, text);
        assert_eq!(allowed_methods(infer), Some("POST"));
        let text = "Method POST not allowed: /v2/models/m/ws";
        refuses("POST", "/v2/models/m/ws", Kind::MethodNotAllowed, text);
        assert_eq!(allowed_methods("/v2/models/m/ws"), Some("GET"));
        refuses(
            "PUT",
            "/v2",
            Kind::MethodNotAllowed,
            "Method PUT not allowed: /v2",
        );
        assert_eq!(allowed_methods("/v2"), Some("GET, HEAD"));
        assert_eq!(
            allowed_methods("/v2/models/m/versions/x/infer"),
            Some("POST")
        );
    }

    #[test]
    fn a_version_is_decimal() {
        for version in ["x", "-1", "+1", "1.0", "9223372036854775808"] {
            let text = format!("Model m has no version {version}");
            let path = format!("/v2/models/m/versions/{version}");
            refuses("GET", &path, Kind::UnknownVersion, &text);
        }
    }

    #[test]
    fn what_does_not_exist_is_named() {
        assert_eq!(unknown_model(&target("m", None)).text, "Model m not found");
        let unknown = unknown_model(&target("m", Some(9)));
        assert_eq!(
            unknown,
            Error::new(Kind::UnknownVersion, "Model m has no version 9")
        );
    }
}
