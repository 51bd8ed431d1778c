//! How many tests passed: what libtest prints, read and written.
//!
//! Pure.

use std::ops::AddAssign;
use std::time::Duration;

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    pub(crate) filtered: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.ignored = self.ignored.saturating_add(other.ignored);
        self.filtered = self.filtered.saturating_add(other.filtered);
    }
}

impl Counts {
    /// Reads the line with which a test binary ends; `None` for any other line.
    pub(super) fn of_line(line: &str) -> Option<Self> {
        let line = line.strip_prefix("test result: ")?;
        let (_, counts) = line.split_once(". ")?;
        let number = |word: &str| {
            let mut parts = counts.split("; ").map(str::trim);
            parts.find_map(|part| part.strip_suffix(word)?.trim().parse().ok())
        };
        Some(Self {
            passed: number("passed")?,
            failed: number("failed")?,
            ignored: number("ignored")?,
            filtered: number("filtered out")?,
        })
    }

    /// The same line for a whole run.
    pub(crate) fn line(&self, is_good: bool, elapsed: Duration) -> String {
        let Self {
            passed,
            failed,
            ignored,
            filtered,
        } = self;
        let word = if is_good { "ok" } else { "FAILED" };
        let seconds = elapsed.as_secs_f64();
        format!(
            "\ntest result: {word}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; \
             {filtered} filtered out; finished in {seconds:.2}s"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_written_alike() {
        let line = "test result: FAILED. 7 passed; 1 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.13s";
        let counts = Counts::of_line(line).unwrap();
        assert_eq!(
            counts,
            Counts {
                passed: 7,
                failed: 1,
                ignored: 2,
                filtered: 3
            }
        );
        assert_eq!(counts.line(false, Duration::from_millis(130)).trim(), line);
        assert_eq!(Counts::of_line("test a ... ok"), None);
    }

    #[test]
    fn counts_add_up() {
        let mut all = Counts {
            passed: 1,
            failed: 2,
            ignored: 3,
            filtered: 4,
        };
        all += all;
        assert_eq!(
            all,
            Counts {
                passed: 2,
                failed: 4,
                ignored: 6,
                filtered: 8
            }
        );
    }
}
