//! Tables of cuts.

use super::*;

fn costs(sizes: &[usize]) -> Costs {
    // Each bucket costs 10 and 1 per row: larger is always better per row, and padding is cheap.
    let bucket = |rows: &usize| Bucket {
        rows: *rows,
        nanoseconds: 10 + *rows as u64,
    };
    Costs::new(sizes.iter().map(bucket).collect(), 11)
}

/// Requests of so many rows, each admitted so many milliseconds ago.
#[track_caller]
fn check(queue: &[(usize, u64)], sizes: &[usize], delay_ms: u64, expect: Cut) {
    let now = Instant::now() + Duration::from_secs(60);
    let entry = |&(rows, ago): &(usize, u64)| Entry {
        rows,
        since: now - Duration::from_millis(ago),
    };
    let limits = Limits {
        costs: &costs(sizes),
        max_delay: Duration::from_millis(delay_ms),
    };
    assert_eq!(cut(queue.iter().map(entry), &limits, now), expect);
}

const fn wait(ms: u64) -> Cut {
    Cut::Wait(Duration::from_millis(ms))
}

#[test]
fn without_a_delay_an_idle_worker_takes_what_waits() {
    check(&[], &[1, 8], 0, Cut::Wait(Duration::MAX));
    check(&[(1, 0)], &[1, 8], 0, Cut::Now(1));
    check(&[(1, 0); 5], &[1, 8], 0, Cut::Now(5));
    check(&[(2, 0), (3, 0)], &[1, 8], 0, Cut::Now(2));
}

#[test]
fn a_batch_is_never_larger_than_the_largest_bucket() {
    check(&[(1, 0); 20], &[1, 8], 0, Cut::Now(8));
    check(&[(5, 0), (4, 0)], &[1, 8], 0, Cut::Now(1));
    check(&[(5, 0), (3, 0), (1, 0)], &[1, 8], 0, Cut::Now(2));
}

#[test]
fn a_request_that_does_not_fit_is_not_overtaken() {
    check(&[(5, 0), (8, 0), (1, 0)], &[1, 8], 0, Cut::Now(1));
}

#[test]
fn a_request_with_more_rows_than_any_bucket_goes_alone() {
    check(&[(9, 0), (1, 0)], &[1, 8], 0, Cut::Now(1));
    check(&[(3, 0), (1, 0)], &[1], 0, Cut::Now(1));
}

#[test]
fn what_runs_better_one_by_one_is_left_to_other_workers() {
    check(&[(1, 0); 5], &[1], 0, Cut::Now(1));
    // Padding three rows to eight would cost more than three runs.
    let limits = Limits {
        costs: &Costs::new(
            vec![Bucket {
                rows: 8,
                nanoseconds: 40,
            }],
            10,
        ),
        max_delay: Duration::ZERO,
    };
    let now = Instant::now();
    let three = [Entry {
        rows: 1,
        since: now,
    }; 3];
    assert_eq!(cut(three.into_iter(), &limits, now), Cut::Now(1));
}

#[test]
fn with_a_delay_the_oldest_request_waits_for_others() {
    check(&[(1, 3)], &[1, 8], 10, wait(7));
    check(&[(1, 3), (1, 4)], &[1, 8], 10, wait(6));
    check(&[(1, 10)], &[1, 8], 10, Cut::Now(1));
    check(&[(1, 1), (1, 12)], &[1, 8], 10, Cut::Now(2));
}

#[test]
fn nobody_waits_for_a_full_batch() {
    check(&[(1, 0); 8], &[1, 8], 10, Cut::Now(8));
    check(&[(5, 0), (4, 0)], &[1, 8], 10, Cut::Now(1));
}

#[test]
fn a_model_with_one_bucket_has_no_delay() {
    check(&[(1, 0)], &[1], 10, Cut::Now(1));
    check(&[(3, 0)], &[1], 10, Cut::Now(1));
}
