//! The order in which requests are served, and which of them an idle worker takes together.
//!
//! Pure: time is an argument. Called by `queue` under its lock.
//!
//! Fair between connections: requests stand in rounds, each connection has at most one in a round, and whoever arrives
//! joins the round after the one that is being served, or after its own last one. So with one request a connection the
//! order is that of arrival; a connection with a hundred waits behind one request of every other; and nobody is overtaken
//! for ever, because the members of a round are complete once it is served.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::job::Job;
use crate::admission::{Admission, Loads, admit};
use crate::batch::{Cut, Entry, Limits, cut};

/// A place in the line. Smaller is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    round: u64,
    /// In order of arrival; a request keeps it.
    number: u64,
}

/// What bounds the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Rows that may wait.
    pub max_rows: usize,
    /// How long the oldest request waits for others although a worker is idle.
    pub max_delay: Duration,
    /// Workers that take from the line.
    pub workers: usize,
}

/// Those who wait.
#[derive(Default)]
pub struct Line {
    bounds: Bounds,
    jobs: BTreeMap<Place, Job>,
    /// Of all jobs.
    rows: usize,
    /// Of their next runs: what is bounded, and what whoever arrives has to wait for.
    standing: usize,
    /// The round that is being served.
    round: u64,
    arrivals: u64,
    /// Only those that have requests in the line.
    connections: BTreeMap<u64, Share>,
    /// Rows per second that one worker was seen to run lately, in full batches.
    rate: Option<f64>,
    /// Seconds that its runs took lately.
    run: f64,
}

/// What one connection has in the line.
#[derive(Clone, Copy, Default)]
struct Share {
    requests: usize,
    rows: usize,
    last_round: u64,
}

/// What an idle worker does.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It runs the batch that it was given.
    Batch,
    /// Nothing, until so much time has passed or a request arrives.
    Wait(Duration),
}

impl Line {
    /// With nobody in it.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// Rows that wait.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether a request may join of whose rows `rows` run at first, and whose caller waits for `time_left`.
    pub fn admit(&self, rows: usize, connection: Option<u64>, time_left: Duration) -> Admission {
        let share = connection.and_then(|connection| self.connections.get(&connection));
        let own_rows = share.map_or(0, |share| share.rows);
        let loads = Loads {
            queued_rows: self.standing,
            // In each round that its connection has before it, others may come to stand before it too.
            ahead_rows: own_rows
                .saturating_mul(self.connections.len())
                .max(self.standing),
            own_rows,
            max_queued_rows: self.bounds.max_rows,
            rows_per_second: self.rate.map(|rate| rate * float(self.bounds.workers)),
            run: Duration::try_from_secs_f64(self.run).unwrap_or_default(),
        };
        admit(&loads, rows.max(1), time_left)
    }

    /// A request arrives.
    pub fn join(&mut self, job: Job) -> Place {
        self.arrivals += 1;
        self.stand(job, self.arrivals)
    }

    /// A request whose next rows are to be run comes back from a worker, behind those who wait.
    pub fn join_again(&mut self, job: Job, place: Place) {
        self.stand(job, place.number);
    }

    /// Bounded are the rows of the next run alone: a large request must not make the queue full for all others.
    fn stand(&mut self, mut job: Job, number: u64) -> Place {
        job.standing = job.next_rows().len();
        let mut round = self.round.saturating_add(1);
        if let Some(connection) = job.work.connection {
            let share = self.connections.entry(connection).or_default();
            round = round.max(share.last_round.saturating_add(1));
            share.last_round = round;
            share.requests += 1;
            share.rows = share.rows.saturating_add(job.standing);
        }
        let place = Place { round, number };
        self.rows = self.rows.saturating_add(job.left());
        self.standing = self.standing.saturating_add(job.standing);
        self.jobs.insert(place, job);
        place
    }

    /// A request is given up. With `moved` it may have changed its place since it joined.
    pub fn leave(&mut self, place: Place, moved: bool) -> Option<Job> {
        if self.jobs.contains_key(&place) {
            return self.remove(place);
        }
        let here = |other: &&Place| moved && other.number == place.number;
        let place = self.jobs.keys().find(here).copied()?;
        self.remove(place)
    }

    fn remove(&mut self, place: Place) -> Option<Job> {
        let job = self.jobs.remove(&place)?;
        self.rows = self.rows.saturating_sub(job.left());
        self.standing = self.standing.saturating_sub(job.standing);
        let connection = job.work.connection.unwrap_or_default();
        if let Some(share) = job
            .work
            .connection
            .and(self.connections.get_mut(&connection))
        {
            share.requests -= 1;
            share.rows = share.rows.saturating_sub(job.standing);
            if share.requests == 0 {
                self.connections.remove(&connection);
            }
        }
        Some(job)
    }

    /// Notes how fast a worker was: an average that forgets, a fifth at a time. In full batches it would be `gain` times
    /// as fast, and whoever waits long will be in one.
    pub fn observe(&mut self, rows: usize, took: Duration, gain: f64) {
        let seconds = took.as_secs_f64();
        if seconds > 0.0 {
            let rate = float(rows.max(1)) / seconds * gain;
            let (old_rate, old_run) = self.rate.map_or((rate, seconds), |old| (old, self.run));
            self.rate = Some(old_rate * 0.8 + rate * 0.2);
            self.run = old_run * 0.8 + seconds * 0.2;
        }
    }

    /// Moves the next batch into `batch`, which is empty.
    pub fn take(&mut self, now: Instant, batch: &mut Vec<(Place, Job)>) -> Taken {
        match self.next(now) {
            Next::Batch { head, count } => {
                self.extract(head, count, batch);
                Taken::Batch
            }
            Next::Wait(wait) => Taken::Wait(wait),
        }
    }

    /// Decides whose turn it is: the first in line whose batch may go. Looks at others only where the first one waits.
    fn next(&self, now: Instant) -> Next {
        let mut waiting: Vec<&Job> = Vec::new();
        let mut wait = Duration::MAX;
        for (place, job) in &self.jobs {
            if waiting.iter().any(|head| head.goes_with(job)) {
                continue;
            }
            match self.cut_from(*place, job, now) {
                Cut::Now(count) => {
                    return Next::Batch {
                        head: *place,
                        count,
                    };
                }
                Cut::Wait(left) => wait = wait.min(left),
            }
            waiting.push(job);
        }
        Next::Wait(wait)
    }

    fn cut_from(&self, place: Place, head: &Job, now: Instant) -> Cut {
        // It goes with itself, unless its rows cannot be told apart, or were found to depend on each other.
        if !head.goes_with(head) {
            return Cut::Now(1);
        }
        let with = |(_, job): &(&Place, &Job)| head.goes_with(job);
        let entry = |(_, job): (&Place, &Job)| Entry {
            rows: job.next_rows().len(),
            since: job.since,
        };
        let limits = Limits {
            costs: head.work.model.costs(),
            max_delay: self.bounds.max_delay,
        };
        cut(
            self.jobs.range(place..).filter(with).map(entry),
            &limits,
            now,
        )
    }

    fn extract(&mut self, head: Place, count: usize, batch: &mut Vec<(Place, Job)>) {
        self.round = self.round.max(head.round);
        if count > 1
            && let Some(first) = self.jobs.get(&head)
        {
            let others = self.jobs.range(head..).skip(1);
            let with = others.filter(|(_, job)| first.goes_with(job));
            let places: Vec<Place> = with.map(|(place, _)| *place).take(count - 1).collect();
            batch.extend(self.remove(head).map(|job| (head, job)));
            for place in places {
                batch.extend(self.remove(place).map(|job| (place, job)));
            }
        } else {
            batch.extend(self.remove(head).map(|job| (head, job)));
        }
    }
}

/// Small counts as a factor; beyond 2³² they saturate, far above every bound.
fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

enum Next {
    Batch { head: Place, count: usize },
    Wait(Duration),
}

#[cfg(test)]
mod tests;
