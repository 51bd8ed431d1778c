//! The stream below the frames: notes when bytes come and when none are taken, and bounds what frames do not. Used by `wire`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Close;
use super::endpoint::Unfinished;
use super::fragments::Fragments;

/// A stream under watch.
pub(super) struct Watched<S> {
    inner: S,
    fragments: Fragments,
    max_fragments: u32,
    unfinished: Unfinished,
    breach: Option<Close>,
    heard: Instant,
    blocked: Option<Instant>,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, max_fragments: u32, unfinished: Unfinished) -> Self {
        Self {
            inner,
            fragments: Fragments::default(),
            max_fragments,
            unfinished,
            breach: None,
            heard: Instant::now(),
            blocked: None,
        }
    }

    pub(super) fn into_inner(self) -> S {
        self.inner
    }

    /// Why reading failed, if it was a bound of ours.
    pub(super) const fn breach(&self) -> Option<Close> {
        self.breach
    }

    /// When the last byte came.
    pub(super) const fn heard(&self) -> Instant {
        self.heard
    }

    /// Since when the socket takes nothing of what it was given.
    pub(super) const fn blocked(&self) -> Option<Instant> {
        self.blocked
    }

    fn judge(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.heard = Instant::now();
        let fragments = self.fragments.take(bytes);
        let fits = self.unfinished.set(self.fragments.unfinished());
        self.breach = match (fragments > self.max_fragments, fits) {
            (true, _) => Some(Close::FRAGMENTS),
            (false, false) => Some(Close::MEMORY),
            (false, true) => return Ok(()),
        };
        Err(io::ErrorKind::QuotaExceeded.into())
    }

    fn wrote<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => _ = self.blocked.get_or_insert_with(Instant::now),
            Poll::Ready(_) => self.blocked = None,
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.judge(bytes))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
