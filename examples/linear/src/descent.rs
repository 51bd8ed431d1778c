//! Plain stochastic gradient descent for a line.
//!
//! Pure. Called by [`crate::train`]. Random numbers come from an own small generator, so that the
//! result depends on the seed alone.

/// One example to learn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// What the model is given.
    pub x: f64,
    /// What it should answer.
    pub y: f64,
}

/// How to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Learning rate: which share of the gradient each step takes; above 0.
    pub rate: f64,
    /// How often each point is seen.
    pub epochs: u32,
    /// Of the first weight and of the order of points in each epoch.
    pub seed: u64,
}

/// What is learnt: y = weight · x + bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Factor of x.
    pub weight: f64,
    /// Value at x = 0.
    pub bias: f64,
}

impl Line {
    /// The line's value at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.weight * x + self.bias
    }
}

/// Learns a line from `points`, one point at a time in a new random order each epoch.
///
/// The loss of a point is half the squared error, so its gradient is (error · x, error). The start
/// is a random weight in −1..1 and bias 0. Without points the start is the answer. Terminates
/// after `epochs × points.len()` steps.
#[must_use]
pub fn learn(points: &[Point], settings: &Settings) -> Line {
    let mut random = SplitMix64(settings.seed);
    let mut line = Line {
        weight: random.unit() * 2.0 - 1.0,
        bias: 0.0,
    };
    let mut order = points.to_vec();
    for _ in 0..settings.epochs {
        random.shuffle(&mut order);
        for point in &order {
            let error = line.at(point.x) - point.y;
            line.weight -= settings.rate * error * point.x;
            line.bias -= settings.rate * error;
        }
    }
    line
}

/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1, in steps of 2⁻³².
    fn unit(&mut self) -> f64 {
        let upper = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }

    /// Fisher and Yates: every order is equally likely.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            // The bias of the remainder is below items.len() / 2⁶⁴.
            let bound = u64::try_from(last + 1).unwrap_or(u64::MAX);
            let chosen = usize::try_from(self.next() % bound).unwrap_or(last);
            items.swap(last, chosen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        rate: 0.05,
        epochs: 2000,
        seed: 7,
    };

    #[test]
    fn any_line_is_learnt() {
        let points = [-1.0, 0.5, 2.0].map(|x| Point {
            x,
            y: -3.0 * x + 0.25,
        });
        let line = learn(&points, &SETTINGS);
        assert!(
            (line.weight + 3.0).abs() < 1e-6 && (line.bias - 0.25).abs() < 1e-6,
            "{line:?}"
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_bits() {
        let (one, other) = (
            learn(&crate::POINTS, &SETTINGS),
            learn(&crate::POINTS, &SETTINGS),
        );
        assert_eq!(one.weight.to_bits(), other.weight.to_bits());
        assert_eq!(one.bias.to_bits(), other.bias.to_bits());
    }

    #[test]
    fn nothing_to_learn_from_leaves_the_start() {
        let line = learn(&[], &SETTINGS);
        assert!(line.weight.abs() <= 1.0 && line.bias == 0.0, "{line:?}");
    }

    #[test]
    fn the_generator_is_split_mix_64() {
        // First values for seed 1234567, as other implementations print them.
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }
}
