//! Names the calls of a client: `apply deployments/iris-H1 #2` instead of "the seventh request".
//!
//! Pure. Called by the fault layer for each request. A name survives one status write more or less,
//! and the same workload in another namespace gets the same names.

use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderMap, Method, Uri};

/// What is done to an object or a collection; the words of Kubernetes' audit log, but for `Apply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Apply,
    Patch,
    Replace,
    Delete,
}

impl Verb {
    /// Whether the call may change the cluster.
    #[must_use]
    pub fn writes(self) -> bool {
        match self {
            Self::Get | Self::List | Self::Watch => false,
            Self::Create | Self::Apply | Self::Patch | Self::Replace | Self::Delete => true,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Apply => "apply",
            Self::Patch => "patch",
            Self::Replace => "replace",
            Self::Delete => "delete",
        })
    }
}

/// One request to the API server, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is done.
    pub verb: Verb,
    /// Plural name of the kind, as in the path; empty for `/version`, `/readyz` and the like.
    pub kind: String,
    /// The namespace, where the path has one.
    pub namespace: Option<String>,
    /// The object, where the path or (for a create) the body names one.
    pub name: Option<String>,
    /// `status`, `scale`, `token` …
    pub subresource: Option<String>,
    /// The query, as sent.
    pub query: String,
}

impl Call {
    /// Takes a request apart. `body` is looked at only for the name of a created object.
    #[must_use]
    pub fn of(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Self {
        let segments: Vec<&str> = uri.path().split('/').filter(|s| !s.is_empty()).collect();
        let query = uri.query().unwrap_or_default().to_owned();
        // /api/v1/…, /apis/<group>/<version>/…
        let rest = match segments.as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
            _ => &[],
        };
        let (namespace, rest) = match rest {
            // `/namespaces/x` itself is an object; `/namespaces/x/status` a subresource of it.
            ["namespaces", ns, kind, rest @ ..] if !matches!(*kind, "status" | "finalize") => {
                (Some((*ns).to_owned()), (Some(*kind), rest))
            }
            [kind, rest @ ..] => (None, (Some(*kind), rest)),
            [] => (None, (None, rest)),
        };
        let (kind, rest) = (rest.0.unwrap_or_default().to_owned(), rest.1);
        let name = rest.first().map(|s| (*s).to_owned());
        let subresource = rest.get(1).map(|s| (*s).to_owned());
        let verb = verb(method, headers, name.is_some(), &query);
        let name = match verb {
            Verb::Create if name.is_none() => name_in(body),
            _ => name,
        };
        Self {
            verb,
            kind,
            namespace,
            name,
            subresource,
            query,
        }
    }
}

fn verb(method: &Method, headers: &HeaderMap, named: bool, query: &str) -> Verb {
    match *method {
        Method::POST => Verb::Create,
        Method::PUT => Verb::Replace,
        Method::DELETE => Verb::Delete,
        Method::PATCH => {
            let apply = headers
                .get(http::header::CONTENT_TYPE)
                .and_then(|v| v.to_str().ok())
                .is_some_and(|v| v.starts_with("application/apply-patch"));
            if apply { Verb::Apply } else { Verb::Patch }
        }
        _ if query
            .split('&')
            .any(|p| matches!(p, "watch=true" | "watch=1")) =>
        {
            Verb::Watch
        }
        _ if named => Verb::Get,
        _ => Verb::List,
    }
}

fn name_in(body: &[u8]) -> Option<String> {
    let object: serde_json::Value = serde_json::from_slice(body).ok()?;
    let metadata = object.get("metadata")?;
    let name = metadata
        .get("name")
        .or_else(|| metadata.get("generateName"))?;
    Some(name.as_str()?.to_owned())
}

/// Gives calls their names. One per workload: revision hashes are numbered in order of appearance,
/// equal calls in order of their being made.
#[derive(Debug, Default)]
pub struct Names {
    hashes: Vec<String>,
    counts: BTreeMap<String, u32>,
}

impl Names {
    /// The name of a call: verb, kind, normalised name, subresource, ordinal among equal ones.
    pub fn point(&mut self, call: &Call) -> String {
        let unnumbered = self.unnumbered(call);
        let count = self.counts.entry(unnumbered.clone()).or_insert(0);
        *count = count.saturating_add(1);
        format!("{unnumbered} #{count}")
    }

    /// Starts the ordinals anew; the revisions keep their numbers.
    pub fn restart(&mut self) {
        self.counts.clear();
    }

    /// The revision hashes seen so far, oldest first.
    #[must_use]
    pub fn hashes(&self) -> &[String] {
        &self.hashes
    }

    fn unnumbered(&mut self, call: &Call) -> String {
        let mut out = format!("{} {}", call.verb, call.kind);
        match (&call.name, call.kind.as_str()) {
            // Events have names of their own making; what they are about is in the body.
            (Some(_), "events") => out.push_str("/*"),
            (Some(name), _) => {
                out.push('/');
                out.push_str(&self.normal(name));
            }
            (None, _) => {}
        }
        if let Some(subresource) = &call.subresource {
            out.push('/');
            out.push_str(subresource);
        }
        out
    }

    fn normal(&mut self, name: &str) -> String {
        let Some((stem, hash)) = revision_of(name) else {
            return name.to_owned();
        };
        let at = match self.hashes.iter().position(|h| h == hash) {
            Some(at) => at,
            None => {
                self.hashes.push(hash.to_owned());
                self.hashes.len().saturating_sub(1)
            }
        };
        format!("{stem}-H{}", at.saturating_add(1))
    }
}

/// Splits `<name>-<revision>`: a revision is 8 characters of base32 (`a-z2-7`).
#[must_use]
pub fn revision_of(name: &str) -> Option<(&str, &str)> {
    let (stem, hash) = name.rsplit_once('-')?;
    if hash == "operator" {
        return None; // `aimass-operator`, the Lease, happens to look like one
    }
    let is_hash = hash.len() == 8 && hash.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
    (is_hash && !stem.is_empty()).then_some((stem, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, uri: &str, content_type: &str, body: &str, expect: &str) {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(http::header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        let method = method.parse().unwrap();
        let call = Call::of(&method, &uri.parse().unwrap(), &headers, body.as_bytes());
        assert_eq!(Names::default().point(&call), expect);
    }

    #[test]
    fn calls_have_names() {
        let ssa = "application/apply-patch+yaml";
        let merge = "application/merge-patch+json";
        check(
            "PATCH",
            "/apis/apps/v1/namespaces/n/deployments/iris-7f3k2q5d?fieldManager=x",
            ssa,
            "",
            "apply deployments/iris-H1 #1",
        );
        check(
            "PATCH",
            "/apis/aimass.dev/v1alpha1/namespaces/n/modeldeployments/iris/status",
            merge,
            "",
            "patch modeldeployments/iris/status #1",
        );
        check(
            "POST",
            "/api/v1/namespaces/n/configmaps",
            "",
            r#"{"metadata":{"name":"a"}}"#,
            "create configmaps/a #1",
        );
        check(
            "POST",
            "/apis/events.k8s.io/v1/namespaces/n/events",
            "",
            r#"{"metadata":{"name":"iris.18f"}}"#,
            "create events/* #1",
        );
        check(
            "GET",
            "/api/v1/namespaces/n/pods?watch=true&a=b",
            "",
            "",
            "watch pods #1",
        );
        check("GET", "/api/v1/pods?limit=1", "", "", "list pods #1");
        check("GET", "/api/v1/namespaces/n", "", "", "get namespaces/n #1");
        check(
            "DELETE",
            "/api/v1/namespaces/n",
            "",
            "",
            "delete namespaces/n #1",
        );
        check("GET", "/readyz", "", "", "list  #1");
    }

    #[test]
    fn revisions_are_numbered_in_order_and_equal_calls_are_counted() {
        let mut names = Names::default();
        let call = |name: &str| Call {
            verb: Verb::Apply,
            kind: "services".to_owned(),
            namespace: None,
            name: Some(name.to_owned()),
            subresource: None,
            query: String::new(),
        };
        assert_eq!(names.point(&call("a-aaaaaaaa")), "apply services/a-H1 #1");
        assert_eq!(names.point(&call("a-bbbbbbbb")), "apply services/a-H2 #1");
        assert_eq!(names.point(&call("a-aaaaaaaa")), "apply services/a-H1 #2");
        names.restart();
        assert_eq!(names.point(&call("a-bbbbbbbb")), "apply services/a-H2 #1");
        assert_eq!(
            names.point(&call("aimass-operator")),
            "apply services/aimass-operator #1"
        );
    }
}
