//! Whose turn it is: weights, laid out as a sequence that is exact.
//!
//! Pure. Laid out by `table::build` with each table, read by `phase::choose`.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What all weights are together, and how many turns there are before they come again.
const TURNS: u8 = 100;
/// Points that callers are spread over: a hundred for each percent.
const POINTS: u64 = 10_000;

/// A hundred turns, each the place of a revision: over any hundred in a row every revision has as many as its weight, and as
/// evenly as can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picks([u8; TURNS as usize]);

impl Picks {
    /// The turns of revisions with these weights, the newest first; `None` unless they are 100 in all.
    ///
    /// Of two that are equally due the newer one has its turn. Source: smooth weighted round robin, as in nginx
    /// `ngx_http_upstream_round_robin.c`.
    #[must_use]
    pub fn lay_out(weights: &[u8]) -> Option<Self> {
        let sum: u32 = weights.iter().copied().map(u32::from).sum();
        if sum != u32::from(TURNS) {
            return None;
        }
        let mut due: Vec<i32> = vec![0; weights.len()];
        let mut turns = [0; TURNS as usize];
        for turn in &mut turns {
            let mut best: Option<(u8, &mut i32)> = None;
            for ((place, due), weight) in (0_u8..).zip(&mut due).zip(weights) {
                *due += i32::from(*weight);
                if best.as_ref().is_none_or(|(_, most)| *due > **most) {
                    best = Some((place, due));
                }
            }
            if let Some((place, due)) = best {
                *due -= i32::from(TURNS);
                *turn = place;
            }
        }
        Some(Self(turns))
    }

    /// The place of the revision whose turn it is, counted without end.
    #[must_use]
    pub fn at(&self, turn: u64) -> usize {
        let turn = usize::try_from(turn % u64::from(TURNS)).unwrap_or(0);
        self.0.get(turn).copied().map_or(0, usize::from)
    }
}

/// The place of the revision that callers with `value` stay on, of revisions with these weights, the newest first.
///
/// Each caller has a point, and each revision an interval as wide as its weight, the newest from 0 on: one whose weight rises
/// keeps all callers that it has.
#[must_use]
pub fn sticky(uid: &str, value: &[u8], weights: impl Iterator<Item = u8>) -> Option<usize> {
    let point = xxh3_64_with_seed(value, xxh3_64(uid.as_bytes())) % POINTS;
    let mut end = 0;
    let mut ends = weights.map(|weight| {
        end += u64::from(weight) * (POINTS / u64::from(TURNS));
        end
    });
    ends.position(|end| point < end)
}

#[cfg(test)]
mod tests;
