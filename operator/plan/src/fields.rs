//! Single fields of APIKeys and UsagePlans: forms of texts, lengths of lists.
//!
//! Pure. Called by the `valid` of these kinds. Each function is one rule of the schema.

use std::collections::BTreeSet;

use crate::rejection::Rejection;

/// A DNS label: 1 to 63 of a-z, 0-9 and '-', not at its ends.
pub(crate) fn label(path: impl Into<String>, text: &str) -> Result<String, Rejection> {
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let legal = text.len() <= 63
        && text.starts_with(outer)
        && text.ends_with(outer)
        && text.chars().all(|c| outer(c) || c == '-');
    let rule = "at most 63 of a-z, 0-9 and '-', not at the ends";
    checked(legal, path, rule, text)
}

/// A text that keeps to `rule`, as `legal` says.
pub(crate) fn checked(
    legal: bool,
    path: impl Into<String>,
    rule: &'static str,
    text: &str,
) -> Result<String, Rejection> {
    if legal {
        Ok(text.to_owned())
    } else {
        Err(Rejection::Text {
            path: path.into(),
            rule,
            value: text.to_owned(),
        })
    }
}

/// A number between `min` and `max`.
pub(crate) fn integer(
    path: impl Into<String>,
    value: i64,
    (min, max): (i64, i64),
) -> Result<i64, Rejection> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(Rejection::Integer {
            path: path.into(),
            min,
            max,
            value,
        })
    }
}

/// A list of `min` to `max` items.
pub(crate) fn count(
    path: &'static str,
    count: usize,
    (min, max): (usize, usize),
) -> Result<(), Rejection> {
    if (min..=max).contains(&count) {
        Ok(())
    } else {
        Err(Rejection::Count {
            path,
            min,
            max,
            count,
        })
    }
}

/// A list whose items all have another `key`.
pub(crate) fn unique<'a>(
    path: &'static str,
    key: &'static str,
    values: impl IntoIterator<Item = &'a String>,
) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    match values.into_iter().find(|value| !seen.insert(*value)) {
        None => Ok(()),
        Some(value) => Err(Rejection::Twice {
            path,
            key,
            value: value.clone(),
        }),
    }
}
