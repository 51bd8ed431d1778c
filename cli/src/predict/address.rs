//! Where a model is asked: an address as typed, or as `status.url` has it, with `:predict` at its end. Pure.

use std::net::IpAddr;

use reqwest::Url;

const METHOD: &str = ":predict";

/// An address that no model can be asked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error(
        "must be an address such as https://HOST or https://HOST/projects/NAMESPACE/v1/models/NAME, is {0:?}"
    )]
    Address(String),
    #[error("must have no user, password, query or fragment: a key is given by AIMASS_KEY")]
    Extra,
    #[error("must lead to /v1/models/NAME, is {0:?}")]
    NoModel(String),
}

/// The address that `text` means for the model `name` of `namespace`: that of a model is taken as it is, to any other
/// the path of the model is added. Without a namespace the key's own is meant.
pub(super) fn of_flag(text: &str, namespace: Option<&str>, name: &str) -> Result<Url, Invalid> {
    let url = base(text)?;
    let mut path = segments(&url);
    if !is_model(&path) {
        if let Some(namespace) = namespace
            && !path.iter().any(|segment| segment == "projects")
        {
            path.extend(["projects", namespace].map(str::to_owned));
        }
        path.extend(["v1", "models", name].map(str::to_owned));
    }
    Ok(asked(url, &path))
}

/// The address that the status of a ModelDeployment means.
pub(super) fn of_status(text: &str) -> Result<Url, Invalid> {
    let url = base(text)?;
    let path = segments(&url);
    if !is_model(&path) {
        return Err(Invalid::NoModel(cut(text)));
    }
    Ok(asked(url, &path))
}

/// Whether nobody else is on the way.
pub(super) fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    loopback || host == "localhost"
}

/// Whether only programs within the cluster find this address.
pub(super) fn is_within_cluster(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host.ends_with(".svc") || host.ends_with(".svc.cluster.local")
}

fn base(text: &str) -> Result<Url, Invalid> {
    let invalid = || Invalid::Address(cut(text));
    let url = Url::parse(text).map_err(|_cause| invalid())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid());
    }
    let extra = !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some();
    if extra { Err(Invalid::Extra) } else { Ok(url) }
}

/// Without empty ones: a slash at the end says nothing.
fn segments(url: &Url) -> Vec<String> {
    let segments = url.path().split('/').filter(|segment| !segment.is_empty());
    segments.map(str::to_owned).collect()
}

/// Whether the path leads to one model, whatever stands before and after.
fn is_model(path: &[String]) -> bool {
    path.windows(3)
        .any(|part| matches!(part, [version, models, _] if version == "v1" && models == "models"))
}

fn asked(mut url: Url, path: &[String]) -> Url {
    let path = path.join("/");
    let model = path.strip_suffix(METHOD).unwrap_or(&path);
    url.set_path(&format!("/{model}{METHOD}"));
    url
}

fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, namespace: Option<&str>, expect: &str) {
        let url = of_flag(text, namespace, "iris").unwrap();
        assert_eq!(url.as_str(), expect, "{text}");
    }

    #[test]
    fn to_a_gateway_the_path_of_the_model_is_added() {
        let shop = Some("shop");
        check("https://h", None, "https://h/v1/models/iris:predict");
        check(
            "https://h/",
            shop,
            "https://h/projects/shop/v1/models/iris:predict",
        );
        check(
            "https://h:8443/ai/",
            shop,
            "https://h:8443/ai/projects/shop/v1/models/iris:predict",
        );
        check(
            "https://h/projects/lab",
            shop,
            "https://h/projects/lab/v1/models/iris:predict",
        );
        check(
            "http://[::1]:8501",
            None,
            "http://[::1]:8501/v1/models/iris:predict",
        );
    }

    #[test]
    fn a_models_address_is_taken_as_it_is() {
        let model = "https://h/projects/lab/v1/models/my_model";
        let expect = "https://h/projects/lab/v1/models/my_model:predict";
        check(model, Some("shop"), expect);
        check(&format!("{model}:predict"), None, expect);
        check(&format!("{model}/"), None, expect);
        check(
            "http://h/v1/models/m/versions/3",
            None,
            "http://h/v1/models/m/versions/3:predict",
        );
        let status = "http://iris.shop.svc:8501/v1/models/iris";
        assert_eq!(
            of_status(status).unwrap().as_str(),
            format!("{status}:predict")
        );
    }

    #[test]
    fn other_texts_name_the_rule() {
        for bad in [
            "",
            "h",
            "h:8501",
            "ftp://h/",
            "https://",
            "/v1/models/iris",
            "mailto:a@b",
        ] {
            assert_eq!(
                of_flag(bad, None, "iris"),
                Err(Invalid::Address(bad.to_owned())),
                "{bad}"
            );
        }
        for bad in [
            "https://a:b@h",
            "https://a@h",
            "https://h/?key=x",
            "https://h/#x",
        ] {
            assert_eq!(of_flag(bad, None, "iris"), Err(Invalid::Extra), "{bad}");
        }
        let gateway = "https://h/projects/shop";
        assert_eq!(
            of_status(gateway),
            Err(Invalid::NoModel(gateway.to_owned()))
        );
    }

    #[test]
    fn it_is_known_who_can_reach_an_address() {
        let url = |text: &str| Url::parse(text).unwrap();
        for local in ["http://localhost:1", "http://127.0.0.1", "http://[::1]/"] {
            assert!(is_local(&url(local)), "{local}");
        }
        for other in ["http://h", "http://10.0.0.1", "http://localhost.example"] {
            assert!(!is_local(&url(other)), "{other}");
        }
        assert!(is_within_cluster(&url("http://iris.shop.svc:8501")));
        assert!(!is_within_cluster(&url("https://svc.example")));
    }
}
