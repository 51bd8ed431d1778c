//! What the metrics show of what was read.
//!
//! Pure. Methods of `Reading`, called by `Desk` when somebody asks.

use aimass_plan::model::scale::Tick;

use super::{Gateway, Reading, Scaled};
use crate::cache::Key;
use crate::signals::desk::figures::{Figures, Standing};
use crate::signals::known::Known;

impl Reading {
    pub(in crate::signals::desk) fn figures(
        &self,
        known: &Known,
        most: usize,
    ) -> (Vec<(Key, Figures)>, Option<Figures>) {
        let (mut own, mut rest) = (Vec::new(), None);
        for (uid, model) in &self.models {
            let last = model.scaled.as_ref().and_then(Scaled::last);
            let (Some(last), Some((_, key))) = (last, known.get(uid)) else {
                continue;
            };
            let figures = Figures::of(last);
            if own.len() < most {
                own.push((key.clone(), figures));
            } else {
                rest = Some(rest.unwrap_or(Figures::default()).and(figures));
            }
        }
        (own, rest)
    }

    pub(in crate::signals::desk) fn met(
        &self,
        known: &Known,
        most: usize,
    ) -> (Vec<(Key, bool)>, Option<bool>) {
        let (mut own, mut rest) = (Vec::new(), None);
        for (uid, model) in &self.models {
            let (Some(met), Some((_, key))) = (model.watched.is_met(), known.get(uid)) else {
                continue;
            };
            if own.len() < most {
                own.push((key.clone(), met));
            } else {
                rest = Some(rest.unwrap_or(true) && met);
            }
        }
        (own, rest)
    }

    pub(in crate::signals::desk) fn standing(&self, now: Tick) -> Standing {
        let count = |is: &dyn Fn(&Gateway) -> bool| {
            let gateways = self.gateways.values();
            gateways.filter(|gateway| is(gateway)).count()
        };
        Standing {
            live: self.gateways.len(),
            connected: count(&|gateway| gateway.connected),
            silent: count(&|gateway| gateway.silent(now)),
        }
    }
}
