//! Routes that no pod answers: the gateway's own health, and which models there are.
//!
//! Pure. Called by `phase` before [`super::parse`], which refuses whatever is none of a model either.

use aimass_protocol::{v1, v2};

use super::plain::is_plain;
use super::{Addresses, Head, Project, is_below, split, whose};

/// What is asked of the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// `GET /v2`
    Server,
    /// `GET /v2/health/live`
    Live,
    /// `GET /v2/health/ready`
    Ready,
    /// `GET /v1/models`, `GET /v2/models`
    Models {
        /// Whose models.
        project: Project,
        /// The only ModelDeployment that is meant, if the host names one.
        host: Option<String>,
    },
}

/// What `head` asks of the gateway itself; `None`: it is about a model, or nothing at all.
#[must_use]
pub fn own(head: &Head<'_>, addresses: &Addresses) -> Option<Own> {
    if !is_plain(head.path) {
        return None;
    }
    let (prefix, path) = split(head.path)?;
    if is_below(path, "/v1") {
        if v1::parse_path(head.method, path).ok()? != v1::Route::Models {
            return None;
        }
    } else if is_below(path, "/v2") {
        match v2::parse_path(head.method, path).ok()? {
            v2::Route::Server => return Some(Own::Server),
            v2::Route::Live => return Some(Own::Live),
            v2::Route::Ready => return Some(Own::Ready),
            v2::Route::Models => {}
            v2::Route::Metadata(_)
            | v2::Route::ModelReady(_)
            | v2::Route::Infer(_)
            | v2::Route::WebSocket(_) => return None,
        }
    } else {
        return None;
    }
    let (host, project) = whose(head.host, prefix, addresses)?;
    Some(Own::Models { project, host })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, path: &str, host: Option<&str>) -> Option<Own> {
        let addresses = Addresses {
            domain: Some("models.example.com".into()),
            default_project: Some("default".into()),
        };
        own(&Head { method, path, host }, &addresses)
    }

    #[test]
    fn health_is_the_gateways_under_any_prefix() {
        for (path, expect) in [
            ("/v2", Own::Server),
            ("/v2/health/live", Own::Live),
            ("/v2/health/ready", Own::Ready),
            ("/projects/a/v2/health/ready", Own::Ready),
        ] {
            assert_eq!(read("GET", path, None), Some(expect), "{path}");
        }
    }

    #[test]
    fn lists_are_of_the_project_that_is_meant() {
        let list = |project, host: Option<&str>| {
            let host = host.map(str::to_owned);
            Some(Own::Models { project, host })
        };
        let implied = Project::Implied(Some("default".into()));
        let named = || Project::Named("a".to_owned());
        for path in ["/v1/models", "/v2/models"] {
            assert_eq!(read("GET", path, None), list(implied.clone(), None));
            let whole = format!("/projects/a{path}");
            assert_eq!(read("GET", &whole, None), list(named(), None));
            let host = Some("iris.a.models.example.com");
            assert_eq!(read("GET", path, host), list(named(), Some("iris")));
        }
    }

    #[test]
    fn what_is_of_a_model_or_of_nothing_is_not_its_own() {
        for (method, path) in [
            ("GET", "/v1/models/m"),
            ("GET", "/v2/models/m/ready"),
            ("POST", "/v2/models/m/infer"),
            ("POST", "/v1/models"),
            ("GET", "/v3/models"),
            ("GET", "/v2/health"),
            ("GET", "/v2/./models"),
            ("GET", "/"),
        ] {
            assert_eq!(read(method, path, None), None, "{method} {path}");
        }
    }
}
