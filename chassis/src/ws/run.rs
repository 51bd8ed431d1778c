//! The task of one WebSocket: waits for what happens, asks the deciders, acts. Called by `endpoint` on an upgraded
//! connection, and by tests on any stream.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::calls::{Calls, Done, Outcome};
use super::endpoint::Seat;
use super::session::Session;
use super::timing::{Due, Facts, Timing};
use super::wire::{Event, Wire};
use super::{Asked, Close, Failed, Form, Language, Outgoing, Service};
use crate::shutdown::Stop;

/// Messages above this are read off the async threads.
const LARGE_BYTES: usize = 64 << 10;

/// How a WebSocket ends.
enum End {
    /// We close it.
    Close(Close),
    /// The caller closes it.
    Closed,
    /// There is nobody to say anything to.
    Lost,
}

/// Serves one WebSocket, whose handshake is done, until one side ends it or `drain` is cancelled and what is in flight is
/// answered. Requests in flight are given up at the end. Returns the stream if there is nobody at its other end who could
/// be told so: it is to be reset.
pub async fn run<S>(stream: S, seat: Seat, service: Service, drain: Stop) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limits = seat.limits();
    let Service { app, language } = service;
    let mut connection = Connection {
        wire: Wire::new(stream, &seat).await,
        session: Session::new(&limits),
        timing: Timing::new(limits, Instant::now()),
        calls: Calls::new(app, limits.answer_bytes),
        language,
        reading: None,
        messages: 0,
        seat,
    };
    let end = connection.serve(&drain).await;
    let Connection { wire, calls, .. } = connection;
    drop(calls);
    match end {
        End::Close(close) => {
            tracing::debug!(close.code, close.reason, "a WebSocket is closed");
            wire.finish(Some(close), &limits).await
        }
        End::Closed => wire.finish(None, &limits).await,
        End::Lost => Some(wire.into_inner()),
    }
}

type Reading = Pin<Box<dyn Future<Output = Option<Asked>> + Send>>;

struct Connection<S> {
    wire: Wire<S>,
    session: Session,
    timing: Timing,
    calls: Calls,
    language: Arc<dyn Language>,
    /// A large message whose meaning is being found.
    reading: Option<Reading>,
    /// Messages so far.
    messages: u64,
    seat: Seat,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn serve(&mut self, drain: &Stop) -> End {
        loop {
            if self.session.is_draining() && self.session.rests() && self.reading.is_none() {
                return End::Close(Close::DRAIN);
            }
            let facts = self.facts();
            let until = match self.timing.judge(facts, Instant::now()) {
                Due::Wait(until) => until,
                Due::Ping => {
                    self.wire.ping();
                    continue;
                }
                Due::Idle => return End::Close(Close::IDLE),
                due @ (Due::Silent | Due::Stalled) => {
                    tracing::debug!(?due, "a WebSocket is dropped");
                    return End::Lost;
                }
            };
            let end = tokio::select! {
                biased;
                () = drain.cancelled(), if !self.session.is_draining() => {
                    self.session.drain();
                    None
                }
                event = poll_fn(|context| self.wire.poll(context, facts.reads)) => self.event(event),
                done = self.calls.next(), if !self.calls.is_empty() => self.done(done),
                asked = wait(&mut self.reading), if self.reading.is_some() => self.asked(asked),
                () = sleep_until(until) => None,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            reads: self.session.reads() && self.reading.is_none(),
            rests: self.session.rests() && self.reading.is_none(),
            heard: self.wire.heard(),
            blocked: self.wire.blocked(),
        }
    }

    fn event(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Heard(form, message) => self.heard(form, message),
            Event::Pong => {
                self.timing.pong();
                None
            }
            Event::Sent(messages) => {
                self.session.sent(messages);
                if messages > 0 {
                    self.timing.active(Instant::now());
                }
                None
            }
            Event::Closed => Some(End::Closed),
            Event::Gone => Some(End::Lost),
            Event::Broken(close) => Some(End::Close(close)),
        }
    }

    fn heard(&mut self, form: Form, message: Bytes) -> Option<End> {
        self.timing.active(Instant::now());
        self.messages = self.messages.saturating_add(1);
        let (language, number) = (Arc::clone(&self.language), self.messages);
        let large = message.len() > LARGE_BYTES;
        let read = move || contained(|| language.read(form, message, number));
        if !large {
            return self.asked(read());
        }
        let readers = self.seat.readers();
        self.reading = Some(Box::pin(async move {
            let permit = readers.acquire_owned().await.ok()?;
            let read = move || {
                let _permit = permit;
                read()
            };
            tokio::task::spawn_blocking(read).await.ok().flatten()
        }));
        None
    }

    /// What the last message asks for; nothing, if reading it panicked.
    fn asked(&mut self, asked: Option<Asked>) -> Option<End> {
        match asked {
            Some(Asked::Call { id, request }) => {
                if self.session.begin(&id) {
                    self.calls.start(id, self.messages, request);
                    return None;
                }
                let language = Arc::clone(&self.language);
                self.say(language.failed(&id, self.messages, Failed::Duplicate))
            }
            Some(Asked::Cancel { id }) => {
                self.session.sensible();
                self.calls.cancel(&id);
                None
            }
            Some(Asked::Malformed(answer)) => self.say(answer),
            Some(Asked::Unsupported) => Some(End::Close(Close::DATA_TYPE)),
            None => Some(End::Close(Close::INTERNAL)),
        }
    }

    fn done(&mut self, done: Done) -> Option<End> {
        let Done {
            id,
            number,
            outcome,
        } = done;
        self.session.end(&id);
        let language = Arc::clone(&self.language);
        let answer = match outcome {
            Outcome::Answered(head, body) => contained(|| language.answer(&id, &head, body)),
            Outcome::Failed(failed) => contained(|| language.failed(&id, number, failed)),
            Outcome::Panicked => None,
        };
        match answer {
            Some(answer) => self.say(answer),
            None => Some(End::Close(Close::INTERNAL)),
        }
    }

    fn say(&mut self, message: Outgoing) -> Option<End> {
        if message.malformed {
            if let Some(close) = self.session.malformed() {
                return Some(End::Close(close));
            }
        } else {
            self.session.sensible();
        }
        self.session.say();
        self.wire.say(message);
        None
    }
}

/// The end of the reading that is under way.
async fn wait(reading: &mut Option<Reading>) -> Option<Asked> {
    let asked = match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    };
    *reading = None;
    asked
}

/// A panic is a defect of ours that must end one WebSocket, and tell its caller so.
fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
