//! What a request's host says: a model and its project, where the platform has a domain for them.
//!
//! Pure. [`is_misdirected`] is called by `forward`, the rest by `route`.

use super::plain::is_label;

/// A model that a host names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// `metadata.name`: a host has no underscores.
    pub(super) name: String,
    /// `metadata.namespace`
    pub(super) project: String,
}

/// Two labels where names of objects should be, and they are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotALabel;

/// Reads `{name}.{ns}.{domain}`. A host of another form names nothing: it may be the gateway's own name.
pub(super) fn named_by_host(host: &str, domain: &str) -> Result<Option<Named>, NotALabel> {
    let host = bare(host).to_ascii_lowercase();
    let domain = bare(domain).to_ascii_lowercase();
    let labels = host
        .strip_suffix(&domain)
        .and_then(|host| host.strip_suffix('.'));
    let Some((name, project)) = labels.and_then(|labels| labels.split_once('.')) else {
        return Ok(None);
    };
    if project.contains('.') {
        return Ok(None);
    }
    if !is_label(name) || !is_label(project) {
        return Err(NotALabel);
    }
    Ok(Some(Named {
        name: name.to_owned(),
        project: project.to_owned(),
    }))
}

/// Whether a request came over a connection that was made for another host (`sni`, of its TLS handshake): it is answered
/// with 421, so that the client makes a connection of its own.
#[must_use]
pub fn is_misdirected(host: Option<&str>, sni: Option<&str>) -> bool {
    match (host, sni) {
        (Some(host), Some(sni)) => !bare(host).eq_ignore_ascii_case(bare(sni)),
        _ => false,
    }
}

/// Without port, and without the dot at the end that makes a name absolute.
fn bare(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn names(host: &str, expect: Option<(&str, &str)>) {
        let named = named_by_host(host, "models.example.com").unwrap();
        let named = named
            .as_ref()
            .map(|named| (named.name.as_str(), named.project.as_str()));
        assert_eq!(named, expect, "{host}");
    }

    #[test]
    fn two_labels_before_the_domain_are_a_model_and_its_project() {
        names("iris.shop.models.example.com", Some(("iris", "shop")));
        names("iris.shop.models.example.com:8443", Some(("iris", "shop")));
        names("Iris.Shop.Models.Example.COM.", Some(("iris", "shop")));
        names("iris.shop.models.example.com.:443", Some(("iris", "shop")));
    }

    #[test]
    fn any_other_host_names_nothing() {
        for host in [
            "models.example.com",
            "gateway.models.example.com",
            "a.b.c.models.example.com",
            "iris.shop.other.example.com",
            "iris.shopmodels.example.com",
            "iris.shop.models.example.com.evil.com",
            "localhost:8501",
            "10.0.0.1:80",
            "[::1]:8501",
            "",
        ] {
            names(host, None);
        }
    }

    #[test]
    fn labels_that_no_object_can_have_are_refused() {
        for host in [
            "my_model.shop.models.example.com",
            "-a.shop.models.example.com",
            ".shop.models.example.com",
            "iris..models.example.com",
        ] {
            let named = named_by_host(host, "models.example.com");
            assert_eq!(named, Err(NotALabel), "{host}");
        }
    }

    #[test]
    fn a_connection_serves_the_host_that_it_was_made_for() {
        assert!(!is_misdirected(
            Some("a.example.com:8443"),
            Some("A.example.com")
        ));
        assert!(is_misdirected(Some("b.example.com"), Some("a.example.com")));
        assert!(!is_misdirected(Some("b.example.com"), None));
        assert!(!is_misdirected(None, Some("a.example.com")));
    }
}
