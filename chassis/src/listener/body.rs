//! Bodies under watch. A request's body must come fast enough while somebody waits for it, and what
//! goes wrong with it is noted; an answer leaves in pieces, each of which must be taken in time.
//!
//! Both keep their request in flight. Made by `front`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::{Instant, Sleep};

use super::Limits;
use super::guard::{Activity, InFlight};

/// An answer leaves in pieces of at most this size, so that its end is known to within one.
const PIECE_BYTES: usize = 64 << 10;

/// A request body brought fewer bytes than it must: answer 408. The listener does so itself if the
/// application answers with a success, and closes the connection in any case.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("request body arrived too slowly")]
pub struct TooSlow;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong with a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It came too slowly.
    Slow,
    /// It ended early or is malformed.
    Broken,
}

/// Where a body notes its fault for the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted(Arc<AtomicU8>);

impl Noted {
    fn note(&self, fault: Fault) {
        let number = match fault {
            Fault::Slow => 1,
            Fault::Broken => 2,
        };
        self.0.store(number, Ordering::Release);
    }

    pub(super) fn get(&self) -> Option<Fault> {
        match self.0.load(Ordering::Acquire) {
            1 => Some(Fault::Slow),
            2 => Some(Fault::Broken),
            _ => None,
        }
    }
}

/// A request's body.
pub(super) struct Watched {
    inner: Incoming,
    rate: Rate,
    noted: Noted,
    _in_flight: Arc<InFlight>,
}

impl Watched {
    pub(super) fn new(
        inner: Incoming,
        limits: &Limits,
        noted: Noted,
        in_flight: Arc<InFlight>,
    ) -> Self {
        Self {
            inner,
            rate: Rate::new(limits),
            noted,
            _in_flight: in_flight,
        }
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
                self.rate.came(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.noted.note(Fault::Broken);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.rate.is_too_slow(context) => {
                self.noted.note(Fault::Slow);
                Poll::Ready(Some(Err(TooSlow.into())))
            }
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

/// The least rate of a body, over windows of the time in which somebody waited for it: an
/// application that does not read must not blame the client.
struct Rate {
    window: Duration,
    window_bytes: u64,
    /// Bytes of this window; the first one counts as full.
    seen: u64,
    /// Time waited in this window, without the wait that runs.
    waited: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Rate {
    const fn new(limits: &Limits) -> Self {
        Self {
            window: limits.body_window,
            window_bytes: limits.body_window_bytes,
            seen: limits.body_window_bytes,
            waited: Duration::ZERO,
            since: None,
            timer: None,
        }
    }

    fn came(&mut self, bytes: usize) {
        self.seen = self
            .seen
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(since.elapsed());
        }
    }

    /// Called while the body is waited for; judges each window at its end.
    fn is_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            let end = now + self.window.saturating_sub(self.waited);
            let timer = || Box::pin(tokio::time::sleep_until(end));
            self.timer.get_or_insert_with(timer).as_mut().reset(end);
        }
        let Some(timer) = &mut self.timer else {
            return false;
        };
        while timer.as_mut().poll(context).is_ready() {
            if self.seen < self.window_bytes {
                return true;
            }
            let now = Instant::now();
            (self.seen, self.waited, self.since) = (0, Duration::ZERO, Some(now));
            timer.as_mut().reset(now + self.window);
        }
        false
    }
}

/// An answer's body.
pub(super) struct Answer {
    inner: Body,
    /// What of the last frame has not been handed out.
    rest: Bytes,
    number: u64,
    activity: Activity,
    /// How long a piece may take: a pause and the least rate.
    pause: Duration,
    bytes_per_second: u64,
    _in_flight: Arc<InFlight>,
}

impl Answer {
    pub(super) fn new(
        inner: Body,
        limits: &Limits,
        activity: Activity,
        in_flight: Arc<InFlight>,
    ) -> Self {
        let window = u64::try_from(limits.body_window.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        Self {
            inner,
            rest: Bytes::new(),
            number: activity.with(super::phase::Facts::answer),
            activity,
            pause: limits.write,
            bytes_per_second: (limits.body_window_bytes.saturating_mul(1000) / window).max(1),
            _in_flight: in_flight,
        }
    }

    fn hand(&mut self, mut data: Bytes) -> Frame<Bytes> {
        self.rest = data.split_off(data.len().min(PIECE_BYTES));
        if !self.is_end_stream() {
            let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
            let until = Instant::now()
                + self.pause
                + Duration::from_millis(bytes.saturating_mul(1000) / self.bytes_per_second);
            self.activity.with(|facts| facts.handed(self.number, until));
        }
        Frame::data(data)
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.activity.with(|facts| facts.asked(self.number));
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.hand(rest))));
        }
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let frame = match frame.into_data() {
                    Ok(data) => self.hand(data),
                    Err(trailers) => trailers,
                };
                Poll::Ready(Some(Ok(frame)))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        // The upper bound first: the lower one may not exceed it.
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(inner.lower().saturating_add(rest));
        hint
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.activity.with(|facts| facts.asked(self.number));
    }
}
