//! What is remembered from one decision to the next; lost with the operator, on purpose.
//!
//! Pure. Kept per deployment by the operator's signals task. A new memory shrinks nothing before it
//! has seen a whole window, so that a restart cannot do harm.

use std::collections::VecDeque;
use std::time::Duration;

use super::inputs::Inputs;
use super::tick::Tick;

/// Both watches have brought by then what they were about to bring.
const LAGS: Duration = Duration::from_secs(3);

/// What is remembered of one deployment's decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    since: Tick,
    proven: bool,
    hold_until: Option<Tick>,
    last_increase: Option<Tick>,
    last_decrease: Option<Tick>,
    exceeded_since: Option<Tick>,
    believed: Option<Believed>,
    wishes: Wishes,
}

/// What the last decision took the quota's room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Believed {
    room: i32,
    /// Pods that there were.
    existing: i32,
    /// The number that held.
    current: i32,
    /// When either last rose.
    rose: Option<Tick>,
}

impl Memory {
    /// To begin with: when an operator starts to lead, and when a fixed number is taken back.
    #[must_use]
    pub fn new(now: Tick) -> Self {
        Self {
            since: now,
            proven: false,
            hold_until: None,
            last_increase: None,
            last_decrease: None,
            exceeded_since: None,
            believed: None,
            wishes: Wishes::default(),
        }
    }

    /// When it began.
    pub(super) fn since(&self) -> Tick {
        self.since
    }

    /// Whether a whole window of complete seconds was seen since it began, now or earlier.
    pub(super) fn proven(&mut self, now: bool) -> bool {
        self.proven |= now;
        self.proven
    }

    /// Whether nothing may shrink because of an alarm, now or a while ago.
    pub(super) fn held(&mut self, alarm: bool, hold: Duration, now: Tick) -> bool {
        if alarm {
            self.hold_until = Some(now.after(hold));
        }
        self.hold_until.is_some_and(|until| now < until)
    }

    /// Since when the quota has been exceeded.
    pub(super) fn exceeded(&mut self, exceeded: bool, now: Tick) -> Option<Tick> {
        self.exceeded_since = exceeded.then(|| self.exceeded_since.unwrap_or(now));
        self.exceeded_since
    }

    /// `room`, but no more than was believed while pods that come may not be counted yet. Nothing
    /// where no quota is known.
    pub(super) fn sure_of(&mut self, room: Option<i32>, inputs: &Inputs, now: Tick) -> i32 {
        let Some(room) = room else {
            self.believed = None;
            return 0;
        };
        let Inputs {
            existing, current, ..
        } = *inputs;
        let before = self.believed;
        let rises = |before: Believed| existing > before.existing || current > before.current;
        let rose = match before {
            Some(before) if rises(before) => Some(now),
            before => before.and_then(|before| before.rose),
        };
        let lags = rose.is_some_and(|rose| now.since(rose) < LAGS);
        let room = match before {
            Some(before) if lags => room.min(before.room),
            _ => room,
        };
        self.believed = Some(Believed {
            room,
            existing,
            current,
            rose,
        });
        room
    }

    /// `wish`, or the largest one within `delay` as far as that lowers nothing.
    pub(super) fn delayed(&mut self, wish: i32, current: i32, delay: Duration, now: Tick) -> i32 {
        let largest = self.wishes.largest(wish, current, delay, now);
        wish.max(largest.min(current))
    }

    /// Takes note of a change.
    pub(super) fn changed(&mut self, from: i32, to: i32, now: Tick) {
        if to > from {
            self.last_increase = Some(now);
        }
        if to < from {
            self.last_decrease = Some(now);
        }
    }

    pub(super) fn last_increase(&self) -> Option<Tick> {
        self.last_increase
    }

    pub(super) fn last_decrease(&self) -> Option<Tick> {
        self.last_decrease
    }
}

/// The wishes within `scaleDownDelay` that could still be the largest: descending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wishes(VecDeque<(Tick, i32)>);

/// More steps than this are joined.
const MOST: usize = 1024;

impl Wishes {
    fn largest(&mut self, wish: i32, current: i32, delay: Duration, now: Tick) -> i32 {
        if delay.is_zero() {
            self.0.clear();
            return wish;
        }
        if self.0.is_empty() {
            // what was wished before is unknown: what holds must have been
            self.0.push_back((now, current));
        }
        while self.0.back().is_some_and(|(_, smaller)| *smaller <= wish) {
            self.0.pop_back();
        }
        let full = self.0.len() >= MOST;
        match self.0.back_mut() {
            // joined upwards: it holds a little longer than it must
            Some((at, _)) if full => *at = now,
            _ => self.0.push_back((now, wish)),
        }
        while self.0.len() > 1
            && self
                .0
                .front()
                .is_some_and(|(at, _)| now.since(*at) >= delay)
        {
            self.0.pop_front();
        }
        self.0.front().map_or(wish, |(_, largest)| *largest)
    }
}

#[cfg(test)]
mod tests;
