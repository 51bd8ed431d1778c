//! Bodies under watch: a request body that comes too slowly is an error of its own kind; an answer
//! keeps its request in flight until its last frame.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::{Instant, Sleep};

use super::Limits;
use super::guard::InFlight;

/// A request body brought fewer bytes than it must: answer 408 and close.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("request body arrived too slowly")]
pub struct TooSlow;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request body whose rate is bounded below while somebody waits for it.
pub(super) struct Watched {
    inner: Incoming,
    window: Duration,
    window_bytes: u64,
    /// Bytes in the window; the first window counts as full.
    seen: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub(super) fn new(inner: Incoming, limits: &Limits) -> Self {
        let (window, window_bytes) = (limits.body_window, limits.body_window_bytes);
        Self {
            inner,
            window,
            window_bytes,
            seen: window_bytes,
            timer: None,
        }
    }

    /// Judges the window when it ends; true if the body is too slow.
    fn is_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        let window = self.window;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(window)));
        while timer.as_mut().poll(context).is_ready() {
            if self.seen < self.window_bytes {
                return true;
            }
            self.seen = 0;
            timer.as_mut().reset(Instant::now() + window);
        }
        false
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.seen = self
                    .seen
                    .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.is_too_slow(context) => Poll::Ready(Some(Err(TooSlow.into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body that holds its request's place among those in flight.
pub(super) struct Counted {
    inner: Body,
    _in_flight: InFlight,
}

impl Counted {
    pub(super) fn new(inner: Body, in_flight: InFlight) -> Self {
        Self {
            inner,
            _in_flight: in_flight,
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
