//! A request on its way through the queue and the engine.
//!
//! Made by the routes as [`Work`]; a [`Job`] is either in the queue or with one worker, never in both.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aimass_protocol::Tensor;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::engine::Failure;
use crate::model::Model;

/// How a request's rows become runs of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// With rows of other requests, in whatever bucket is cheapest.
    Together,
    /// One after the other, because the caller wants exactly what each row gives alone.
    Singly,
    /// In exactly its shape, because its rows cannot be told apart.
    Whole,
}

/// What a route wants to be run.
pub struct Work {
    /// What runs it: the model that its inputs were read for.
    pub model: Arc<Model>,
    /// In graph order.
    pub inputs: Vec<Tensor>,
    /// Rows of the request; 1 if they cannot be told apart.
    pub rows: usize,
    /// How they are run.
    pub way: Way,
    /// When its caller stops waiting.
    pub deadline: Instant,
    /// The connection that it came on; without one it counts as one of its own.
    pub connection: Option<u64>,
}

/// A request on its way.
pub struct Job {
    /// What is to be run.
    pub work: Work,
    /// When it was admitted, or went back into the queue for its next rows.
    pub since: Instant,
    /// Where its end is told.
    pub reply: oneshot::Sender<Done>,
    /// Rows that have run.
    pub done: usize,
    /// Rows that it counts while it waits: those of its next run. Noted, because what a run takes may change meanwhile.
    pub standing: usize,
    /// The outputs of those, run by run.
    pub parts: Vec<Vec<Tensor>>,
    /// Its times so far.
    pub times: Times,
}

/// How long the parts of a job's way took, and how full its batches were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// In the queue.
    pub queued: Duration,
    /// In the engine.
    pub ran: Duration,
    /// Real rows in the largest batch that it was in.
    pub batch_rows: usize,
}

/// The end of a job.
pub struct Done {
    /// The outputs in graph order, or why there are none.
    pub result: Result<Vec<Tensor>, Ended>,
    /// Its times.
    pub times: Times,
}

/// Why a job that ran has no outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The engine refused it.
    Refused(Failure),
    /// A defect of the engine.
    Panicked,
}

impl Job {
    /// A job whose end is told to `reply`.
    pub const fn new(work: Work, now: Instant, reply: oneshot::Sender<Done>) -> Self {
        Self {
            work,
            since: now,
            reply,
            done: 0,
            standing: 0,
            parts: Vec::new(),
            times: Times {
                queued: Duration::ZERO,
                ran: Duration::ZERO,
                batch_rows: 0,
            },
        }
    }

    /// Rows that have not run, at least 1.
    pub fn left(&self) -> usize {
        self.work.rows.saturating_sub(self.done).max(1)
    }

    /// The rows of its next run: at most as many as the largest bucket has, so that large requests do not hold up others.
    pub fn next_rows(&self) -> Range<usize> {
        let most = match self.work.way {
            // Rows that depend on each other are found out late; nothing has run then.
            Way::Together if self.work.model.rows_depend() => usize::MAX,
            Way::Together => self.work.model.costs().largest(),
            Way::Singly => 1,
            Way::Whole => usize::MAX,
        };
        self.done..self.done.saturating_add(self.left().min(most))
    }

    /// Whether both may be in one batch: of one model, in one set of shapes beyond the rows.
    pub fn goes_with(&self, other: &Self) -> bool {
        let (one, two) = (&self.work, &other.work);
        let batched = |work: &Work| work.way == Way::Together && !work.model.rows_depend();
        batched(one)
            && batched(two)
            && Arc::ptr_eq(&one.model, &two.model)
            && one.inputs.len() == two.inputs.len()
            && one
                .inputs
                .iter()
                .zip(&two.inputs)
                .all(|(one, two)| one.shape().get(1..) == two.shape().get(1..))
    }

    /// Whether its deadline has passed.
    pub fn is_late(&self, now: Instant) -> bool {
        self.work.deadline <= now
    }
}
