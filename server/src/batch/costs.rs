//! What a run of each bucket costs, and how rows are split into runs by that.
//!
//! Pure. Made by `model::calibrate` from measurements; read by [`cut`](super::cut) and by the workers.

use std::cmp::Reverse;

/// The share of a smaller bucket's time per row that a larger one's must stay below to be used.
pub const WORTH: f64 = 0.95;

/// A number of rows that is run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// At least 1.
    pub rows: usize,
    /// One run, in nanoseconds.
    pub nanoseconds: u64,
}

/// The buckets of a model, and the cheapest way to run any number of rows with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// Ascending; the first has one row.
    buckets: Vec<Bucket>,
    /// By number of rows: the bucket with which the cheapest sequence of runs begins.
    first: Vec<usize>,
    /// By number of rows: how many times their rows per second are reached by full batches.
    gain: Vec<f64>,
}

impl Costs {
    /// One row at a time, of unknown cost.
    pub fn single() -> Self {
        Self::new(Vec::new(), 1)
    }

    /// `larger` in any order, besides the bucket of one row that costs `one`.
    pub fn new(mut larger: Vec<Bucket>, one: u64) -> Self {
        larger.retain(|bucket| bucket.rows > 1);
        larger.push(Bucket {
            rows: 1,
            nanoseconds: one,
        });
        larger.sort_by_key(|bucket| bucket.rows);
        larger.dedup_by_key(|bucket| bucket.rows);
        let (first, costs) = cheapest(&larger);
        Self {
            buckets: larger,
            first,
            gain: gains(&costs),
        }
    }

    /// Rows of the largest bucket.
    pub fn largest(&self) -> usize {
        self.buckets.last().map_or(1, |bucket| bucket.rows)
    }

    /// Rows of all buckets, ascending.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        self.buckets.iter().map(|bucket| bucket.rows)
    }

    /// The bucket with which the cheapest sequence of runs of `rows` rows begins. Of more rows than the largest bucket
    /// has, that one.
    pub fn first(&self, rows: usize) -> usize {
        let known = self.first.get(rows).copied();
        known.unwrap_or_else(|| self.largest())
    }

    /// The cheapest sequence of buckets for `rows` rows, larger ones first; the last may be padded.
    pub fn split(&self, rows: usize) -> Vec<usize> {
        let mut sequence = Vec::new();
        let mut left = rows;
        while left > 0 {
            let bucket = self.first(left);
            sequence.push(bucket);
            left = left.saturating_sub(bucket);
        }
        sequence
    }

    /// How many times the rows per second of a run of `rows` rows are reached by full batches, at least 1.
    pub fn gain(&self, rows: usize) -> f64 {
        self.gain.get(rows).copied().unwrap_or(1.0)
    }
}

/// By number of rows, from the cheapest costs of so many.
fn gains(costs: &[u64]) -> Vec<f64> {
    let per_row = |(rows, cost): (usize, &u64)| float(*cost) / float(rows.max(1) as u64);
    let best = costs.iter().enumerate().next_back().map_or(0.0, per_row);
    let gain = |now: f64| {
        if best > 0.0 {
            (now / best).max(1.0)
        } else {
            1.0
        }
    };
    costs.iter().enumerate().map(per_row).map(gain).collect()
}

/// Dynamic programming over the number of rows: cheapest, then fewest runs, then least padding, then larger ones first.
fn cheapest(buckets: &[Bucket]) -> (Vec<usize>, Vec<u64>) {
    let most = buckets.last().map_or(1, |bucket| bucket.rows);
    let mut costs = vec![(0_u64, 0_usize)];
    let mut first = vec![1];
    for rows in 1..=most {
        let option = |bucket: &Bucket| {
            let rest = rows.saturating_sub(bucket.rows);
            let (cost, runs) = costs.get(rest).copied().unwrap_or_default();
            let padding = bucket.rows.saturating_sub(rows);
            let cost = cost.saturating_add(bucket.nanoseconds);
            (cost, runs + 1, padding, Reverse(bucket.rows))
        };
        let best = buckets.iter().map(option).min();
        let (cost, runs, _, Reverse(bucket)) = best.unwrap_or((0, 0, 0, Reverse(1)));
        costs.push((cost, runs));
        first.push(bucket);
    }
    (first, costs.into_iter().map(|(cost, _)| cost).collect())
}

/// Nanoseconds and rows as factors; beyond 2³² (4 s) they saturate, where a ratio matters no more.
fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(buckets: &[(usize, u64)]) -> Costs {
        let bucket = |&(rows, nanoseconds)| Bucket { rows, nanoseconds };
        let one = buckets.first().map_or(1, |bucket| bucket.1);
        Costs::new(buckets.iter().map(bucket).collect(), one)
    }

    #[track_caller]
    fn check(buckets: &[(usize, u64)], rows: usize, expect: &[usize]) {
        assert_eq!(costs(buckets).split(rows), expect, "{rows} rows");
    }

    #[test]
    fn rows_are_split_into_the_cheapest_runs() {
        let two = [(1, 10), (8, 40)];
        check(&two, 0, &[]);
        check(&two, 1, &[1]);
        check(&two, 3, &[1, 1, 1]);
        check(&two, 4, &[8]); // one run of the same cost
        check(&two, 5, &[8]); // padded, because five runs cost more
        check(&two, 8, &[8]);
        check(&two, 9, &[8, 1]);
        check(&two, 30, &[8, 8, 8, 8]);
        check(&[(1, 10)], 3, &[1, 1, 1]);
        let all = [(1, 10), (2, 11), (4, 12), (8, 13)];
        check(&all, 3, &[4]);
        check(&all, 5, &[8]);
        check(&[(1, 10), (2, 18), (4, 34)], 7, &[4, 2, 1]);
        // The least padding among equals.
        check(&[(1, 10), (8, 20), (16, 20)], 5, &[8]);
    }

    #[test]
    fn a_split_covers_all_rows_and_is_never_dearer_than_another() {
        let tables: [&[(usize, u64)]; 4] = [
            &[(1, 7)],
            &[(1, 5), (2, 9), (4, 15), (8, 29)],
            &[(1, 100), (3, 130), (64, 900)],
            &[(1, 0), (2, 0)],
        ];
        for table in tables {
            let costs = costs(table);
            let cost = |rows: &usize| table.iter().find(|bucket| bucket.0 == *rows).unwrap().1;
            let price = |sequence: &[usize]| -> u64 { sequence.iter().map(cost).sum() };
            for rows in 1..=costs.largest() {
                let split = costs.split(rows);
                let covered: usize = split.iter().sum();
                assert!(covered >= rows && split.len() <= rows, "{split:?}");
                assert!(split.is_sorted_by(|a, b| a >= b), "{split:?}");
                let ones = vec![1; rows];
                assert!(price(&split) <= price(&ones), "{rows}: {split:?}");
                for single in costs.sizes().filter(|size| *size >= rows) {
                    assert!(price(&split) <= price(&[single]), "{rows}: {split:?}");
                }
            }
        }
    }

    #[test]
    fn gain_tells_how_much_faster_full_batches_are() {
        let costs = costs(&[(1, 10), (8, 40)]);
        assert!((costs.gain(1) - 2.0).abs() < 1e-9);
        assert!((costs.gain(8) - 1.0).abs() < 1e-9);
        assert!((Costs::single().gain(1) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn buckets_are_sorted_and_one_row_is_always_among_them() {
        let bucket = |rows| Bucket {
            rows,
            nanoseconds: 1,
        };
        let costs = Costs::new(vec![bucket(8), bucket(2), bucket(8), bucket(1)], 3);
        assert_eq!(costs.sizes().collect::<Vec<_>>(), [1, 2, 8]);
    }
}
