//! Amounts of resources: read, compared, and written the one way in which the API server keeps
//! them.
//!
//! Pure. Called by `aimass_plan` (reading and comparing) and by the gateway (sizes of bodies). The
//! canonical form is that of Kubernetes: no fraction, the largest suffix that divides evenly, binary below 1024 decimal.
//! Source: apimachinery `pkg/api/resource/quantity.go`, `CanonicalizeBytes`.

use std::cmp::Ordering;

/// An amount; 1 = 1,000,000,000 of the smallest unit.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    nano: i128,
    binary: bool,
}

/// 10⁹: the schema allows nine decimals.
const ONE: i128 = 1_000_000_000;
/// Decimal suffixes with their value in nano, the largest first.
const DECIMAL: [(&str, i128); 6] = [
    ("T", 1_000_000_000_000 * ONE),
    ("G", 1_000_000_000 * ONE),
    ("M", 1_000_000 * ONE),
    ("k", 1_000 * ONE),
    ("", ONE),
    ("m", ONE / 1_000),
];
/// Binary suffixes with their value in nano, the largest first.
const BINARY: [(&str, i128); 4] = [
    ("Ti", ONE << 40),
    ("Gi", ONE << 30),
    ("Mi", ONE << 20),
    ("Ki", ONE << 10),
];

impl Amount {
    /// Reads an amount: up to 15 digits, up to nine decimals, a suffix. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let split = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at_checked(split)?;
        let (whole, decimals) = match number.split_once('.') {
            Some((whole, decimals)) if !decimals.is_empty() => (whole, decimals),
            Some(_) => return None,
            None => (number, ""),
        };
        if whole.is_empty() || whole.len() > 15 || decimals.len() > 9 {
            return None;
        }
        let whole: i128 = whole.parse().ok()?;
        let decimals: i128 = format!("{decimals:0<9}").parse().ok()?;
        let mut table = DECIMAL.iter().chain(&BINARY);
        let (_, unit) = table.find(|(name, _)| *name == suffix)?;
        let binary = suffix.ends_with('i');
        // at most 10¹⁵ × 2⁴⁰ × 10⁹ ≈ 1.1 × 10³⁶: far below i128's end
        let nano = whole
            .checked_mul(*unit)?
            .checked_add(decimals.checked_mul(*unit)? / ONE)?;
        Some(Self { nano, binary })
    }

    /// The number of whole units, rounded down: CPUs.
    #[must_use]
    pub fn floor(self) -> i64 {
        i64::try_from(self.nano / ONE).unwrap_or(i64::MAX)
    }

    /// The number of whole units, rounded up: bytes.
    #[must_use]
    pub fn ceil(self) -> u64 {
        u64::try_from(self.whole()).unwrap_or(u64::MAX)
    }

    /// A multiple.
    #[must_use]
    pub fn times(self, factor: i32) -> Self {
        Self {
            nano: self.nano.saturating_mul(i128::from(factor)),
            ..self
        }
    }

    /// The canonical text; never finer than a thousandth, rounded up.
    #[must_use]
    pub fn canonical(self) -> String {
        if self.binary && self.nano >= 1024 * ONE {
            let whole = self.whole();
            let found = BINARY.iter().find(|(_, unit)| whole % (unit / ONE) == 0);
            return match found {
                Some((suffix, unit)) => format!("{}{suffix}", whole / (unit / ONE)),
                None => whole.to_string(),
            };
        }
        let milli = self.nano / (ONE / 1_000) + i128::from(self.nano % (ONE / 1_000) > 0);
        if milli == 0 {
            return "0".to_owned();
        }
        let (suffix, unit) = DECIMAL
            .iter()
            .map(|(suffix, unit)| (suffix, unit / (ONE / 1_000)))
            .find(|(_, unit)| milli % unit == 0)
            .unwrap_or((&"m", 1));
        format!("{}{suffix}", milli / unit)
    }
}

impl Amount {
    fn whole(self) -> i128 {
        self.nano / ONE + i128::from(self.nano % ONE > 0)
    }
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.nano.cmp(&other.nano))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let canonical = Amount::parse(text).unwrap().canonical();
        assert_eq!(canonical, expect, "{text}");
        assert_eq!(
            Amount::parse(&canonical).unwrap().canonical(),
            canonical,
            "canonical twice"
        );
    }

    #[test]
    fn amounts_are_written_as_the_api_server_keeps_them() {
        check("0", "0");
        check("250m", "250m");
        check("1000m", "1");
        check("0.5", "500m");
        check("1.25", "1250m");
        check("2", "2");
        check("2000", "2k");
        check("1500", "1500");
        check("0.0001", "1m");
        check("512Mi", "512Mi");
        check("1024Mi", "1Gi");
        check("1536Mi", "1536Mi");
        check("1.5Gi", "1536Mi");
        check("0.5Ki", "512");
        check("1Ki", "1Ki");
        check("1025Ki", "1025Ki");
        check("1G", "1G");
        check("1000M", "1G");
        check("999999999999999Ti", "999999999999999Ti");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for bad in [
            "",
            "m",
            "-1",
            "1.",
            ".5",
            "1e3",
            "1 Gi",
            "1gi",
            "1Ei",
            "1.2.3",
            "1234567890123456",
            "0.1234567890",
        ] {
            assert!(Amount::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn amounts_compare_across_suffixes() {
        let amount = |text: &str| Amount::parse(text).unwrap();
        assert!(amount("1000Mi") < amount("1Gi"));
        assert!(amount("1") > amount("999m"));
        assert_eq!(amount("1.5").floor(), 1);
        assert_eq!(amount("1.5").ceil(), 2);
        assert_eq!(amount("16Mi").ceil(), 16 << 20);
        assert_eq!(amount("999999999999999Ti").ceil(), u64::MAX);
    }
}
