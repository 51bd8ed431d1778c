//! The body of a pod's answer, and its place on a connection.
//!
//! Made by `pods`; whatever it is given to reads it as hyper's own.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::lanes::Lane;

/// The body of an answer.
#[derive(Debug)]
pub(in crate::phase) struct Arrival {
    body: Incoming,
    /// Held, never read.
    _lane: Option<Lane>,
}

impl Arrival {
    pub(super) const fn new(body: Incoming, lane: Option<Lane>) -> Self {
        Self { body, _lane: lane }
    }
}

impl Body for Arrival {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
