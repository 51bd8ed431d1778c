//! The connection to one other gateway, and what goes over it: one batch after the other, never two at once.
//!
//! What arrives while a batch is under way is the next one: no timer, and the more there is to ask, the more each batch asks.
//! Without anything to ask a heartbeat goes each second. Started by `peer`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::{PATH, Question};
use crate::limit::wire::{MAX_ASKS, MAX_BYTES, Reply};
use crate::limit::{Limits, Outcome, Replied, Sent, Uid};

/// Without anything to ask.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// While it moves who owns what.
const MOVING: Duration = Duration::from_millis(20);
/// While the other one has not got yet what is its own now: nobody owns that meanwhile.
const HANDING: Duration = Duration::from_millis(1);
/// For a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// After one that failed.
const AGAIN: Duration = Duration::from_millis(200);
/// Batches in a row without an answer before the connection is made anew.
const FAILURES: u32 = 3;

/// One link.
pub(super) struct Link {
    pub(super) to: Uid,
    pub(super) address: SocketAddr,
    pub(super) deadline: Duration,
    pub(super) limits: Limits,
    pub(super) asked: mpsc::Receiver<Question>,
}

type Sender = SendRequest<Full<Bytes>>;
type Waiting = Option<oneshot::Sender<Outcome>>;

impl Link {
    /// Keeps the connection, for ever.
    pub(super) async fn run(mut self) {
        loop {
            match timeout(CONNECT, connect(self.address)).await {
                Ok(Ok((sender, connection))) => {
                    // What ends is the talk: it notices when the connection has ended, and loses nothing of what it was saying.
                    let driven = async {
                        connection.await;
                        std::future::pending::<()>().await;
                    };
                    tokio::select! {
                        () = driven => {}
                        () = self.talk(sender) => {}
                    }
                }
                Ok(Err(error)) => tracing::debug!(peer = %self.to, %error, "not connected"),
                Err(_) => tracing::debug!(peer = %self.to, "not connected in time"),
            }
            self.lost();
            sleep(AGAIN).await;
        }
    }

    /// Until too much fails.
    async fn talk(&mut self, mut sender: Sender) {
        let mut failures = 0;
        while failures < FAILURES {
            let (asks, waiting): (Vec<_>, Vec<Waiting>) = self.gather(failures).await.unzip();
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
            let answered = timeout(self.deadline, under_way.post(&mut sender)).await;
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

async fn connect(
    address: SocketAddr,
) -> anyhow::Result<(Sender, impl Future<Output = ()> + use<>)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let driven = async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a peer has ended");
        }
    };
    Ok((sender, driven))
}

/// A batch that nobody has answered yet. Dropped so, for whatever reason, all that it says has to be said again.
struct UnderWay {
    limits: Limits,
    to: Uid,
    sent: Option<Sent>,
}

impl UnderWay {
    /// Sends it and waits for the reply; `None` if there is none, or none that is understood.
    async fn post(&self, sender: &mut Sender) -> Option<Reply> {
        let body = serde_json::to_vec(&self.sent.as_ref()?.batch).ok()?;
        sender.ready().await.ok()?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://peer{PATH}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .ok()?;
        let response = sender.send_request(request).await.ok()?;
        if response.status() != StatusCode::OK {
            let status = response.status().as_u16();
            tracing::debug!(status, "a peer has refused a batch");
            return None;
        }
        let body = Limited::new(response.into_body(), MAX_BYTES);
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
