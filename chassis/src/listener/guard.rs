//! A socket that closes itself when its client takes too long: to begin, to finish a head, to take an
//! answer, or to ask again.
//!
//! Below hyper, because hyper's own timers start only once it has read something it understands.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Limits;

/// What an HTTP/2 client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its first head, since then.
    Start(Instant),
    /// The rest of a head, since then.
    Head(Instant),
    /// Our answer to at least one request: the client owes nothing but to take it.
    Serving,
    /// The next request, since then.
    Idle(Instant),
}

/// What the connection's two sides know of each other: bytes below hyper, requests above.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    state: Arc<Mutex<State>>,
    limits: Limits,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    in_flight: u32,
    is_http2: bool,
    /// How much of the preface has come; stops counting at the first other byte.
    preface: Option<usize>,
}

/// A request in flight; ends when dropped.
#[derive(Debug)]
pub(super) struct InFlight(Activity);

impl Activity {
    pub(super) fn new(limits: &Limits) -> Self {
        let state = State {
            phase: Phase::Start(Instant::now()),
            in_flight: 0,
            is_http2: false,
            preface: Some(0),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            limits: *limits,
        }
    }

    /// A head is complete.
    pub(super) fn begin(&self, version: Version) -> InFlight {
        self.change(|state| {
            state.is_http2 |= version == Version::HTTP_2;
            state.in_flight = state.in_flight.saturating_add(1);
            state.phase = Phase::Serving;
        });
        InFlight(self.clone())
    }

    fn end(&self) {
        self.change(|state| {
            state.in_flight = state.in_flight.saturating_sub(1);
            if state.in_flight == 0 {
                state.phase = Phase::Idle(Instant::now());
            }
        });
    }

    fn received(&self, bytes: &[u8]) {
        self.change(|state| {
            state.count_preface(bytes);
            match state.phase {
                // Frames of HTTP/2 that are no request (PING …) begin no head.
                Phase::Idle(_) if !state.is_http2 => state.phase = Phase::Head(Instant::now()),
                Phase::Start(_) if state.is_http2 => state.phase = Phase::Idle(Instant::now()),
                Phase::Start(_) | Phase::Head(_) | Phase::Serving | Phase::Idle(_) => {}
            }
        });
    }

    /// Until when the client has to send something; `None` while we owe an answer.
    fn deadline(&self) -> Option<Instant> {
        let limits = &self.limits;
        match self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .phase
        {
            Phase::Start(since) => Some(since + limits.start),
            Phase::Head(since) => Some(since + limits.head),
            Phase::Serving => None,
            Phase::Idle(since) => Some(since + limits.idle),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        // A poisoned lock holds a state that is as good as any: it only times a connection.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    fn count_preface(&mut self, bytes: &[u8]) {
        let Some(seen) = self.preface else { return };
        let rest = PREFACE.get(seen..).unwrap_or_default();
        let common = rest.len().min(bytes.len());
        if rest.get(..common) != bytes.get(..common) {
            self.preface = None;
        } else if common == rest.len() {
            self.preface = None;
            self.is_http2 = true;
        } else {
            self.preface = Some(seen + common);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The socket itself.
#[derive(Debug)]
pub(super) struct Guard<S> {
    inner: S,
    activity: Activity,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    write_limit: Duration,
}

impl<S> Guard<S> {
    pub(super) fn new(inner: S, activity: Activity) -> Self {
        let write_limit = activity.limits.write;
        let read_timer = Box::pin(tokio::time::sleep(activity.limits.start));
        Self {
            inner,
            activity,
            read_timer,
            write_timer: None,
            write_limit,
        }
    }

    /// Called while a read is pending: an error once the client's time is over.
    fn judge_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(deadline) = self.activity.deadline() else {
            return Poll::Pending;
        };
        if self.read_timer.deadline() != deadline {
            self.read_timer.as_mut().reset(deadline);
        }
        match self.read_timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Called with each result of a write: progress restarts the clock, waiting runs it.
    fn judge_write<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timer = None;
            return written;
        }
        let limit = self.write_limit;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                self.activity
                    .received(buffer.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.judge_read(context),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge_write(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.judge_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
