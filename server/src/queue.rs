//! The one queue of the server: bounded by rows, first in first out, between the routes and the engine workers.
//!
//! Pushed to on async threads (never blocks), taken from on worker threads (blocks). A request that is given up leaves at
//! once: its ticket removes it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aimass_protocol::Tensor;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::admission::{Admission, Loads, admit};
use crate::model::{Model, Ran, Stopped};

/// A request on its way to a worker.
pub struct Job {
    id: u64,
    /// Rows that count against the queue's bound.
    pub rows: usize,
    /// When it was admitted.
    pub since: Instant,
    /// When its caller stops waiting.
    pub deadline: Instant,
    /// What runs it: the model that its inputs were read for.
    pub model: Arc<Model>,
    /// In graph order.
    pub inputs: Vec<Tensor>,
    /// Where its end is told.
    pub reply: oneshot::Sender<Done>,
}

/// The end of a job.
pub struct Done {
    /// The outputs, or why there are none. A panic of the engine is `Err(Ended::Panicked)`.
    pub result: Result<Ran, Ended>,
    /// In the queue.
    pub queued: Duration,
    /// In the engine.
    pub ran: Duration,
}

/// Why a job that ran has no outputs.
pub enum Ended {
    /// By the engine's word or the caller's.
    Stopped(Stopped),
    /// By a defect.
    Panicked,
}

/// The queue.
pub struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    max_rows: usize,
    workers: usize,
    ids: AtomicU64,
    rows_gauge: Gauge,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    rows: usize,
    /// Rows per second that one worker was seen to run lately.
    rate: Option<f64>,
}

impl Queue {
    /// An empty queue for `workers` threads.
    pub fn new(max_rows: usize, workers: usize, rows_gauge: Gauge) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            max_rows,
            workers,
            ids: AtomicU64::new(0),
            rows_gauge,
        }
    }

    /// Admits a request, or says after how long to come again.
    pub fn push(
        self: &Arc<Self>,
        model: Arc<Model>,
        inputs: Vec<Tensor>,
        rows: usize,
        deadline: Instant,
    ) -> Result<Ticket, Duration> {
        let now = Instant::now();
        let mut waiting = self.lock();
        let loads = Loads {
            queued_rows: waiting.rows,
            max_queued_rows: self.max_rows,
            rows_per_second: waiting
                .rate
                .map(|rate| rate * workers_as_float(self.workers)),
        };
        if let Admission::Refused { retry_after } =
            admit(&loads, rows, deadline.saturating_duration_since(now))
        {
            return Err(retry_after);
        }
        let (reply, done) = oneshot::channel();
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let job = Job {
            id,
            rows,
            since: now,
            deadline,
            model,
            inputs,
            reply,
        };
        waiting.rows = waiting.rows.saturating_add(rows);
        waiting.jobs.push_back(job);
        self.show(&waiting);
        drop(waiting);
        self.arrived.notify_one();
        Ok(Ticket {
            queue: Arc::clone(self),
            id,
            done,
        })
    }

    /// The next job; blocks until there is one.
    pub fn pop(&self) -> Job {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                waiting.rows = waiting.rows.saturating_sub(job.rows);
                self.show(&waiting);
                return job;
            }
            waiting = self
                .arrived
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes how fast a worker was: an average that forgets, a fifth at a time.
    pub fn observe(&self, rows: usize, took: Duration) {
        let seconds = took.as_secs_f64();
        if seconds > 0.0 {
            let rate = workers_as_float(rows.max(1)) / seconds;
            let mut waiting = self.lock();
            waiting.rate = Some(waiting.rate.map_or(rate, |old| old * 0.8 + rate * 0.2));
        }
    }

    fn remove(&self, id: u64) {
        let mut waiting = self.lock();
        if let Some(index) = waiting.jobs.iter().position(|job| job.id == id)
            && let Some(job) = waiting.jobs.remove(index)
        {
            waiting.rows = waiting.rows.saturating_sub(job.rows);
            self.show(&waiting);
        }
    }

    fn show(&self, waiting: &Waiting) {
        self.rows_gauge
            .set(i64::try_from(waiting.rows).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Small counts as a factor; beyond 2³² they saturate, far above every bound.
fn workers_as_float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The caller's side of a job. Dropped before its end, the job leaves the queue and its result is discarded.
pub struct Ticket {
    queue: Arc<Queue>,
    id: u64,
    done: oneshot::Receiver<Done>,
}

impl Ticket {
    /// Waits for the end. `None` if the worker dropped the job because its deadline had passed.
    pub async fn wait(mut self) -> Option<Done> {
        (&mut self.done).await.ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.remove(self.id);
    }
}
