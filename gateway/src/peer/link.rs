//! What goes to one other gateway: one batch after the other, never two at once.
//!
//! What arrives while a batch is under way is the next one: no timer, and the more there is to ask, the more each batch asks.
//! Without anything to ask a heartbeat goes. The connection is `line`'s. Started by `peer`.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::Question;
use super::line::{Line, Open};
use crate::limit::wire::{MAX_ASKS, MAX_BYTES, Reply};
use crate::limit::{Limits, Outcome, Replied, Sent, Uid};

/// Without anything to ask. Whoever was not heard for a second is not counted on: one that comes late must not look like that.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(400);
/// While it moves who owns what.
pub(crate) const MOVING: Duration = Duration::from_millis(20);
/// While the other one has not got yet what is its own now: nobody owns that meanwhile.
pub(crate) const HANDING: Duration = Duration::from_millis(1);
/// Batches in a row without an answer before the connection is made anew.
const FAILURES: u32 = 3;

/// One link.
pub(super) struct Link {
    pub(super) to: Uid,
    pub(super) deadline: Duration,
    pub(super) limits: Limits,
    pub(super) asked: mpsc::Receiver<Question>,
}

type Waiting = Option<oneshot::Sender<Outcome>>;

impl Link {
    /// Talks over `line` and keeps it, for ever.
    pub(super) async fn run(mut self, line: Line) {
        tokio::select! {
            () = line.keep() => {}
            () = self.talk(&line) => {}
        }
    }

    async fn talk(&mut self, line: &Line) {
        let mut failures = 0;
        loop {
            if line.current().is_none() {
                self.lost();
                line.opened().await;
                failures = 0;
            }
            let (asks, waiting): (Vec<_>, Vec<Waiting>) = self.gather(failures).await.unzip();
            // Perhaps another one by now.
            let Some(mut open) = line.current() else {
                continue;
            };
            let batch = {
                let mut used = self.limits.lock();
                let now = used.now(Instant::now().into_std());
                let batch = used.batch(&self.to, asks, now);
                self.limits.release(used);
                batch
            };
            // It is no member any more: the link ends soon.
            let Some(sent) = batch else { return };
            let mut under_way = UnderWay {
                limits: self.limits.clone(),
                to: Uid::clone(&self.to),
                sent: Some(sent),
            };
            let answered = timeout(self.deadline, under_way.post(&mut open)).await;
            match (answered, under_way.sent.take()) {
                (Ok(Some(reply)), Some(sent)) => {
                    failures = 0;
                    self.settle(sent, waiting, reply);
                }
                (_, sent) => {
                    failures += 1;
                    under_way.sent = sent;
                    // Who waits learns it when its sender is dropped.
                }
            }
            if failures >= FAILURES || open.is_over() {
                line.broken();
            }
        }
    }

    /// The questions of the next batch, when it is time for one.
    async fn gather(
        &mut self,
        failures: u32,
    ) -> std::vec::IntoIter<(crate::limit::wire::Ask, Waiting)> {
        let pause = match failures {
            0 => self.pause(),
            _ => MOVING,
        };
        let mut questions = Vec::new();
        tokio::select! {
            question = self.asked.recv() => questions.extend(question),
            () = self.limits.changed() => {}
            () = sleep(pause) => {}
        }
        while questions.len() < MAX_ASKS
            && let Ok(question) = self.asked.try_recv()
        {
            questions.push(question);
        }
        // Who does not wait any more has been decided otherwise.
        let waits = |question: &Question| question.answer.as_ref().is_none_or(|to| !to.is_closed());
        questions.retain(waits);
        let parts = questions
            .into_iter()
            .map(|Question { ask, answer }| (ask, answer));
        parts.collect::<Vec<_>>().into_iter()
    }

    fn pause(&self) -> Duration {
        let used = self.limits.lock();
        match (used.peers.is_owed(&self.to), used.peers.is_moving()) {
            (true, _) => HANDING,
            (false, true) => MOVING,
            (false, false) => HEARTBEAT,
        }
    }

    fn settle(&self, sent: Sent, waiting: Vec<Waiting>, reply: Reply) {
        let outcomes = {
            let replied = Replied {
                waiting: waiting.iter().map(Option::is_some).collect(),
                sent,
                reply,
            };
            let mut used = self.limits.lock();
            let now = used.now(Instant::now().into_std());
            let outcomes = used.settle(&self.limits, &self.to, replied, now);
            self.limits.release(used);
            outcomes
        };
        // Outside of the lock: a place that nobody takes is given back here.
        for (waiting, outcome) in waiting.into_iter().zip(outcomes) {
            if let Some(waiting) = waiting {
                let _gone = waiting.send(outcome);
            }
        }
    }

    /// There is no connection: nobody asks here until there is one, and who has asked waits no longer.
    fn lost(&mut self) {
        self.limits.lock().peers.failed(&self.to, false);
        while self.asked.try_recv().is_ok() {}
    }
}

/// A batch that nobody has answered yet. Dropped so, for whatever reason, all that it says has to be said again.
struct UnderWay {
    limits: Limits,
    to: Uid,
    sent: Option<Sent>,
}

impl UnderWay {
    /// Sends it and waits for the reply; `None` if there is none, or none that is understood.
    async fn post(&self, open: &mut Open) -> Option<Reply> {
        let body = serde_json::to_vec(&self.sent.as_ref()?.batch).ok()?;
        let answer = match open.post(Bytes::from(body)).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(peer = %self.to, "{error:#}");
                return None;
            }
        };
        let body = Limited::new(answer.into_body(), MAX_BYTES);
        let bytes = body.collect().await.ok()?.to_bytes();
        serde_json::from_slice(&bytes).ok()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(sent) = self.sent.take() {
            let mut used = self.limits.lock();
            let now = used.now(Instant::now().into_std());
            used.unsent(&self.to, sent, true, now);
        }
    }
}
