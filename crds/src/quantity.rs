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
/// Suffixes that our schema does not take, with their value in nano.
const FURTHER: [(&str, i128); 6] = [
    ("E", 1_000_000_000_000_000_000 * ONE),
    ("P", 1_000_000_000_000_000 * ONE),
    ("Ei", ONE << 60),
    ("Pi", ONE << 50),
    ("u", ONE / 1_000_000),
    ("n", 1),
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

    /// Reads what the API server has written in an object that is not ours: of any size, with every
    /// suffix and with exponents. `None` for what is negative, finer than a billionth, or too large.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if let Some(amount) = Self::parse(text) {
            return Some(amount);
        }
        let split = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at_checked(split)?;
        let mut table = DECIMAL.iter().chain(&BINARY).chain(&FURTHER);
        let unit = match table.find(|(name, _)| *name == suffix) {
            Some((_, unit)) => *unit,
            None => power(suffix)?,
        };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let places = u32::try_from(decimals.len()).ok()?;
        let digits: i128 = format!("{whole}{decimals}").parse().ok()?;
        let nano = digits.checked_mul(unit)? / 10_i128.checked_pow(places)?;
        let binary = suffix.ends_with('i');
        Some(Self { nano, binary })
    }

    /// The sum; what cannot be counted any more is the most that can.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            nano: self.nano.saturating_add(other.nano),
            ..self
        }
    }

    /// What is left without `other`; nothing if that is more.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            nano: self.nano.saturating_sub(other.nano).max(0),
            ..self
        }
    }

    /// The larger of two.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        if other > self { other } else { self }
    }

    /// How often `each` fits into it; `None`: of nothing there is room for any number.
    #[must_use]
    pub fn holds(self, each: Self) -> Option<i32> {
        let times = self.nano.checked_div(each.nano)?;
        Some(i32::try_from(times).unwrap_or(i32::MAX))
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.nano == 0
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

/// What `e3` or `E3` stands for, in nano.
fn power(suffix: &str) -> Option<i128> {
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let exponent: i32 = exponent.parse().ok()?;
    // nine places make it nano
    let places = u32::try_from(exponent.checked_add(9)?).ok()?;
    10_i128.checked_pow(places)
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
    fn what_the_api_server_writes_elsewhere_is_read() {
        let check = |text: &str, expect: &str| {
            let expect = Amount::parse(expect).unwrap();
            assert_eq!(Amount::read(text), Some(expect), "{text}");
        };
        check("20", "20");
        check("1500m", "1.5");
        check("12e6", "12M");
        check("12E6", "12M");
        check("1e-3", "1m");
        check("2.5e3", "2500");
        check("3P", "3000T");
        check("1E", "1000000T");
        check("1Pi", "1024Ti");
        check("1.5Ei", "1572864Ti");
        check("100u", "0.0001");
        check("5n", "0.000000005");
        check("1234567890123456", "1234567890.123456M");
        for bad in [
            "",
            "-1",
            "1e",
            "1e99",
            "1e-12",
            "x",
            "9".repeat(40).as_str(),
        ] {
            assert_eq!(Amount::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn amounts_are_added_and_fit_into_each_other() {
        let amount = |text: &str| Amount::parse(text).unwrap();
        assert_eq!(amount("250m").plus(amount("10m")), amount("260m"));
        assert_eq!(amount("20").minus(amount("19750m")).canonical(), "250m");
        assert!(amount("1").minus(amount("2")).is_zero());
        assert_eq!(amount("1").or_more(amount("1500m")), amount("1.5"));
        assert_eq!(amount("1").holds(amount("300m")), Some(3));
        assert_eq!(amount("1Gi").holds(amount("512Mi")), Some(2));
        assert_eq!(amount("0").holds(amount("1")), Some(0));
        assert_eq!(amount("1").holds(amount("0")), None);
        assert_eq!(
            amount("999999999999999Ti").holds(amount("1m")),
            Some(i32::MAX)
        );
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
