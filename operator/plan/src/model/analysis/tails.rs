//! How probable it is that chance alone gives what was counted: two exact upper tails.
//!
//! Pure. Called by `question.rs`. The only place of all decisions with floating-point numbers, and
//! they stay here: a [`Probability`] can be compared with an [`Alpha`] and written down, no more.
//!
//! The first term of a tail is a point's probability, each further one the one before times a
//! ratio of small integers. A point's probability comes from the logarithm of the gamma function in
//! the form that does not lose digits to cancellation (C. Loader, "Fast and accurate computation
//! of binomial probabilities", 2000): errors stay below 10⁻⁸ for counts up to 10¹⁴. Where the
//! variance is above 10⁶, a tail would take thousands of terms and is close to normal.

use std::f64::consts::PI;
use std::fmt;

use super::checks::Percent;
use super::counts::Sample;

/// From how many answers on anything is judged.
const LEAST: u64 = 10;
/// Above this variance, the normal distribution is used.
const NORMAL: f64 = 1e6;
/// More terms than any tail has: up to that variance they vanish within nine thousand.
const TERMS: u32 = 100_000;

/// The probability of an outcome at least as bad as the one seen, if nothing is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probability(f64);

impl Probability {
    pub(super) fn is_below(self, alpha: Alpha) -> bool {
        self.0 < alpha.0
    }
}

impl fmt::Display for Probability {
    /// `= 3e-6`, to be put after the name of what it is the probability of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1e-300 {
            f.write_str("< 1e-300")
        } else {
            write!(f, "= {:.0e}", self.0)
        }
    }
}

/// Below which probability chance is no explanation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alpha(f64);

impl Alpha {
    /// Below this, one look is enough.
    pub(super) const DECISIVE: Self = Self(1e-8);

    /// For a look at `answers` of them: each time that they have doubled, the j-th of shares that sum
    /// up to 0.005 over all looks. `None` if they are too few to be looked at.
    pub(super) fn at(answers: u64) -> Option<Self> {
        let doublings = (answers / LEAST).checked_ilog2()?;
        let look = f64::from(doublings + 1);
        Some(Self(0.005 * 6.0 / (PI * PI * look * look)))
    }
}

/// The probability that at least `new.events` of all events are among `new.answers`, if events fall
/// on all answers alike: the upper tail of the hypergeometric distribution, Fisher's exact test.
pub(super) fn fisher(new: Sample, stable: Sample) -> Probability {
    let [n, x, m, y] = [new.answers, new.events, stable.answers, stable.events].map(float);
    let (all, events) = (n + m, x + y);
    if events <= 0.0 || x <= (events - m).max(0.0) || n <= 0.0 {
        // it cannot be fewer
        return Probability(1.0);
    }
    let quiet = all - events;
    let mean = n * events / all;
    // a single answer has no variance, and is caught above
    let variance = mean * (m / all) * (quiet / (all - 1.0));
    let skewness = (all - 2.0 * events) / all * ((all - 2.0 * n) / all) / variance.sqrt();
    upper(Distribution {
        x,
        mean,
        variance,
        skewness,
        point: |x| {
            let (share, rest) = (events / all, quiet / all);
            let joint = ln_binomial(x, n, share, rest) + ln_binomial(events - x, m, share, rest);
            joint - ln_binomial(events, all, share, rest)
        },
        ratio: |x| (n - x) * (events - x) / ((x + 1.0) * (m - events + x + 1.0)),
    })
}

/// The probability of at least `sample.events`, if each answer is one with probability `share`: the
/// upper tail of the binomial distribution.
pub(super) fn tail(sample: Sample, share: Percent) -> Probability {
    let [n, x] = [sample.answers, sample.events].map(float);
    let p = f64::from(share.hundredths) / 10_000.0;
    let q = 1.0 - p;
    if x <= 0.0 || p >= 1.0 {
        return Probability(1.0);
    }
    if p <= 0.0 {
        return Probability(0.0);
    }
    let variance = n * p * q;
    upper(Distribution {
        x,
        mean: n * p,
        variance,
        skewness: (q - p) / variance.sqrt(),
        point: |x| ln_binomial(x, n, p, q),
        ratio: |x| (n - x) * p / ((x + 1.0) * q),
    })
}

/// A distribution over integers with one peak, and the point whose upper tail is asked for.
struct Distribution<P, R> {
    /// Above the lowest possible value, at most the highest.
    x: f64,
    mean: f64,
    variance: f64,
    skewness: f64,
    /// The logarithm of a point's probability.
    point: P,
    /// The next point's probability by this one's; 0 at the highest point.
    ratio: R,
}

fn upper<P, R>(distribution: Distribution<P, R>) -> Probability
where
    P: Fn(f64) -> f64,
    R: Fn(f64) -> f64,
{
    let Distribution {
        x,
        mean,
        variance,
        skewness,
        point,
        ratio,
    } = distribution;
    let probability = if variance > NORMAL {
        normal((x - 0.5 - mean) / variance.sqrt(), skewness)
    } else if x > mean {
        sum(point(x).exp(), |k| ratio(x + k))
    } else {
        // from below the mean it is shorter, and surer, to sum up the other side
        1.0 - sum(point(x - 1.0).exp(), |k| 1.0 / ratio(x - 2.0 - k))
    };
    Probability(probability.clamp(0.0, 1.0))
}

/// A term and its followers, until they do not count any more.
fn sum(first: f64, ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut term, mut sum) = (first, first);
    for k in 0..TERMS {
        term *= ratio(f64::from(k));
        if term <= sum * 1e-17 {
            break;
        }
        sum += term;
    }
    sum
}

/// ln P(Bin(n, p) = x), with q = 1 − p; 0 < p, 0 < q, 0 ≤ x ≤ n.
fn ln_binomial(x: f64, n: f64, p: f64, q: f64) -> f64 {
    if x <= 0.0 {
        return n * ln_rest(p, q);
    }
    if x >= n {
        return n * ln_rest(q, p);
    }
    let rest = n - x;
    let stirling = remainder(n) - remainder(x) - remainder(rest);
    let deviance = deviance(x, n * p) + deviance(rest, n * q);
    stirling - deviance + 0.5 * (n / (2.0 * PI * x * rest)).ln()
}

/// ln(1 − p), where q = 1 − p: from the smaller of the two.
fn ln_rest(p: f64, q: f64) -> f64 {
    if p < 0.5 { (-p).ln_1p() } else { q.ln() }
}

/// ln Γ(n + 1) less Stirling's formula for it, (n + ½) ln n − n + ½ ln 2π; n ≥ 1.
fn remainder(n: f64) -> f64 {
    if n < 16.0 {
        let mut factorial = 1.0;
        let mut factor = 2.0;
        while factor <= n {
            factorial *= factor;
            factor += 1.0;
        }
        return factorial.ln() - (n + 0.5) * n.ln() + n - 0.5 * (2.0 * PI).ln();
    }
    // the Bernoulli series; what is left out is below 10⁻¹³
    let square = n * n;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square) / n
}

/// x ln(x / mean) + mean − x, which is small where x is close to the mean; x > 0.
fn deviance(x: f64, mean: f64) -> f64 {
    let off = (x - mean) / mean;
    mean * ((1.0 + off) * off.ln_1p() - off)
}

/// The upper tail of a distribution that is close to normal, beyond `z` standard deviations, with
/// the first term for its skewness (Edgeworth): without it, 10⁻⁸ would be off by some percent.
fn normal(z: f64, skewness: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
    let beyond = if z.abs() < 3.0 {
        // Taylor's series around 0, by double factorials
        let mut term = z;
        let mut series = z;
        for k in 1..60 {
            term *= z * z / f64::from(2 * k + 1);
            series += term;
        }
        0.5 - density * series
    } else {
        // Laplace's continued fraction for the smaller side
        let side = (1..=60)
            .rev()
            .fold(z.abs(), |fraction, k| z.abs() + f64::from(k) / fraction);
        let smaller = density / side;
        if z > 0.0 { smaller } else { 1.0 - smaller }
    };
    beyond + density * skewness * (z * z - 1.0) / 6.0
}

/// Exact for what a [`Sample`] holds.
fn float(count: u64) -> f64 {
    let [high, low] = [count >> 32, count & 0xffff_ffff];
    let [high, low] = [high, low].map(|half| f64::from(u32::try_from(half).unwrap_or(u32::MAX)));
    high * 4_294_967_296.0 + low
}

#[cfg(test)]
mod tests;
