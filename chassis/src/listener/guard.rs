//! The socket below hyper. It notes what the client sends and takes; it closes without losing the
//! last answer. It decides nothing: `connection` asks `phase` and drops it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Limits;
use super::phase::{Facts, Verdict};

/// What the sides of a connection tell each other: bytes below hyper, requests above it.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    facts: Mutex<Facts>,
    /// Whether to reset instead of to close: what the client does not take must not stay with us.
    reset: AtomicBool,
}

impl Activity {
    pub(super) fn new() -> Self {
        let facts = Mutex::new(Facts::new(Instant::now()));
        Self(Arc::new(Shared {
            facts,
            reset: AtomicBool::new(false),
        }))
    }

    /// Reads or changes the facts.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Facts) -> T) -> T {
        // Facts that a panic left behind still time a connection well enough.
        change(&mut self.0.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Judges the facts now.
    pub(super) fn judge(&self, limits: &Limits) -> Verdict {
        let now = Instant::now();
        self.with(|facts| facts.judge(limits, now))
    }

    /// A request begins; it is in flight until the last clone of the result is dropped.
    pub(super) fn begin(&self) -> Arc<InFlight> {
        self.with(Facts::begin);
        Arc::new(InFlight(self.clone()))
    }

    /// The socket is to be reset when it is dropped.
    pub(super) fn reset(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }
}

/// A request in flight; its body and its answer each hold a clone.
#[derive(Debug)]
pub(super) struct InFlight(Activity);

impl Drop for InFlight {
    fn drop(&mut self) {
        let now = Instant::now();
        self.0.with(|facts| facts.end(now));
    }
}

/// A stream whose peer can be told that all is lost.
pub(super) trait Reset {
    /// Makes the coming close a reset that discards what was not sent.
    fn reset(&self) -> io::Result<()>;
}

impl Reset for TcpStream {
    fn reset(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct Guard<S: Reset> {
    inner: S,
    activity: Activity,
    /// A flush waits for the client: the stream has taken what the socket did not take yet.
    flushing: bool,
    /// Our side has said that it is done.
    finished: bool,
}

impl<S: Reset> Guard<S> {
    pub(super) const fn new(inner: S, activity: Activity) -> Self {
        Self {
            inner,
            activity,
            flushing: false,
            finished: false,
        }
    }

    fn wrote<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => {
                let now = Instant::now();
                self.activity.with(|facts| facts.blocked(now));
            }
            Poll::Ready(_) => self.activity.with(Facts::taken),
        }
        written
    }
}

impl<S: Reset> Drop for Guard<S> {
    fn drop(&mut self) {
        if self.activity.0.reset.load(Ordering::Relaxed)
            && let Err(error) = self.inner.reset()
        {
            tracing::debug!(%error, "failed to reset a connection");
        }
    }
}

impl<S: AsyncRead + Reset + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        let now = Instant::now();
        self.activity.with(|facts| facts.received(bytes, now));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Reset + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// A stream that encrypts holds bytes back, so that waiting for the client may show here alone; a socket never waits.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if flushed.is_ready() && !self.flushing {
            return flushed;
        }
        self.flushing = flushed.is_pending();
        self.wrote(flushed)
    }

    /// Says that we are done, then reads what still comes until the client is done too.
    ///
    /// A socket closed with unread bytes is reset by the system, and a client that is still sending
    /// would lose the answer that tells it to stop. `phase` bounds the wait.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            ready!(Pin::new(&mut self.inner).poll_shutdown(context))?;
            self.finished = true;
            let now = Instant::now();
            self.activity.with(|facts| facts.close(now));
        }
        let mut bytes = [0; 4096];
        // A fast sender must not keep this task from its deadline: a few reads, then again.
        for _ in 0..16 {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // Their end, or their reset: either way nobody reads our answer any more.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
