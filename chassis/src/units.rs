//! Values of flags with their unit: durations such as `250ms`, sizes such as `64Mi`. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// A value of a flag that cannot be understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Invalid {
    /// Not a duration.
    #[error("must be a duration such as 250ms, 30s, 10m or 24h, is {0:?}")]
    Duration(String),
    /// Not a size.
    #[error("must be a size such as 512, 64Ki, 16Mi or 10Gi, is {0:?}")]
    Bytes(String),
}

/// Parses `250ms`, `30s`, `10m`, `24h`: a whole number and one unit.
///
/// # Errors
/// Any other text, or a value beyond 2^64 ms.
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    let invalid = || Invalid::Duration(text.to_owned());
    let (number, unit) = split(text).ok_or_else(invalid)?;
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(invalid()),
    };
    number
        .checked_mul(millis_each)
        .map(Duration::from_millis)
        .ok_or_else(invalid)
}

/// Parses `512`, `64Ki`, `16Mi`, `10Gi`, `1Ti` into bytes.
///
/// # Errors
/// Any other text, or a value beyond 2^64 bytes.
pub fn bytes(text: &str) -> Result<u64, Invalid> {
    let invalid = || Invalid::Bytes(text.to_owned());
    let (number, unit) = split(text).ok_or_else(invalid)?;
    let factor: u64 = match unit {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return Err(invalid()),
    };
    number.checked_mul(factor).ok_or_else(invalid)
}

/// A duration as a flag's type: clap parses it and tells the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagDuration(pub Duration);

impl FromStr for FlagDuration {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        duration(text).map(Self)
    }
}

/// A size in bytes as a flag's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagBytes(pub u64);

impl FromStr for FlagBytes {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        bytes(text).map(Self)
    }
}

impl fmt::Display for FlagDuration {
    /// The shortest text that parses to the same value: `90s`, `2m`, `250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let unit = units
            .iter()
            .find(|(each, _)| millis > 0 && millis.is_multiple_of(*each));
        let (each, name) = unit.copied().unwrap_or((1, "ms"));
        write!(f, "{}{name}", millis / each)
    }
}

impl fmt::Display for FlagBytes {
    /// The shortest text that parses to the same value: `512`, `16Mi`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (1_u64 << 40, "Ti"),
            (1 << 30, "Gi"),
            (1 << 20, "Mi"),
            (1 << 10, "Ki"),
        ];
        let unit = units
            .iter()
            .find(|(each, _)| self.0 > 0 && self.0.is_multiple_of(*each));
        let (each, name) = unit.copied().unwrap_or((1, ""));
        write!(f, "{}{name}", self.0 / each)
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_carries_its_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(bytes("16Mi"), Ok(16 << 20));
    }

    #[test]
    fn a_value_is_shown_as_it_is_written() {
        for text in ["250ms", "90s", "10m", "24h", "0ms", "1500ms"] {
            assert_eq!(text.parse::<FlagDuration>().unwrap().to_string(), text);
        }
        for text in ["0", "512", "1025", "64Ki", "16Mi", "10Gi", "1Ti"] {
            assert_eq!(text.parse::<FlagBytes>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_name_the_rule() {
        for text in ["", "s", "1", "1.5s", "-1s", "1d", "99999999999999999999h"] {
            assert_eq!(duration(text), Err(Invalid::Duration(text.to_owned())));
        }
        for text in ["", "Mi", "1M", "1.5Gi", "-1", "99999999999999Ti"] {
            assert_eq!(bytes(text), Err(Invalid::Bytes(text.to_owned())));
        }
    }
}
