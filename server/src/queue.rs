//! The one queue of the server, between the routes and the engine workers: bounded by rows, fair between connections.
//!
//! Pushed to on async threads (never blocks), taken from on worker threads (blocks). Who is served when, and with whom, is
//! decided by `queue/line.rs`; here are the lock, the wake-ups and the tickets. A request that is given up leaves at once:
//! its ticket removes it.

pub mod job;
pub mod line;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::admission::Admission;
pub use job::{Done, Ended, Job, Times, Way, Work};
pub use line::{Bounds, Place};
use line::{Line, Taken};

/// The queue.
pub struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    rows_gauge: Gauge,
}

struct Waiting {
    line: Line,
    /// Workers that sleep.
    idle: usize,
    /// How many of them were woken for what has arrived.
    woken: usize,
}

impl Queue {
    /// An empty queue.
    pub fn new(bounds: Bounds, rows_gauge: Gauge) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                line: Line::new(bounds),
                idle: 0,
                woken: 0,
            }),
            arrived: Condvar::new(),
            rows_gauge,
        }
    }

    /// Admits a request, or says after how long to come again.
    pub fn push(self: &Arc<Self>, work: Work) -> Result<Ticket, Duration> {
        let now = Instant::now();
        let (reply, done) = oneshot::channel();
        let may_move = work.rows > 1;
        let time_left = work.deadline.saturating_duration_since(now);
        let job = Job::new(work, now, reply);
        let mut waiting = self.lock();
        let rows = job.next_rows().len();
        let admission = waiting.line.admit(rows, job.work.connection, time_left);
        if let Admission::Refused { retry_after } = admission {
            return Err(retry_after);
        }
        let place = waiting.line.join(job);
        self.show(&waiting);
        self.wake_one(waiting);
        Ok(Ticket {
            queue: Arc::clone(self),
            place,
            may_move,
            done: Some(done),
        })
    }

    /// The next batch, into `batch`, which is empty; blocks until there is one.
    pub fn take(&self, batch: &mut Vec<(Place, Job)>) {
        let mut waiting = self.lock();
        loop {
            let wait = match waiting.line.take(Instant::now(), batch) {
                Taken::Batch => break,
                Taken::Wait(wait) => wait,
            };
            waiting.idle += 1;
            waiting = if wait == Duration::MAX {
                let woken = self.arrived.wait(waiting);
                woken.unwrap_or_else(PoisonError::into_inner)
            } else {
                let woken = self.arrived.wait_timeout(waiting, wait);
                woken.unwrap_or_else(PoisonError::into_inner).0
            };
            waiting.idle -= 1;
            waiting.woken = waiting.woken.saturating_sub(1);
        }
        self.show(&waiting);
        // What this worker leaves is for the next one.
        if !waiting.line.is_empty() {
            self.wake_one(waiting);
        }
    }

    /// A job whose next rows are to be run; who gave it back takes next.
    pub fn give_back(&self, place: Place, mut job: Job) {
        job.since = Instant::now();
        let mut waiting = self.lock();
        waiting.line.join_again(job, place);
        self.show(&waiting);
    }

    /// Notes how fast a worker was; in full batches it would be `gain` times as fast.
    pub fn observe(&self, rows: usize, took: Duration, gain: f64) {
        self.lock().line.observe(rows, took, gain);
    }

    /// Wakes a worker, unless none sleeps or enough are waking up: a wake-up costs more than a small request.
    fn wake_one(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let wake = waiting.woken < waiting.idle;
        if wake {
            waiting.woken += 1;
        }
        drop(waiting);
        if wake {
            self.arrived.notify_one();
        }
    }

    fn leave(&self, place: Place, may_move: bool) {
        let mut waiting = self.lock();
        let left = waiting.line.leave(place, may_move);
        self.show(&waiting);
        drop(waiting);
        // Its tensors go outside the lock.
        drop(left);
    }

    fn show(&self, waiting: &Waiting) {
        self.rows_gauge
            .set(i64::try_from(waiting.line.rows()).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller's side of a job. Dropped before its end, the job leaves the queue and its result is discarded.
pub struct Ticket {
    queue: Arc<Queue>,
    place: Place,
    /// Whether it may have several runs, between which it stands in the queue anew.
    may_move: bool,
    /// Until the end is told.
    done: Option<oneshot::Receiver<Done>>,
}

impl Ticket {
    /// Waits for the end. `None` if the worker dropped the job because its deadline had passed.
    pub async fn wait(mut self) -> Option<Done> {
        let done = self.done.as_mut()?.await.ok();
        self.done = None;
        done
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // The receiver first, so that a worker that has the job sees it closed.
        if self.done.take().is_some() {
            self.queue.leave(self.place, self.may_move);
        }
    }
}
