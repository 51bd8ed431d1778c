//! The two units of scaling: milliseconds on the leader's clock, and thousandths of a request.
//!
//! Pure. Integers, so that no decision depends on how a processor rounds; they saturate, so that none
//! depends on what a sender makes up.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// A time on the monotonic clock of the operator that leads, in milliseconds. It means nothing to
/// another process, so it is never written to status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Tick(u64);

impl Tick {
    /// This many milliseconds after the clock's beginning, which is up to the caller.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the clock's beginning.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment at which a second of the clock begins.
    #[must_use]
    pub const fn of_second(second: u64) -> Self {
        Self(second.saturating_mul(1000))
    }

    /// The second of the clock that this moment lies in.
    #[must_use]
    pub const fn second(self) -> u64 {
        self.0 / 1000
    }

    /// The moment this much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(millis(wait)))
    }

    /// How long ago `earlier` was; nothing if it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The piece of the leader's time that a report counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Its beginning.
    pub from: Tick,
    /// Its end, not before its beginning.
    pub until: Tick,
    /// How long the gateway counted. Where that is longer than the piece, the beginning had been
    /// counted for already and is left out.
    pub counted: Duration,
}

/// Thousandths: of requests in flight, of requests a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Milli(pub u64);

impl Milli {
    /// So many whole ones.
    #[must_use]
    pub const fn whole(number: u64) -> Self {
        Self(number.saturating_mul(1000))
    }
}

/// Two decimals, cut off; none where it is a whole number.
impl fmt::Display for Milli {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000 / 10);
        if self.0.is_multiple_of(1000) {
            write!(formatter, "{whole}")
        } else {
            write!(formatter, "{whole}.{rest:02}")
        }
    }
}

/// Whole milliseconds of a duration.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whole seconds that cover a duration, at least one.
pub(super) fn seconds(duration: Duration) -> u64 {
    millis(duration).div_ceil(1000).max(1)
}

/// `value · part / whole`, rounded down, without overflow; `whole` of 0 counts as 1.
pub(super) fn share(value: u64, part: u64, whole: u64) -> u64 {
    let product = u128::from(value) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(product).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_print_as_a_person_reads_them() {
        let check = |milli, expect: &str| assert_eq!(Milli(milli).to_string(), expect);
        check(48_200, "48.20");
        check(7_000, "7");
        check(6_305, "6.30");
        check(0, "0");
        check(9, "0.00");
    }

    #[test]
    fn a_clock_that_goes_back_shows_no_time_passed() {
        let (early, late) = (Tick::from_millis(1_500), Tick::from_millis(4_000));
        assert_eq!(late.since(early), Duration::from_millis(2_500));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.after(Duration::MAX).as_millis(), u64::MAX);
    }

    #[test]
    fn shares_of_huge_numbers_saturate() {
        assert_eq!(share(u64::MAX, 1, 2), u64::MAX / 2);
        assert_eq!(share(u64::MAX, 3, 2), u64::MAX);
        assert_eq!(share(7, 1, 0), 7);
    }
}
