//! Time for counts: integers that never go back.

use std::time::Instant;

/// Time as integers, from the first request on. It never goes back: who asks with an older time is answered for the newest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    start: Option<Instant>,
    newest: u128,
}

impl Clock {
    pub(crate) fn at(&mut self, now: Instant) -> u128 {
        let start = *self.start.get_or_insert(now);
        let elapsed = now.saturating_duration_since(start).as_nanos();
        self.newest = self.newest.max(elapsed);
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_never_goes_back() {
        let start = tokio::time::Instant::now().into_std();
        let mut clock = Clock::default();
        let at = |clock: &mut Clock, seconds| clock.at(start + Duration::from_secs(seconds));
        assert_eq!(at(&mut clock, 100), 0);
        assert_eq!(at(&mut clock, 103), 3_000_000_000);
        assert_eq!(at(&mut clock, 0), 3_000_000_000);
        assert_eq!(at(&mut clock, 104), 4_000_000_000);
    }
}
