//! Numbers at random, the same for the same seed.

/// A generator: xorshift64*, which is random enough for queues.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // far from 0, from which it would never come away
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Above 0, below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 12;
        (bits as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// The time between arrivals that come at random.
    pub(crate) fn exponential(&mut self, per_second: f64) -> f64 {
        -self.unit().ln() / per_second
    }

    /// A service time: log-normal with this mean and a coefficient of variation of 0.3.
    pub(crate) fn service(&mut self, mean: f64) -> f64 {
        let variance = (1.0_f64 + 0.3 * 0.3).ln();
        let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        mean * (variance.sqrt() * normal - variance / 2.0).exp()
    }

    /// Within ten percent of it.
    pub(crate) fn around(&mut self, mean: f64) -> f64 {
        mean * (0.9 + 0.2 * self.unit())
    }
}
