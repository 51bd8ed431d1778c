//! How long a model takes to wake, lately: what callers are told who could not wait for it.
//!
//! Pure. Kept in `live` under a lock, written and read by `phase::wait`.

use std::collections::VecDeque;
use std::time::Duration;

/// Cold starts that are remembered.
const REMEMBERED: usize = 32;

/// The last cold starts of a model.
#[derive(Debug, Default)]
pub struct ColdStarts(VecDeque<Duration>);

impl ColdStarts {
    /// One more took so long, from the first that waited to the first pod.
    pub fn add(&mut self, took: Duration) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    /// The time within which nine of ten were over; zero while none is known.
    #[must_use]
    pub fn most(&self) -> Duration {
        let mut sorted: Vec<Duration> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let place = (sorted.len() * 9).div_ceil(10).saturating_sub(1);
        sorted.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(seconds: impl IntoIterator<Item = u64>) -> u64 {
        let mut starts = ColdStarts::default();
        for seconds in seconds {
            starts.add(Duration::from_secs(seconds));
        }
        starts.most().as_secs()
    }

    #[test]
    fn nine_of_ten_were_over_by_then() {
        assert_eq!(most([]), 0);
        assert_eq!(most([7]), 7);
        assert_eq!(most([3, 9, 5]), 9);
        assert_eq!(most(1..=10), 9);
        assert_eq!(most((1..=20).rev()), 18);
    }

    #[test]
    fn old_ones_are_forgotten() {
        assert_eq!(most((0..1000).map(|number| 1000 - number)), 29);
    }
}
