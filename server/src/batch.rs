//! Which of the requests that wait are run together, and when.
//!
//! Pure. Called by `queue::line` under the queue's lock, with the requests of one class (one model, one set of shapes
//! beyond the rows) in the order in which they are served. What a batch costs is told by [`Costs`].

mod costs;

use std::time::Duration;

use tokio::time::Instant;

pub use costs::{Bucket, Costs, WORTH};

/// What waits, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Rows that it brings to the next run, at least 1.
    pub rows: usize,
    /// When it was admitted.
    pub since: Instant,
}

/// What bounds a batch.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// The buckets of the model, and what they cost.
    pub costs: &'a Costs,
    /// How long the oldest request waits for others although a worker is idle.
    pub max_delay: Duration,
}

/// What an idle worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Takes that many requests from the front, at least one.
    Now(usize),
    /// Nothing, until so much time has passed or another request arrives.
    Wait(Duration),
}

/// Cuts the next batch from the front of `queue`, for a worker that is idle.
///
/// Sums rows, not requests. All rows of the batch fit into the largest bucket, unless the first request alone has more;
/// and they are what one run takes in the cheapest way to run all that wait, so that the rest is left to other workers.
/// Waits only for what can come: never if the largest bucket is filled, nor for a model that has one bucket only.
/// `Wait` of nothing for an empty queue. O(requests looked at), which are as many as the largest bucket has rows.
#[must_use]
pub fn cut<Queue>(queue: Queue, limits: &Limits<'_>, now: Instant) -> Cut
where
    Queue: Iterator<Item = Entry> + Clone,
{
    let most = limits.costs.largest();
    let (mut rows, mut count, mut more) = (0_usize, 0_usize, false);
    let mut oldest: Option<Instant> = None;
    for entry in queue.clone() {
        let together = rows.saturating_add(entry.rows);
        if count > 0 && together > most {
            more = true;
            break;
        }
        rows = together;
        count += 1;
        oldest = Some(oldest.map_or(entry.since, |oldest| oldest.min(entry.since)));
        if rows >= most {
            break;
        }
    }
    let Some(oldest) = oldest else {
        return Cut::Wait(Duration::MAX);
    };
    let waited = now.saturating_duration_since(oldest);
    if rows < most && !more && waited < limits.max_delay {
        return Cut::Wait(limits.max_delay.saturating_sub(waited));
    }
    Cut::Now(fitting(queue.take(count), limits.costs.first(rows)))
}

/// How many of the first requests fit into `bucket`, but at least one.
fn fitting(queue: impl Iterator<Item = Entry>, bucket: usize) -> usize {
    let mut sum = 0_usize;
    let fits = |entry: &Entry| {
        sum = sum.saturating_add(entry.rows);
        sum <= bucket
    };
    queue.take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests;
