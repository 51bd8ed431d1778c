//! The body of a request on its way to a pod: bounded, counted, and kept for a second attempt as long as it is small.
//!
//! [`Source`] is the caller's body. Each attempt reads it through an [`Upload`] of its own, from the start: first what an attempt
//! before has read already, then what comes. An upload that is not the last one ends at once, so that two never read side by
//! side. Back-pressure is whoever polls: nothing is read ahead.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use aimass_chassis::listener::TooSlow;
use aimass_protocol::{Error as Refused, Kind};
use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use thiserror::Error;

/// Bytes of one body that are kept.
const KEPT_BYTES: u64 = 64 << 10;
/// Pieces of one body that are kept: each holds on to what it was read into.
const KEPT_PIECES: usize = 64;

/// What is wrong with a caller's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::phase) enum Fault {
    /// It has more bytes than the model takes.
    TooLarge,
    /// It came too slowly.
    TooSlow,
    /// It ended early or is malformed.
    Broken,
}

impl Fault {
    /// What `error` says, which the caller's body ended with.
    pub(in crate::phase) fn of(error: &axum::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if error.is::<TooSlow>() {
                return Self::TooSlow;
            }
            cause = error.source();
        }
        Self::Broken
    }

    /// What the caller is told, whose body may have `limit` bytes.
    pub(in crate::phase) fn error(self, limit: u64) -> Refused {
        match self {
            Self::TooLarge => Refused::body_too_large(usize::try_from(limit).unwrap_or(usize::MAX)),
            Self::TooSlow => Refused::body_too_slow(),
            Self::Broken => {
                let text = "The request body is incomplete or badly framed";
                Refused::new(Kind::BadRequest, text)
            }
        }
    }
}

/// Why an upload ends early.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum Ended {
    /// The caller's body is at fault.
    #[error("the caller's body is at fault: {0:?}")]
    Fault(Fault),
    /// Another attempt has begun.
    #[error("another attempt has begun")]
    Superseded,
}

/// Bytes that all bodies together may keep.
#[derive(Clone, Debug)]
pub(super) struct Room {
    used: Arc<AtomicU64>,
    limit: u64,
}

impl Room {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            used: Arc::default(),
            limit,
        }
    }

    /// Takes so many bytes, if they are left.
    fn take(&self, bytes: u64) -> bool {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = used.saturating_add(bytes) <= self.limit;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What was read and may be read again.
#[derive(Debug)]
struct Kept {
    pieces: Vec<Bytes>,
    bytes: u64,
    room: Room,
}

impl Kept {
    /// Keeps one more piece; `false`: it does not fit.
    fn push(&mut self, piece: &Bytes) -> bool {
        let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let fits = self.bytes.saturating_add(bytes) <= KEPT_BYTES
            && self.pieces.len() < KEPT_PIECES
            && self.room.take(bytes);
        if fits {
            self.bytes += bytes;
            self.pieces.push(piece.clone());
        }
        fits
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.room.give_back(self.bytes);
    }
}

/// The caller's body; clones share it.
#[derive(Clone)]
pub(in crate::phase) struct Source(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    /// The body's length, if it was told.
    exact: Option<u64>,
    limit: u64,
    read: u64,
    counted: Arc<AtomicU64>,
    /// Nothing any more once it was too much, or an answer is there.
    kept: Option<Kept>,
    /// There is nothing more to come.
    over: bool,
    fault: Option<Fault>,
    /// The number of the last attempt.
    attempt: u32,
    /// Whoever waits for the next piece.
    waiting: Option<Waker>,
}

impl Source {
    /// A body of at most `limit` bytes, which are counted in `counted`.
    pub(super) fn new(body: Body, limit: u64, counted: Arc<AtomicU64>, room: &Room) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            exact: body.size_hint().exact(),
            over: body.is_end_stream(),
            body,
            limit,
            read: 0,
            counted,
            kept: Some(Kept {
                pieces: Vec::new(),
                bytes: 0,
                room: room.clone(),
            }),
            fault: None,
            attempt: 0,
            waiting: None,
        })))
    }

    /// The body for one more attempt; the one before gets no more of it.
    pub(super) fn upload(&self) -> Upload {
        let mut inner = self.lock();
        inner.attempt = inner.attempt.wrapping_add(1);
        inner.wake();
        Upload {
            source: Arc::clone(&self.0),
            attempt: inner.attempt,
            replayed: 0,
        }
    }

    /// Whether another attempt would get all of it.
    pub(super) fn is_replayable(&self) -> bool {
        let inner = self.lock();
        inner.kept.is_some() && inner.fault.is_none()
    }

    /// There is an answer: nothing is sent again.
    pub(super) fn forget(&self) {
        self.lock().kept = None;
    }

    /// Nobody wants the rest of it any more: it is let go, so that the caller's connection can end or go on. An upload that
    /// is still under way breaks.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.kept = None;
        if !inner.over {
            inner.body = Body::empty();
            inner.fault.get_or_insert(Fault::Broken);
            inner.wake();
        }
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.lock().fault
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    // A body that panicked is broken, and says so when it is read again.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// What somebody waits for has changed.
    fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// The next piece of the caller's body.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Ended>>> {
        loop {
            if let Some(fault) = self.fault {
                return Poll::Ready(Some(Err(Ended::Fault(fault))));
            }
            if self.over {
                return Poll::Ready(None);
            }
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => {
                    self.waiting = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(frame) => frame,
            };
            match frame {
                // Trailers say nothing to a server of ours.
                Some(Ok(frame)) => match frame.into_data() {
                    // Over HTTP/2 each would be a frame, and pods close a connection that brings a hundred of those.
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) if self.take(&piece) => {
                        // Known now, the end goes out with the last piece.
                        self.over = self.body.is_end_stream();
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    Ok(_) => self.fault = Some(Fault::TooLarge),
                    Err(_trailers) => {}
                },
                Some(Err(error)) => self.fault = Some(Fault::of(&error)),
                None => self.over = true,
            }
        }
    }

    /// Counts and keeps a piece; `false`: it is beyond the limit.
    fn take(&mut self, piece: &Bytes) -> bool {
        let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.read = self.read.saturating_add(bytes);
        if self.read > self.limit {
            return false;
        }
        self.counted.store(self.read, Ordering::Relaxed);
        if let Some(kept) = &mut self.kept
            && !kept.push(piece)
        {
            self.kept = None;
        }
        true
    }
}

/// The caller's body, for one attempt.
pub(super) struct Upload {
    source: Arc<Mutex<Inner>>,
    attempt: u32,
    /// Kept pieces that this attempt has been given.
    replayed: usize,
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        let source = Arc::clone(&self.source);
        let mut inner = lock(&source);
        if inner.attempt != self.attempt {
            return Poll::Ready(Some(Err(Ended::Superseded)));
        }
        let kept = inner.kept.as_ref();
        if let Some(piece) = kept.and_then(|kept| kept.pieces.get(self.replayed)) {
            self.replayed += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        let polled = inner.poll(context);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.replayed += 1;
        }
        polled.map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        let inner = lock(&self.source);
        let kept = inner.kept.as_ref().map_or(0, |kept| kept.pieces.len());
        inner.over && self.replayed >= kept
    }

    fn size_hint(&self) -> SizeHint {
        let exact = lock(&self.source).exact;
        exact.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests;
