//! How long answers took: counts in 80 buckets, as gateways report them, and a percentile of them.
//!
//! Pure. Kept by `ring`, read by `inputs`. A bucket's upper bound is 0.1 ms · 2^(i/4): a percentile
//! is right to 19 %, whoever adds histograms up.

use std::time::Duration;

/// How many buckets a histogram has; what is slower than the last one's bound counts in it.
const BUCKETS: usize = 80;

/// 2^(0/4) … 2^(3/4), in thousand-millionths: bounds without floating point.
const QUARTERS: [u64; 4] = [1_000_000_000, 1_189_207_115, 1_414_213_562, 1_681_792_831];

/// Counts of answers by how long they took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Histogram([u64; BUCKETS]);

impl Histogram {
    pub(super) const fn new() -> Self {
        Self([0; BUCKETS])
    }

    /// Adds answers to a bucket; to the last one where there is no such bucket.
    pub(super) fn add(&mut self, bucket: u8, answers: u64) {
        let bucket = usize::from(bucket).min(BUCKETS - 1);
        if let Some(count) = self.0.get_mut(bucket) {
            *count = count.saturating_add(answers);
        }
    }

    /// Adds all answers of another one.
    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    /// How many answers it holds.
    pub(super) fn answers(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |sum, count| u64::saturating_add(sum, *count))
    }

    /// The upper bound, in microseconds, of the bucket below which 95 % of the answers lie; 0
    /// without answers.
    pub(super) fn p95_us(&self) -> u64 {
        let enough = u128::from(self.answers()) * 95;
        let mut below = 0_u128;
        for (bucket, count) in self.0.iter().enumerate() {
            below += u128::from(*count) * 100;
            if below >= enough && below > 0 {
                return bound_us(bucket);
            }
        }
        0
    }
}

/// A limit as it can be told from a histogram: the upper bound, in microseconds, of the bucket it
/// falls into. Without this, an answer just below the limit would count as above it.
pub(super) fn told_apart_us(limit: Duration) -> u64 {
    let limit = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    (0..BUCKETS)
        .map(bound_us)
        .find(|bound| *bound >= limit)
        .unwrap_or(limit)
}

/// The upper bound of a bucket, in microseconds.
fn bound_us(bucket: usize) -> u64 {
    let quarter = QUARTERS.get(bucket % 4).copied().unwrap_or(QUARTERS[0]);
    // 100 µs · 2^(bucket / 4): at most 2^19, so 37 + 20 bits
    ((quarter * 100) << (bucket / 4)) / QUARTERS[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_every_four_buckets() {
        let check = |bucket, expect| assert_eq!(bound_us(bucket), expect);
        check(0, 100);
        check(1, 118);
        check(4, 200);
        check(40, 102_400);
        check(79, 88_174_379);
    }

    #[test]
    fn ninety_five_of_a_hundred_lie_below_the_percentile() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.p95_us(), 0, "no answers, no percentile");
        histogram.add(35, 95);
        histogram.add(60, 5);
        assert_eq!(
            (histogram.answers(), histogram.p95_us()),
            (100, bound_us(35))
        );
        histogram.add(200, 1);
        assert_eq!(histogram.p95_us(), bound_us(60));
        histogram.add(255, u64::MAX);
        assert_eq!(histogram.p95_us(), bound_us(79), "the last bucket is open");
    }

    #[test]
    fn a_limit_is_rounded_up_to_what_can_be_told_apart() {
        let check = |limit, expect| assert_eq!(told_apart_us(limit), expect);
        check(Duration::from_millis(200), 204_800);
        check(Duration::from_micros(100), 100);
        check(Duration::ZERO, 100);
        check(Duration::from_secs(600), 600_000_000);
    }
}
