//! One check as a question to the counts: how many of how many, against which limit.
//!
//! Pure. Called by `analysis`. The four kinds of limits come down to two questions: whether the
//! share of events is above a fixed one, or above the stable revision's.

use super::checks::{Bound, Check, Percent};
use super::counts::{Compared, Counts, Sample, bound, picoseconds};
use super::tails::{Alpha, Probability, fisher, tail};
use super::text::{self, Figure};

/// What is counted for a check.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) new: Sample,
    /// `None`: there is nothing to compare with.
    pub(super) stable: Option<Sample>,
    against: Against,
    /// The new revision's figure and the stable one's, where there are any.
    pub(super) shown: (Option<Figure>, Option<Figure>),
}

/// Which share is too much.
#[derive(Clone, Copy, Debug)]
enum Against {
    /// Above this, unless the stable revision is above it just as much.
    Limit(Percent),
    /// Above the stable revision's by more than these points.
    Stable(Percent),
    /// Above this share, and above the stable revision's.
    Quantile(Percent),
}

impl Question {
    pub(super) fn of(check: &Check, counts: &Compared) -> Self {
        let new = &counts.new;
        let stable = counts.stable.as_ref();
        match check.bound {
            Bound::Errors(share) => Self::errors(new, stable, Against::Limit(share)),
            Bound::MoreErrors(points) => Self::errors(new, stable, Against::Stable(points)),
            Bound::Slow { quantile, max } => {
                let threshold = picoseconds(max);
                let against = Against::Limit(beyond(quantile));
                Self::slow((new, stable), quantile, threshold, against)
            }
            Bound::Slower { quantile, increase } => {
                let baseline = stable.and_then(|stable| stable.latency.quantile(quantile));
                // without a baseline nothing is compared, so that any threshold will do
                let threshold = baseline.map_or(u128::MAX, |bucket| {
                    let factor = 10_000 + u128::from(increase.hundredths);
                    (bound(bucket) * factor).div_ceil(10_000)
                });
                let against = Against::Quantile(beyond(quantile));
                Self::slow((new, stable), quantile, threshold, against)
            }
        }
    }

    fn errors(new: &Counts, stable: Option<&Counts>, against: Against) -> Self {
        let (new, stable) = (new.errors(), stable.map(Counts::errors));
        Self {
            new,
            stable,
            against,
            shown: (text::share(new), stable.and_then(text::share)),
        }
    }

    fn slow(
        (new, stable): (&Counts, Option<&Counts>),
        quantile: u32,
        threshold: u128,
        against: Against,
    ) -> Self {
        let shown = |counts: &Counts| counts.latency.quantile(quantile).map(text::bucket);
        Self {
            new: new.latency.slower_than(threshold),
            stable: stable.map(|stable| stable.latency.slower_than(threshold)),
            against,
            shown: (shown(new), stable.and_then(shown)),
        }
    }

    /// Whether the limit is exceeded, by chance or not. `None` for one that is relative to a stable
    /// revision: that is asked of [`Self::violated`] alone.
    pub(super) fn exceeds(&self) -> Option<bool> {
        match self.against {
            Against::Limit(share) => Some(self.new.exceeds(share)),
            Against::Stable(_) | Against::Quantile(_) => None,
        }
    }

    /// The probability of what was counted if nothing were wrong, if that is below `alpha` and the
    /// limit is exceeded. `None` too with fewer requests than are ever judged.
    pub(super) fn violated(&self, alpha: Alpha) -> Option<Probability> {
        let usual = Alpha::at(self.new.answers)?;
        let stable = self.stable.filter(|stable| stable.answers > 0);
        // integers first: nearly always the limit is kept, and chance need not be computed
        let chance = match (self.against, stable) {
            (Against::Limit(share), _) if self.new.exceeds(share) => tail(self.new, share),
            (Against::Stable(points), Some(stable)) if self.new.exceeds_by(stable, points) => {
                fisher(self.new, stable)
            }
            (Against::Quantile(share), Some(stable)) if self.new.exceeds(share) => {
                fisher(self.new, stable)
            }
            (Against::Limit(_) | Against::Stable(_) | Against::Quantile(_), _) => return None,
        };
        if !chance.is_below(alpha) {
            return None;
        }
        if let (Against::Limit(share), Some(stable)) = (self.against, stable) {
            // the limit is at fault, not the revision: the stable one does not keep it either
            let too = stable.exceeds(share) && tail(stable, share).is_below(usual);
            if too && !fisher(self.new, stable).is_below(alpha) {
                return None;
            }
        }
        Some(chance)
    }
}

/// The share that is slower than the quantile.
fn beyond(quantile: u32) -> Percent {
    Percent {
        hundredths: 100_u32.saturating_sub(quantile) * 100,
    }
}
