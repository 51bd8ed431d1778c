//! What an owner said of a request's limits, and the place that it has meanwhile.
//!
//! Pure. Used by `admit`; made by `peer`.

use crate::limit::{Outcome, Slot};

/// What was fetched from an owner for one policy of a request.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pub(super) fate: Fate,
    pub(super) slot: Option<Slot>,
}

/// What the owner said.
#[derive(Debug, Default)]
pub(crate) enum Fate {
    /// It was not asked.
    #[default]
    Open,
    /// It said something.
    Said(Outcome),
    /// It could not be asked.
    Lost,
    /// It turned out to be this gateway: to be decided anew.
    Here,
}

impl Fetched {
    pub(crate) fn settle(&mut self, fate: Fate) {
        self.fate = match fate {
            Fate::Said(Outcome::Granted { slot, lapse }) => {
                self.slot = slot.or(self.slot.take());
                Fate::Said(Outcome::Granted { slot: None, lapse })
            }
            Fate::Said(Outcome::NotOwner) | Fate::Lost => {
                self.slot = None;
                Fate::Lost
            }
            Fate::Here | Fate::Open => {
                self.slot = None;
                Fate::Here
            }
            said @ Fate::Said(Outcome::Refused { .. }) => {
                self.slot = None;
                said
            }
        };
    }
}
