//! At most so many lines a second and level: a flood must not fill a disk nor slow what it reports.
//! Pure; the time is an argument. Called by `logs` for each line.

use std::time::Duration;

use tracing::Level;

/// Lines that each level may write in a window.
pub(super) const LINES: u32 = 100;
/// The length of a window.
const WINDOW: Duration = Duration::from_secs(1);
/// Every level, in the order of `index`.
const LEVELS: [Level; 5] = [
    Level::ERROR,
    Level::WARN,
    Level::INFO,
    Level::DEBUG,
    Level::TRACE,
];

/// What was written lately, by level.
#[derive(Debug, Default)]
pub(super) struct Cap([Window; 5]);

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: Duration,
    written: u32,
    suppressed: u64,
}

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admission {
    /// How many lines of which level were left out before; to be said first, once.
    pub(super) suppressed: Vec<(Level, u64)>,
    /// Whether to write the line.
    pub(super) write: bool,
}

impl Cap {
    /// Judges a line of `level`. `now` counts from any fixed point and does not go back.
    pub(super) fn admit(&mut self, level: Level, now: Duration) -> Admission {
        let mut suppressed = Vec::new();
        for (window, level) in self.0.iter_mut().zip(LEVELS) {
            if now.saturating_sub(window.began) >= WINDOW {
                if window.suppressed > 0 {
                    suppressed.push((level, window.suppressed));
                }
                *window = Window {
                    began: now,
                    ..Window::default()
                };
            }
        }
        let wanted = self
            .0
            .iter_mut()
            .zip(LEVELS)
            .find(|(_, other)| *other == level);
        let write = wanted.is_none_or(|(window, _)| window.take());
        Admission { suppressed, write }
    }
}

impl Window {
    fn take(&mut self) -> bool {
        let free = self.written < LINES;
        if free {
            self.written += 1;
        } else {
            self.suppressed = self.suppressed.saturating_add(1);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(1_000_000 + millis)
    }

    fn written(cap: &mut Cap, level: Level, lines: usize, now: Duration) -> usize {
        (0..lines).filter(|_| cap.admit(level, now).write).count()
    }

    #[test]
    fn a_level_writes_a_hundred_lines_a_second() {
        let mut cap = Cap::default();
        assert_eq!(written(&mut cap, Level::WARN, 250, at(0)), 100);
        assert_eq!(written(&mut cap, Level::WARN, 1, at(999)), 0);
        assert_eq!(written(&mut cap, Level::WARN, 250, at(1000)), 100);
    }

    #[test]
    fn a_level_takes_nothing_from_another() {
        let mut cap = Cap::default();
        assert_eq!(written(&mut cap, Level::DEBUG, 1000, at(0)), 100);
        assert_eq!(written(&mut cap, Level::ERROR, 100, at(1)), 100);
    }

    #[test]
    fn what_was_left_out_is_said_once_by_the_next_line_of_any_level() {
        let mut cap = Cap::default();
        written(&mut cap, Level::INFO, 130, at(0));
        assert_eq!(cap.admit(Level::WARN, at(500)).suppressed, []);
        assert_eq!(
            cap.admit(Level::WARN, at(1000)).suppressed,
            [(Level::INFO, 30)]
        );
        assert_eq!(cap.admit(Level::INFO, at(1001)).suppressed, []);
    }
}
