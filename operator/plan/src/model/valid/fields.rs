//! Single fields: forms of texts, ranges of numbers.
//!
//! Pure. Called by `valid`. Each function is one rule of the schema or of CEL.

use std::collections::BTreeMap;
use std::time::Duration;

use aimass_crds::model_deployment::Model;
use aimass_crds::quantity::Amount;
use aimass_crds::scalars::Duration as WireDuration;

use super::{Rejection, Source};
use crate::model::observed::Platform;

pub(super) fn integer(
    path: &'static str,
    value: i32,
    min: i32,
    max: i32,
) -> Result<i32, Rejection> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(Rejection::Integer {
            path,
            min,
            max,
            value,
        })
    }
}

/// A duration within `(min, max)`, or `default` where it is absent.
pub(super) fn duration(
    path: &'static str,
    wire: Option<&WireDuration>,
    default: Duration,
    (min, max): (&'static str, &'static str),
) -> Result<Duration, Rejection> {
    let Some(wire) = wire else { return Ok(default) };
    let bound = |text: &str| WireDuration(text.to_owned()).get();
    match wire.get() {
        Some(value) if bound(min) <= Some(value) && Some(value) <= bound(max) => Ok(value),
        _ => Err(Rejection::Range {
            path,
            min,
            max,
            value: wire.0.clone(),
        }),
    }
}

pub(super) fn served_name(text: &str) -> Result<String, Rejection> {
    let outer = |c: char| c.is_ascii_alphanumeric();
    let legal = text.len() <= 128
        && text.starts_with(outer)
        && text.ends_with(outer)
        && text.chars().all(|c| outer(c) || "._-".contains(c));
    checked(
        legal,
        text,
        "spec.servedName",
        "1 to 128 letters, digits, '.', '_' and '-', first and last a letter or digit",
    )
}

pub(super) fn restart_token(text: &str) -> Result<String, Rejection> {
    let legal = text.len() <= 63
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c));
    checked(
        legal,
        text,
        "spec.restartToken",
        "at most 63 letters, digits, '.', '_', ':' and '-'",
    )
}

/// The name of a revision.
pub(super) fn revision(path: &'static str, text: &str) -> Result<String, Rejection> {
    let inner = |b: u8| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b);
    let legal = text.len() == 8 && text.bytes().all(inner);
    checked(
        legal,
        text,
        path,
        "the eight characters (a-z, 2-7) of a revision",
    )
}

/// Labels or annotations without keys of ours.
pub(super) fn unreserved(
    path: &'static str,
    map: Option<&BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>, Rejection> {
    let ours =
        |key: &&String| key.starts_with("aimass.dev/") || key.starts_with("app.kubernetes.io/");
    match map.into_iter().flat_map(BTreeMap::keys).find(ours) {
        Some(key) => Err(Rejection::ReservedKey {
            path,
            key: key.clone(),
        }),
        None => Ok(map.cloned().unwrap_or_default()),
    }
}

pub(super) fn source(model: &Model, platform: &Platform) -> Result<Source, Rejection> {
    let source = &model.source;
    match (&source.config_map, &source.pvc, &source.http) {
        (Some(config_map), None, None) => {
            if model.max_size.is_some() {
                return Err(Rejection::MaxSizeOfConfigMap);
            }
            Ok(Source::ConfigMap {
                name: object_name("spec.model.source.configMap.name", &config_map.name)?,
                key: config_map.key.as_deref().map(key).transpose()?,
                digest: config_map
                    .digest
                    .as_deref()
                    .map(|d| digest("spec.model.source.configMap.digest", d))
                    .transpose()?,
            })
        }
        (None, Some(pvc), None) => Ok(Source::Pvc {
            claim: object_name("spec.model.source.pvc.claimName", &pvc.claim_name)?,
            path: path(&pvc.path)?,
            digest: pvc
                .digest
                .as_deref()
                .map(|d| digest("spec.model.source.pvc.digest", d))
                .transpose()?,
            max_size: max_size(model)?,
        }),
        (None, None, Some(http)) => Ok(Source::Http {
            url: url(&http.url, platform)?,
            digest: digest("spec.model.source.http.digest", &http.digest)?,
            secret: match &http.credentials {
                Some(credentials) => Some(object_name(
                    "spec.model.source.http.credentials.secretName",
                    &credentials.secret_name,
                )?),
                None => None,
            },
            max_size: max_size(model)?,
        }),
        (config_map, pvc, http) => {
            let set = [config_map.is_some(), pvc.is_some(), http.is_some()];
            Err(Rejection::Source {
                count: set.into_iter().filter(|set| *set).count(),
            })
        }
    }
}

fn max_size(model: &Model) -> Result<String, Rejection> {
    let text = model
        .max_size
        .as_ref()
        .map_or("10Gi", |size| size.0.as_str());
    let amount = quantity("spec.model.maxSize", text, ("1Mi", "500Gi"))?;
    Ok(amount.canonical())
}

/// A quantity within `(min, max)`.
pub(super) fn quantity(
    path: &'static str,
    text: &str,
    (min, max): (&'static str, &'static str),
) -> Result<Amount, Rejection> {
    let amount = Amount::parse(text);
    let within = Amount::parse(min) <= amount && amount <= Amount::parse(max);
    amount.filter(|_| within).ok_or_else(|| Rejection::Range {
        path,
        min,
        max,
        value: text.to_owned(),
    })
}

fn object_name(path: &'static str, text: &str) -> Result<String, Rejection> {
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let legal = text.len() <= 253
        && text.starts_with(outer)
        && text.ends_with(outer)
        && text.chars().all(|c| outer(c) || "-.".contains(c));
    checked(
        legal,
        text,
        path,
        "the name of an object (a-z, 0-9, '-', '.', at most 253)",
    )
}

fn key(text: &str) -> Result<String, Rejection> {
    let legal = (1..=253).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    checked(
        legal,
        text,
        "spec.model.source.configMap.key",
        "1 to 253 letters, digits, '-', '_' and '.'",
    )
}

fn digest(path: &'static str, text: &str) -> Result<String, Rejection> {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let legal = text
        .strip_prefix("sha256:")
        .is_some_and(|digits| digits.len() == 64 && digits.chars().all(hex));
    checked(
        legal,
        text,
        path,
        "sha256: and 64 hexadecimal digits in lower case",
    )
}

fn path(text: &str) -> Result<String, Rejection> {
    let legal = (1..=512).contains(&text.len())
        && !text.starts_with('/')
        && !text.chars().any(|c| c == '\\' || c.is_whitespace())
        && !text.split('/').any(|part| part == "..");
    checked(
        legal,
        text,
        "spec.model.source.pvc.path",
        "a relative path of at most 512 characters without '..', '\\' and white space",
    )
}

fn url(text: &str, platform: &Platform) -> Result<String, Rejection> {
    let plain = text.strip_prefix("http://");
    let rest = plain
        .or_else(|| text.strip_prefix("https://"))
        .unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let legal = text.len() <= 2048
        && !host.is_empty()
        && !host.chars().any(|c| "@?".contains(c))
        && !rest.chars().any(|c| c.is_whitespace() || c == '#');
    let text = checked(
        legal,
        text,
        "spec.model.source.http.url",
        "https://HOST[:PORT][/PATH] of at most 2048 characters, without user name and fragment",
    )?;
    if plain.is_some() && !platform.allow_http {
        return Err(Rejection::PlainHttp { url: text });
    }
    Ok(text)
}

fn checked(
    legal: bool,
    text: &str,
    path: &'static str,
    rule: &'static str,
) -> Result<String, Rejection> {
    if legal {
        Ok(text.to_owned())
    } else {
        Err(Rejection::Text {
            path,
            rule,
            value: text.to_owned(),
        })
    }
}
