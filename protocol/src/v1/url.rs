//! The paths below `/v1`.
//!
//! Pure. Called by the server before anything else. Source: the two regular expressions of TensorFlow Serving's
//! `http_rest_api_util.cc`, matched here by hand on the raw path; name and label are percent-decoded once, afterwards.

use crate::error::{Error, Kind, cut, cut_method};

/// What a request below `/v1` asks for. `HEAD` asks what `GET` asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{m}[/V]`
    Status(Target),
    /// `GET /v1/models/{m}[/V]/metadata`
    Metadata(Target),
    /// `POST /v1/models/{m}[/V]:predict`
    Predict(Target),
    /// `GET /v1/models/{m}[/V]/ws`: a WebSocket
    WebSocket(Target),
    /// `POST /v1/models/{m}[/V]:classify`
    Classify(Target),
    /// `POST /v1/models/{m}[/V]:regress`
    Regress(Target),
}

/// A model and which of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The model's name, decoded.
    pub model: String,
    /// The version or label in the path.
    pub pick: Pick,
}

/// Which version of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// None was named.
    Any,
    /// `/versions/{n}`, 0 ≤ n ≤ `i64::MAX`.
    Version(i64),
    /// `/labels/{l}`, decoded.
    Label(String),
}

/// Reads method and raw path (no query string). All errors are of kind `bad_route`.
pub fn parse_path(method: &str, raw_path: &str) -> Result<Route, Error> {
    let route = match method {
        "POST" => post(raw_path),
        "GET" | "HEAD" => get(raw_path),
        _ => None,
    };
    route.unwrap_or_else(|| {
        let text = format!(
            "Malformed request: {} {}",
            cut_method(method),
            cut(raw_path)
        );
        Err(Error::new(Kind::BadRoute, text))
    })
}

/// The parts of a path before decoding.
struct Raw<'a> {
    model: Option<&'a str>,
    version: Option<&'a str>,
    label: Option<&'a str>,
    last: Option<&'a str>,
}

fn post(path: &str) -> Option<Result<Route, Error>> {
    let (path, method) = path.rsplit_once(':')?;
    let raw = segments(path)?;
    let route = match method {
        "predict" => Route::Predict,
        "classify" => Route::Classify,
        "regress" => Route::Regress,
        _ => return None,
    };
    (raw.model.is_some() && raw.last.is_none()).then(|| raw.target().map(route))
}

fn get(path: &str) -> Option<Result<Route, Error>> {
    let raw = segments(path)?;
    Some(match (raw.model, raw.last) {
        (None, Some(_)) => return None,
        (None, None) if raw.version.is_none() && raw.label.is_none() => Ok(Route::Models),
        (_, None) => raw.target().map(Route::Status),
        (Some(_), Some(last)) if last.eq_ignore_ascii_case("ws") => {
            raw.target().map(Route::WebSocket)
        }
        (Some(_), Some(_)) => raw.target().map(Route::Metadata),
    })
}

/// `/v1/models[/{m}][/versions/{n}|/labels/{l}][/metadata|/ws]`, with as much as possible taken for the model's name.
fn segments(path: &str) -> Option<Raw<'_>> {
    let prefix = "/v1/models";
    let (start, rest) = path.split_at_checked(prefix.len())?;
    if !start.eq_ignore_ascii_case(prefix) || rest.contains(':') {
        return None;
    }
    let mut parts = rest.split('/');
    if parts.next() != Some("") {
        return None;
    }
    let parts: Vec<&str> = parts.take(6).collect();
    if let Some((model, after)) = parts.split_first()
        && !model.is_empty()
        && let Some(raw) = tail(Some(model), after)
    {
        return Some(raw);
    }
    tail(None, &parts)
}

fn tail<'a>(model: Option<&'a str>, parts: &[&'a str]) -> Option<Raw<'a>> {
    let mut raw = Raw {
        model,
        version: None,
        label: None,
        last: None,
    };
    let after = match parts {
        [word, version, after @ ..]
            if word.eq_ignore_ascii_case("versions")
                && !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            raw.version = Some(version);
            after
        }
        [word, label, after @ ..] if word.eq_ignore_ascii_case("labels") && !label.is_empty() => {
            raw.label = Some(label);
            after
        }
        after => after,
    };
    match after {
        [] => Some(raw),
        [last] if last.eq_ignore_ascii_case("metadata") || last.eq_ignore_ascii_case("ws") => {
            raw.last = Some(last);
            Some(raw)
        }
        _ => None,
    }
}

impl Raw<'_> {
    fn target(&self) -> Result<Target, Error> {
        let Some(model) = self.model else {
            return Err(Error::new(Kind::BadRoute, "Missing model name in request."));
        };
        let model = decode(model, "model name")?;
        let pick = match (self.version, self.label) {
            (Some(version), _) => Pick::Version(version.parse().ok().ok_or_else(|| {
                let text = format!("Failed to convert version: {} to numeric.", cut(version));
                Error::new(Kind::BadRoute, text)
            })?),
            (None, Some(label)) => Pick::Label(decode(label, "model version label")?),
            (None, None) => Pick::Any,
        };
        Ok(Target { model, pick })
    }
}

fn decode(raw: &str, what: &str) -> Result<String, Error> {
    percent_decode(raw).ok_or_else(|| {
        Error::new(
            Kind::BadRoute,
            format!("Failed to decode {what}:{}", cut(raw)),
        )
    })
}

/// Decodes `%hh` once; a `%` without two hex digits stays. `None` if the result is not UTF-8.
pub(crate) fn percent_decode(raw: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after
            .split_first_chunk::<2>()
            .and_then(|([high, low], after)| {
                let high = char::from(*high).to_digit(16)?;
                let low = char::from(*low).to_digit(16)?;
                Some((u8::try_from(high * 16 + low).ok()?, after))
            });
        let (byte, after) = match escaped {
            Some(escaped) if *first == b'%' => escaped,
            _ => (*first, after),
        };
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(model: &str, pick: Pick) -> Target {
        Target {
            model: model.to_owned(),
            pick,
        }
    }

    fn label(label: &str) -> Pick {
        Pick::Label(label.to_owned())
    }

    #[track_caller]
    fn accepts(method: &str, path: &str, expect: Route) {
        assert_eq!(parse_path(method, path), Ok(expect));
    }

    #[track_caller]
    fn refuses(method: &str, path: &str, text: &str) {
        let error = parse_path(method, path).unwrap_err();
        assert_eq!((error.kind, error.text.as_str()), (Kind::BadRoute, text));
    }

    #[track_caller]
    fn malformed(method: &str, path: &str) {
        refuses(method, path, &format!("Malformed request: {method} {path}"));
    }

    #[test]
    fn predict_names_a_model_and_perhaps_a_version_or_label() {
        accepts(
            "POST",
            "/v1/models/half:predict",
            Route::Predict(target("half", Pick::Any)),
        );
        let seven = target("half", Pick::Version(7));
        accepts(
            "POST",
            "/v1/models/half/versions/7:predict",
            Route::Predict(seven),
        );
        let canary = target("half", label("canary"));
        accepts(
            "POST",
            "/v1/models/half/labels/canary:predict",
            Route::Predict(canary),
        );
        let versions = target("versions", Pick::Any);
        accepts(
            "POST",
            "/v1/models/versions:predict",
            Route::Predict(versions),
        );
    }

    #[test]
    fn the_fixed_words_but_not_the_method_ignore_case() {
        let seven = || target("Half", Pick::Version(7));
        accepts(
            "POST",
            "/V1/Models/Half/VERSIONS/7:predict",
            Route::Predict(seven()),
        );
        accepts(
            "GET",
            "/V1/MODELS/Half/Versions/7/Metadata",
            Route::Metadata(seven()),
        );
        malformed("POST", "/v1/models/half:PREDICT");
    }

    #[test]
    fn status_and_metadata_name_a_model() {
        accepts(
            "GET",
            "/v1/models/half",
            Route::Status(target("half", Pick::Any)),
        );
        accepts(
            "HEAD",
            "/v1/models/half",
            Route::Status(target("half", Pick::Any)),
        );
        accepts(
            "GET",
            "/v1/models/m/versions/0",
            Route::Status(target("m", Pick::Version(0))),
        );
        accepts(
            "GET",
            "/v1/models/m/labels/l",
            Route::Status(target("m", label("l"))),
        );
        accepts(
            "GET",
            "/v1/models/m/metadata",
            Route::Metadata(target("m", Pick::Any)),
        );
        let labelled = target("m", label("l"));
        accepts(
            "GET",
            "/v1/models/m/labels/l/metadata",
            Route::Metadata(labelled),
        );
    }

    #[test]
    fn a_websocket_names_a_model_as_metadata_does() {
        let any = target("m", Pick::Any);
        accepts("GET", "/v1/models/m/ws", Route::WebSocket(any));
        let seven = target("m", Pick::Version(7));
        accepts("GET", "/V1/models/m/versions/7/WS", Route::WebSocket(seven));
        let canary = target("m", label("canary"));
        accepts(
            "GET",
            "/v1/models/m/labels/canary/ws",
            Route::WebSocket(canary),
        );
        accepts(
            "GET",
            "/v1/models/ws",
            Route::Status(target("ws", Pick::Any)),
        );
        accepts(
            "GET",
            "/v1/models/ws/ws",
            Route::WebSocket(target("ws", Pick::Any)),
        );
        for path in [
            "/v1/models/m/ws/",
            "/v1/models/m/ws/ws",
            "/v1/models/m/ws/metadata",
        ] {
            malformed("GET", path);
        }
        malformed("POST", "/v1/models/m/ws");
        malformed("POST", "/v1/models/m/ws:predict");
    }

    #[test]
    fn without_a_model_there_is_only_the_list() {
        accepts("GET", "/v1/models", Route::Models);
        refuses(
            "GET",
            "/v1/models/versions/5",
            "Missing model name in request.",
        );
        refuses(
            "GET",
            "/v1/models/labels/l",
            "Missing model name in request.",
        );
        malformed("GET", "/v1/models/versions/5/metadata/x");
    }

    #[test]
    fn a_word_of_the_grammar_can_be_a_models_name() {
        accepts(
            "GET",
            "/v1/models/metadata",
            Route::Status(target("metadata", Pick::Any)),
        );
        accepts(
            "GET",
            "/v1/models/versions",
            Route::Status(target("versions", Pick::Any)),
        );
        accepts(
            "GET",
            "/v1/models/labels/metadata",
            Route::Metadata(target("labels", Pick::Any)),
        );
        let nested = target("versions", Pick::Version(5));
        accepts(
            "GET",
            "/v1/models/versions/versions/5",
            Route::Status(nested),
        );
    }

    #[test]
    fn everything_else_is_malformed() {
        for path in [
            "/v1",
            "/v1/",
            "/v1/foo",
            "/v1/model/half",
            "/v1/models/",
            "/v1/models/half/",
            "/v1/models//versions/1",
            "/v1/models/half:predict",
            "/v1/models/half/versions/HELLO",
            "/v1/models/half/versions/-1",
            "/v1/models/half/versions/",
            "/v1/models/half/versions/1/labels/l",
            "/v1/models/half/version/5",
            "/v1/models/half/metadata/metadata",
            "/v1/modelshalf",
        ] {
            malformed("GET", path);
        }
        for path in [
            "/v1/foo",
            "/v1/models",
            "/v1/models:predict",
            "/v1/models/:predict",
            "/v1/models/half",
            "/v1/models/half/metadata",
            "/v1/models/half/metadata:predict",
            "/v1/models/half/version/5:predict",
            "/v1/models/half/versions/HELLO:predict",
            "/v1/models/half/versions/1/labels/l:predict",
            "/v1/models/versions/5:predict",
            "/v1/models/half:predict/",
            "/v1/models/half:predict:predict",
            "/v1/models/half:train",
        ] {
            malformed("POST", path);
        }
        malformed("PUT", "/v1/models/half:predict");
        malformed("DELETE", "/v1/models/half");
    }

    #[test]
    fn the_path_in_the_text_is_cut() {
        let path = format!("/v1/{}", "a".repeat(400));
        let text = format!("Malformed request: GET {}", cut(&path));
        refuses("GET", &path, &text);
    }

    #[test]
    fn names_and_labels_are_decoded_once() {
        accepts(
            "GET",
            "/v1/models/a%20b%3A",
            Route::Status(target("a b:", Pick::Any)),
        );
        accepts(
            "GET",
            "/v1/models/a%2525",
            Route::Status(target("a%25", Pick::Any)),
        );
        accepts(
            "GET",
            "/v1/models/a%2",
            Route::Status(target("a%2", Pick::Any)),
        );
        accepts(
            "GET",
            "/v1/models/m/labels/%C3%BC",
            Route::Status(target("m", label("ü"))),
        );
        refuses("GET", "/v1/models/%ff", "Failed to decode model name:%ff");
        let text = "Failed to decode model version label:%ff";
        refuses("POST", "/v1/models/m/labels/%ff:predict", text);
    }

    #[test]
    fn a_version_fits_into_63_bits() {
        let last = target("m", Pick::Version(i64::MAX));
        accepts(
            "GET",
            "/v1/models/m/versions/9223372036854775807",
            Route::Status(last),
        );
        let text = "Failed to convert version: 18446744073709551615 to numeric.";
        refuses("GET", "/v1/models/m/versions/18446744073709551615", text);
    }
}
