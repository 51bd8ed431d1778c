//! The last window of a model, over all its revisions and gateways.
//!
//! Pure. Kept by `watch`. A window is twelve slots, so that the memory for it has a bound however long it
//! is. Time in which a gateway is silent does not pass here.

use std::collections::VecDeque;
use std::time::Duration;

use aimass_crds::signals::Load;

use crate::model::analysis::Counts;

/// How many parts a window has: as often as this it is looked at.
const SLOTS: u8 = 12;

/// The counts of a window.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    window: Duration,
    /// Slots that are over, the oldest first; eleven between two looks.
    over: VecDeque<Counts>,
    /// The one that is filled now.
    open: Counts,
    /// How long that has been open.
    time: Duration,
}

impl Ring {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            over: VecDeque::new(),
            open: Counts::default(),
            time: Duration::ZERO,
        }
    }

    /// One gateway counted this for one revision.
    pub(super) fn add(&mut self, load: &Load) {
        self.open.report(load);
    }

    /// Lets so much time pass. The counts of the whole window that is over with that, if a slot is and
    /// there were enough of them.
    pub(super) fn pass(&mut self, time: Duration) -> Option<Counts> {
        let slot = self.window / u32::from(SLOTS);
        // What is longer than a window is one, too.
        self.time = self.time.saturating_add(time).min(self.window);
        let mut is_over = false;
        while self.time >= slot {
            self.time = self.time.saturating_sub(slot);
            self.over.push_back(std::mem::take(&mut self.open));
            if self.over.len() > usize::from(SLOTS) {
                self.over.pop_front();
            }
            is_over = true;
        }
        if !is_over || self.over.len() < usize::from(SLOTS) {
            return None;
        }
        let mut sum = self.over.pop_front()?;
        self.over.iter().for_each(|counts| sum.add(counts));
        Some(sum)
    }

    /// Whether no request is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.over.iter().all(Counts::is_empty)
    }

    /// Forgets all, and gives the memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.window);
    }
}
