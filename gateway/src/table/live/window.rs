//! Two counts over the last ten seconds.
//!
//! Pure. Used by `live` and `health` under their locks.

use std::time::Instant;

/// How long a count is remembered, to the second.
pub(super) const SECONDS: u64 = 10;

/// One count, and how many of it are marked, for each of the last ten seconds.
#[derive(Debug, Default)]
pub(super) struct Window {
    start: Option<Instant>,
    slots: [Slot; 10],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    all: u64,
    marked: u64,
}

impl Window {
    /// Counts `all` and `marked` at `now`.
    pub(super) fn add(&mut self, now: Instant, all: u64, marked: u64) {
        let second = self.second(now);
        let place = usize::try_from(second % SECONDS).unwrap_or(0);
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        if slot.second > second {
            // Of a request whose clock is older than the window.
            return;
        }
        if slot.second < second {
            *slot = Slot {
                second,
                ..Slot::default()
            };
        }
        slot.all += all;
        slot.marked += marked;
    }

    /// Both counts over the ten seconds before `now`.
    pub(super) fn sums(&mut self, now: Instant) -> (u64, u64) {
        let second = self.second(now);
        let counted = self
            .slots
            .iter()
            .filter(|slot| slot.second.saturating_add(SECONDS) > second);
        counted.fold((0, 0), |(all, marked), slot| {
            (all + slot.all, marked + slot.marked)
        })
    }

    /// Forgets all counts.
    pub(super) fn clear(&mut self) {
        self.slots = [Slot::default(); 10];
    }

    fn second(&mut self, now: Instant) -> u64 {
        let start = *self.start.get_or_insert(now);
        now.saturating_duration_since(start).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn ten_seconds_are_remembered() {
        let (mut window, start) = (Window::default(), start());
        let at = |seconds| start + Duration::from_secs(seconds);
        window.add(at(0), 1, 1);
        window.add(at(3), 2, 0);
        window.add(at(9), 4, 1);
        assert_eq!(window.sums(at(9)), (7, 2));
        assert_eq!(window.sums(at(10)), (6, 1));
        assert_eq!(window.sums(at(12)), (6, 1));
        assert_eq!(window.sums(at(13)), (4, 1));
        window.add(at(19), 8, 0);
        assert_eq!(window.sums(at(19)), (8, 0));
        window.clear();
        assert_eq!(window.sums(at(19)), (0, 0));
    }

    #[test]
    fn what_is_older_than_the_window_is_left_out() {
        let (mut window, start) = (Window::default(), start());
        window.add(start, 1, 0);
        window.add(start + Duration::from_secs(30), 1, 0);
        window.add(start + Duration::from_secs(10), 100, 0);
        assert_eq!(window.sums(start + Duration::from_secs(30)).0, 1);
    }

    proptest! {
        #[test]
        fn the_sums_are_those_of_a_list(
            steps in proptest::collection::vec((0_u64..4, 0_u64..5, 0_u64..5), 1..60),
        ) {
            let (mut window, start) = (Window::default(), start());
            let (mut second, mut list) = (0, Vec::new());
            for (step, all, marked) in steps {
                second += if list.is_empty() { 0 } else { step };
                let now = start + Duration::from_secs(second);
                window.add(now, all, marked);
                list.push((second, all, marked));
                let recent = list.iter().filter(|(then, ..)| then + SECONDS > second);
                let sums = recent.fold((0, 0), |sum, (_, a, m)| (sum.0 + a, sum.1 + m));
                prop_assert_eq!(window.sums(now), sums);
            }
        }
    }
}
