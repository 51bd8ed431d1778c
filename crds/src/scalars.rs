//! Values that carry a unit, as users write them, with the one schema that each has everywhere.
//!
//! Pure. A value is kept as written; `aimass_plan::model::valid` turns it into a number. The
//! schema bounds its form, CEL rules at the fields bound its value.

use std::time::Duration as StdDuration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::quantity::Amount;

/// The schema of a text: at most so many characters, of this form.
macro_rules! text {
    ($kind:ident, $most:literal, $pattern:literal) => {
        impl JsonSchema for $kind {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($kind).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "maxLength": $most,
                    "pattern": $pattern,
                })
            }
        }
    };
}

/// A length of time with its unit: `250ms`, `30s`, `10m`, `24h`. One number, one unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub String);

impl Duration {
    /// The length; `None` if the text has not the form that the schema asks for.
    #[must_use]
    pub fn get(&self) -> Option<StdDuration> {
        let split = self.0.find(|c: char| !c.is_ascii_digit())?;
        let (digits, unit) = self.0.split_at_checked(split)?;
        if digits.len() > 6 {
            return None;
        }
        let number: u64 = digits.parse().ok()?;
        match unit {
            "ms" => Some(StdDuration::from_millis(number)),
            "s" => Some(StdDuration::from_secs(number)),
            "m" => Some(StdDuration::from_secs(number * 60)),
            "h" => Some(StdDuration::from_secs(number * 3600)),
            _ => None,
        }
    }
}

text!(Duration, 8, r"^(0|[1-9][0-9]{0,5})(ms|s|m|h)$");

/// An amount with an optional suffix, as in a container's resources: `500m`, `2`, `512Mi`.
///
/// Own type, because the one of Kubernetes has no bound. Numbers are read as their text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IntOrText::deserialize(deserializer).map(|value| Self(value.into_text()))
    }
}

impl Quantity {
    /// The amount; `None` if the text has not the form that the schema asks for.
    #[must_use]
    pub fn get(&self) -> Option<Amount> {
        Amount::parse(&self.0)
    }
}

/// Schema of a [`Quantity`]; used by `schema_with`, so that an `Option` of it stays one schema.
pub fn quantity(_: &mut SchemaGenerator) -> Schema {
    quantity_schema()
}

/// Schema of a map of resources to quantities, as in a container: at most 8.
pub fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": quantity_schema(),
    })
}

fn quantity_schema() -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 20,
        "minimum": 0,
        "maximum": 999_999_999_999_999_i64,
        "pattern": r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$",
    })
}

/// A number of pods, or a percentage of the pods wanted: `2`, `25%`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CountOrPercent(pub String);

impl<'de> Deserialize<'de> for CountOrPercent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IntOrText::deserialize(deserializer).map(|value| Self(value.into_text()))
    }
}

/// Schema of a [`CountOrPercent`].
pub fn count_or_percent(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 4,
        "minimum": 0,
        "maximum": 1000,
        "pattern": "^(100|[1-9]?[0-9])%$",
    })
}

/// A share in percent: `1%`, `0.5%`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(pub String);

impl Percent {
    /// Hundredths of a percent, at most 10000; `None` if the text has not the form that the schema asks
    /// for.
    #[must_use]
    pub fn hundredths(&self) -> Option<u32> {
        hundredths(&self.0).filter(|hundredths| *hundredths <= 10_000)
    }
}

text!(Percent, 7, r"^(100|[0-9]{1,2}(\.[0-9]{1,2})?)%$");

/// How much more, in percent of what it is compared with: `20%`, up to `9999%`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Increase(pub String);

impl Increase {
    /// Hundredths of a percent, at most 999999; `None` if the text has not the form that the schema asks
    /// for.
    #[must_use]
    pub fn hundredths(&self) -> Option<u32> {
        hundredths(&self.0)
    }
}

text!(Increase, 8, r"^(0|[1-9][0-9]{0,3})(\.[0-9]{1,2})?%$");

/// `12.5%` as 1250: at most four digits before the point and two behind it.
fn hundredths(text: &str) -> Option<u32> {
    let text = text.strip_suffix('%')?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(whole, 4) || !digits(part, 2) {
        return None;
    }
    let scale = if part.len() == 1 { 10 } else { 1 };
    Some(whole.parse::<u32>().ok()? * 100 + part.parse::<u32>().ok()? * scale)
}

/// Takes a type's own description out of its schema: the field's would be lost to it, and that one
/// also says what is the default.
pub fn without_description(schema: &mut Schema) {
    schema.remove("description");
}

/// Schema of labels: at most 16, values of at most 63 characters.
pub fn label_map(_: &mut SchemaGenerator) -> Schema {
    text_map(63)
}

/// Schema of annotations: at most 16, values of at most 1024 characters.
pub fn annotation_map(_: &mut SchemaGenerator) -> Schema {
    text_map(1024)
}

fn text_map(value_length: u32) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": value_length},
    })
}

/// What an int-or-string field holds.
#[derive(Deserialize)]
#[serde(untagged)]
enum IntOrText {
    Int(i64),
    Text(String),
}

impl IntOrText {
    fn into_text(self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<StdDuration>) {
        assert_eq!(Duration(text.to_owned()).get(), expect, "{text}");
    }

    #[test]
    fn a_duration_is_one_number_and_one_unit() {
        check("0s", Some(StdDuration::ZERO));
        check("250ms", Some(StdDuration::from_millis(250)));
        check("10m", Some(StdDuration::from_secs(600)));
        check("24h", Some(StdDuration::from_secs(86_400)));
        for bad in [
            "", "s", "10", "-1s", "1.5s", "1m30s", "1d", "9999999s", "10 s", "١s",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_percentage_is_exact_to_a_hundredth() {
        let percent = |text: &str| Percent(text.to_owned()).hundredths();
        assert_eq!(percent("1%"), Some(100));
        assert_eq!(percent("0.5%"), Some(50));
        assert_eq!(percent("12.34%"), Some(1234));
        assert_eq!(percent("100%"), Some(10_000));
        assert_eq!(percent("101%"), None);
        let increase = |text: &str| Increase(text.to_owned()).hundredths();
        assert_eq!(increase("9999%"), Some(999_900));
        for bad in ["", "%", "1", ".5%", "1.%", "1.234%", "-1%", "10000%", "١%"] {
            assert_eq!(increase(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_quantity_may_be_written_as_a_number() {
        assert_eq!(
            serde_json::from_str::<Quantity>("2").unwrap(),
            Quantity("2".to_owned())
        );
        assert_eq!(
            serde_json::from_str::<Quantity>("\"2Gi\"").unwrap(),
            Quantity("2Gi".to_owned())
        );
        assert!(serde_json::from_str::<Quantity>("2.5").is_err());
    }
}
