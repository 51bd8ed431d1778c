//! Owners that went without handing over, and what becomes of the buckets that they knew.
//!
//! Pure. Used by `peers`; told to those who take over.

use super::Peers;
use crate::limit::ring::{Ring, Uid};
use crate::limit::wire::{Gone, nanoseconds};
use crate::limit::{Gcra, Holder};

/// Owners that are remembered after they went.
const MAX_GONE: usize = 16;

/// An owner that has gone without handing over.
#[derive(Debug)]
pub(super) struct Departed {
    uid: Uid,
    ring: Ring,
    at: u128,
}

impl Peers {
    /// An owner has gone, with what it knew, if it owned anything.
    pub(super) fn depart(&mut self, uid: &Uid, now: u128) {
        let ring = self.owners().clone();
        if !ring.contains(uid) {
            return;
        }
        self.remember(Uid::clone(uid), ring, now);
    }

    pub(super) fn remember(&mut self, uid: Uid, ring: Ring, at: u128) {
        if self.gone.len() >= MAX_GONE {
            self.gone.pop_front();
        }
        self.gone.push_back(Departed { uid, ring, at });
    }

    /// When an unknown bucket is full: at once, unless somebody owned it who took it along.
    pub(crate) fn start(&self, holder: &Holder, (whole, own): (Gcra, Gcra), now: u128) -> u128 {
        let theirs = self
            .gone
            .iter()
            .filter(|gone| gone.ring.owns(&gone.uid, holder));
        // As if it had been empty then; but one request there is.
        let full = theirs.map(|gone| gone.at.saturating_add(whole.depth()));
        full.max().unwrap_or(0).min(own.last_one(now))
    }

    /// For others: who has gone.
    pub(crate) fn told_gone(&self, now: u128) -> Vec<Gone> {
        let gone = self.gone.iter().map(|gone| Gone {
            uid: gone.uid.to_string(),
            members: gone.ring.members().map(ToString::to_string).collect(),
            ago: nanoseconds(now.saturating_sub(gone.at)),
        });
        gone.collect()
    }

    /// What others say of who has gone.
    pub(crate) fn hear_gone(&mut self, gone: &[Gone], now: u128) {
        for gone in gone.iter().take(MAX_GONE) {
            let ring = Ring::new(gone.members.iter().map(|uid| Uid::from(uid.as_str())));
            let uid = Uid::from(gone.uid.as_str());
            let at = now.saturating_sub(u128::from(gone.ago));
            let same = |known: &&mut Departed| known.uid == uid && known.ring == ring;
            if let Some(known) = self.gone.iter_mut().find(same) {
                known.at = known.at.max(at);
            } else {
                self.remember(uid, ring, at);
            }
        }
    }
}
