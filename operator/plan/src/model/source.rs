//! What the source of a model resolves to: its digest where the operator can know it, and the files
//! of a ConfigMap.
//!
//! Pure. Called by the planner after `valid`. Whether something exists is a condition and no
//! rejection, so that objects may be applied in any order.

use std::collections::BTreeMap;

use aimass_crds::reason::Reason;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::canonical::hex;
use super::observed::Reference;
use super::outlook::Accepted;
use super::valid::{Source, Valid};

/// The files of a ConfigMap, by name.
pub(crate) type Files = BTreeMap<String, ByteString>;

/// What the source of a model resolves to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resolved {
    /// It is there.
    Found(Content),
    /// A ConfigMap that has not the digest that the spec asks for: the content that is asked for
    /// (an older revision may have it), and what is wrong, then what to do.
    Mismatch(Content, String),
    /// Something is missing.
    Unresolved(Accepted),
}

/// What is known of the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    /// `sha256:…`, where known.
    pub(crate) digest: Option<String>,
    /// Those of a ConfigMap.
    pub(crate) files: Option<Files>,
}

/// Looks up what `valid` refers to in what was observed.
pub(crate) fn resolve(valid: &Valid, reference: &Reference) -> Resolved {
    match &valid.source {
        Source::ConfigMap { name, key, digest } => {
            config_map(name, key.as_deref(), digest.as_deref(), reference)
        }
        Source::Pvc { claim, digest, .. } => match reference {
            Reference::Claim => found(digest.clone()),
            Reference::Forbidden(said) => Resolved::Unresolved(Accepted::Forbidden(said.clone())),
            Reference::NotNeeded | Reference::ConfigMap(_) | Reference::Absent => missing(
                Reason::ClaimNotFound,
                format!(
                    "PersistentVolumeClaim {claim} does not exist: create it or correct spec.model.source.pvc.claimName"
                ),
            ),
        },
        Source::Http { digest, .. } => found(Some(digest.clone())),
    }
}

/// The source for people, at most 256 characters.
pub(crate) fn describe(source: &Source) -> String {
    let text = match source {
        Source::ConfigMap {
            name, key: None, ..
        } => format!("configMap {name}"),
        Source::ConfigMap {
            name,
            key: Some(key),
            ..
        } => format!("configMap {name}/{key}"),
        Source::Pvc { claim, path, .. } => format!("pvc {claim}/{path}"),
        // a query may hold a secret
        Source::Http { url, .. } => format!("http {}", url.split('?').next().unwrap_or_default()),
    };
    if text.chars().count() <= 256 {
        return text;
    }
    let skipped = text.chars().count() - 255;
    format!("…{}", text.chars().skip(skipped).collect::<String>())
}

/// The source as it enters a revision's identity.
pub(crate) fn identity(source: &Source, content: &Content) -> Value {
    match source {
        Source::ConfigMap { name, key, .. } => {
            json!({"configMap": {"name": name, "key": key, "digest": content.digest}})
        }
        Source::Pvc {
            claim,
            path,
            digest,
            max_size,
        } => {
            json!({"pvc": {"claimName": claim, "path": path, "digest": digest, "maxSize": max_size}})
        }
        Source::Http {
            url,
            digest,
            secret,
            max_size,
        } => {
            json!({"http": {"url": url, "digest": digest, "secretName": secret, "maxSize": max_size}})
        }
    }
}

fn found(digest: Option<String>) -> Resolved {
    Resolved::Found(Content {
        digest,
        files: None,
    })
}

fn missing(reason: Reason, message: String) -> Resolved {
    Resolved::Unresolved(Accepted::Missing { reason, message })
}

fn config_map(
    name: &str,
    key: Option<&str>,
    wanted: Option<&str>,
    reference: &Reference,
) -> Resolved {
    let absent = |message: String| missing(Reason::ConfigMapNotFound, message);
    let files = match reference {
        Reference::ConfigMap(files) => files,
        Reference::Forbidden(said) => {
            return Resolved::Unresolved(Accepted::Forbidden(said.clone()));
        }
        Reference::NotNeeded | Reference::Claim | Reference::Absent => {
            return absent(format!(
                "ConfigMap {name} does not exist: create it or correct spec.model.source.configMap.name"
            ));
        }
    };
    let files: Files = match key {
        Some(key) => match files.get(key) {
            Some(file) => BTreeMap::from([(key.to_owned(), file.clone())]),
            None => {
                return absent(format!(
                    "ConfigMap {name} has no key {key}: add it or correct spec.model.source.configMap.key (it has: {})",
                    few(files)
                ));
            }
        },
        None if files.is_empty() => {
            return absent(format!(
                "ConfigMap {name} is empty: add the model's file, e.g. kubectl create configmap {name} --from-file=model.onnx"
            ));
        }
        None => files.clone(),
    };
    let digest = digest(&files);
    match wanted {
        Some(wanted) if wanted != digest && wanted != of_folder(&files) => Resolved::Mismatch(
            Content {
                digest: Some(wanted.to_owned()),
                files: None,
            },
            format!(
                "ConfigMap {name} is {digest}, spec says {wanted}: correct spec.model.source.configMap.digest or the file"
            ),
        ),
        _ => Resolved::Found(Content {
            digest: Some(digest),
            files: Some(files),
        }),
    }
}

/// Of one file its own, of several that of the folder. The server takes either for one file.
fn digest(files: &Files) -> String {
    let mut all = files.values();
    match (all.next(), all.next()) {
        (Some(only), None) => format!("sha256:{}", sha256(&only.0)),
        _ => of_folder(files),
    }
}

/// Over the lines `<hex>  <name>\n` in order of names.
fn of_folder(files: &Files) -> String {
    let lines: String = files
        .iter()
        .map(|(name, file)| format!("{}  {name}\n", sha256(&file.0)))
        .collect();
    format!("sha256:{}", sha256(lines.as_bytes()))
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn few(files: &Files) -> String {
    let names: Vec<&str> = files.keys().take(5).map(String::as_str).collect();
    let more = if files.len() > names.len() {
        ", …"
    } else {
        ""
    };
    if names.is_empty() {
        "none".to_owned()
    } else {
        format!("{}{more}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "sha256:9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c";

    fn reference(names: &[&str]) -> Reference {
        let file = |name: &&str| ((*name).to_owned(), ByteString(b"weights".to_vec()));
        Reference::ConfigMap(names.iter().map(file).collect())
    }

    #[track_caller]
    fn check(key: Option<&str>, digest: Option<&str>, names: &[&str], expect: Result<&str, &str>) {
        let resolved = config_map("iris", key, digest, &reference(names));
        match (resolved, expect) {
            (Resolved::Found(content), Ok(digest)) => {
                assert_eq!(content.digest.as_deref(), Some(digest));
                assert!(content.files.is_some());
            }
            (Resolved::Mismatch(_, message), Err(part)) => {
                assert!(message.contains(part), "{message}")
            }
            (Resolved::Unresolved(Accepted::Missing { message, .. }), Err(part)) => {
                assert!(message.contains(part), "{message}");
            }
            (resolved, expect) => panic!("{resolved:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn one_file_has_its_own_digest_and_several_that_of_their_folder() {
        check(None, None, &["model.onnx"], Ok(FILE));
        check(Some("b.onnx"), None, &["a.onnx", "b.onnx"], Ok(FILE));
        check(None, Some(FILE), &["model.onnx"], Ok(FILE));
        let Reference::ConfigMap(files) = reference(&["model.onnx"]) else {
            panic!()
        };
        check(None, Some(&of_folder(&files)), &["model.onnx"], Ok(FILE));
        let Reference::ConfigMap(files) = reference(&["a.onnx", "b.bin"]) else {
            panic!()
        };
        check(None, None, &["a.onnx", "b.bin"], Ok(&of_folder(&files)));
    }

    #[test]
    fn what_is_missing_or_another_is_named() {
        check(None, None, &[], Err("is empty"));
        check(Some("b"), None, &["a"], Err("has no key b"));
        check(None, Some("sha256:00"), &["a"], Err("spec says sha256:00"));
        check(
            Some("b"),
            Some("sha256:00"),
            &["a", "b"],
            Err("correct spec.model.source.configMap.digest"),
        );
    }

    #[test]
    fn a_description_is_short_and_without_a_query() {
        let url = format!("https://example.com/{}.onnx?token=secret", "x".repeat(400));
        let source = Source::Http {
            url,
            digest: String::new(),
            secret: None,
            max_size: String::new(),
        };
        let text = describe(&source);
        assert_eq!(text.chars().count(), 256);
        assert!(text.ends_with("x.onnx"));
    }
}
