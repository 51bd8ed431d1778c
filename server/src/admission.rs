//! Whether a request is taken into the queue.
//!
//! Pure. Called by `queue/line.rs` under the queue's lock. An empty queue takes any request: its bound is on waiting, not
//! on size. And no connection can fill the queue alone: it may add to what it has there as long as it has no more than
//! it leaves free. So however much one sends, others find room.

use std::time::Duration;

/// What the queue looks like to a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loads {
    /// Rows that wait.
    pub queued_rows: usize,
    /// Rows that will have run before the request, at least those that wait now.
    pub ahead_rows: usize,
    /// Rows that wait and came on the same connection.
    pub own_rows: usize,
    /// Rows that may wait.
    pub max_queued_rows: usize,
    /// Rows that all workers together run; unknown before the first run.
    pub rows_per_second: Option<f64>,
    /// How long a run takes.
    pub run: Duration,
}

/// A refused caller does not come again sooner: what is known of the wait may be of a moment ago.
const SHORTEST: Duration = Duration::from_millis(100);
/// Nor is it sent away for longer.
const LONGEST: Duration = Duration::from_secs(30);

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Take it.
    Admitted,
    /// Answer `overloaded`.
    Refused {
        /// What the wait would be: 100 ms to 30 s.
        retry_after: Duration,
    },
}

/// Decides for a request of `rows` rows whose caller waits for `time_left`.
#[must_use]
pub fn admit(loads: &Loads, rows: usize, time_left: Duration) -> Admission {
    if loads.queued_rows == 0 {
        return Admission::Admitted;
    }
    let wait = expected_wait(loads);
    let free = loads.max_queued_rows.saturating_sub(loads.queued_rows);
    let own_full = loads.own_rows > 0 && loads.own_rows.saturating_add(rows) > free;
    if rows > free || own_full || wait > time_left {
        Admission::Refused {
            retry_after: wait.clamp(SHORTEST, LONGEST),
        }
    } else {
        Admission::Admitted
    }
}

fn expected_wait(loads: &Loads) -> Duration {
    let ahead = f64::from(u32::try_from(loads.ahead_rows).unwrap_or(u32::MAX));
    let seconds = loads.rows_per_second.map_or(0.0, |rate| ahead / rate);
    let queue = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    // And for the run that is under way, and for its own: at the border, where overload keeps the queue, all would be
    // late by just that.
    queue.saturating_add(loads.run.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(queued: usize, rate: Option<f64>, rows: usize, left_s: u64, expect_ms: Option<u64>) {
        let loads = Loads {
            queued_rows: queued,
            ahead_rows: queued,
            own_rows: 0,
            max_queued_rows: 100,
            rows_per_second: rate,
            run: Duration::ZERO,
        };
        let expect = expect_ms.map_or(Admission::Admitted, |ms| Admission::Refused {
            retry_after: Duration::from_millis(ms),
        });
        assert_eq!(admit(&loads, rows, Duration::from_secs(left_s)), expect);
    }

    #[test]
    fn an_empty_queue_takes_any_request() {
        check(0, Some(0.001), 1_000_000, 1, None);
    }

    #[test]
    fn a_full_queue_refuses() {
        check(90, None, 10, 30, None);
        check(90, None, 11, 30, Some(100));
        check(100, Some(10.0), 1, 30, Some(10_000));
        check(100, Some(0.5), 1, 300, Some(30_000));
    }

    #[test]
    fn the_runs_under_way_and_its_own_count() {
        let with = |run_ms| {
            let loads = Loads {
                queued_rows: 50,
                ahead_rows: 50,
                own_rows: 0,
                max_queued_rows: 100,
                rows_per_second: Some(10.0),
                run: Duration::from_millis(run_ms),
            };
            admit(&loads, 1, Duration::from_millis(5200)) == Admission::Admitted
        };
        assert!(with(100) && !with(101));
    }

    #[test]
    fn a_connection_leaves_as_much_room_as_it_takes() {
        let with = |queued_rows, own_rows| {
            let loads = Loads {
                queued_rows,
                ahead_rows: queued_rows,
                own_rows,
                max_queued_rows: 100,
                rows_per_second: None,
                run: Duration::ZERO,
            };
            admit(&loads, 1, Duration::from_secs(1)) == Admission::Admitted
        };
        assert!(with(49, 49), "alone it fills half of the queue");
        assert!(!with(50, 50));
        assert!(with(50, 0), "then there is room for others");
        assert!(with(98, 0));
        assert!(with(66, 32) && !with(67, 33), "two have a third each");
    }

    #[test]
    fn who_would_wait_too_long_is_refused_at_once() {
        check(50, Some(10.0), 1, 5, None);
        check(50, Some(10.0), 1, 4, Some(5_000));
        check(55, Some(10.0), 1, 5, Some(5_500));
    }
}
