//! The body of a pod's answer on its way to the caller: piece by piece as it comes, and never made whole where it was cut.
//!
//! It takes along what must not end before it: the request's place on the pod, the caller's place among its requests in flight,
//! and the record. An answer of gRPC ends with trailers: the pod's, or where it was cut such as say so. Until its first byte the request's deadline holds; afterwards the pod may pause only so long. Made by
//! `record`, polled by the listener at the pace of the caller.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aimass_protocol::{Error as Refused, Kind};
use axum::body::Bytes;
use axum::http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::time::{Instant, Sleep};

use super::super::admit::Ticket;
use super::super::grpc::{self, Wire};
use super::super::record::Record;
use super::upload::Source;
use crate::app::random;
use crate::headers;
use crate::table::live::Flight;
use crate::table::live::health::Outcome;

/// How long a pod may say nothing in the middle of an answer.
const PAUSE: Duration = Duration::from_secs(300);

/// Why an answer is cut short. The listener breaks the connection, or the stream of HTTP/2.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Cut {
    /// The pod broke it off.
    #[error("the pod broke off its answer")]
    Broken,
    /// The pod said nothing for too long.
    #[error("the pod did not go on with its answer in time")]
    Late,
    /// The gateway ends.
    #[error("the gateway is stopping")]
    Aborted,
}

impl Cut {
    /// What the trailers of gRPC say of it.
    fn error(self) -> Refused {
        match self {
            Self::Broken => Refused::upstream_broken(),
            Self::Late => {
                let text = "The model server did not go on with its answer in time";
                Refused::new(Kind::Deadline, text)
            }
            Self::Aborted => Refused::draining(),
        }
    }
}

/// How an answer shows that it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::phase) enum End {
    /// Its body ends.
    Body,
    /// Trailers follow its body.
    Trailers,
}

impl End {
    /// That of an answer with such a head.
    pub(in crate::phase) fn of(wire: Wire, head: &HeaderMap) -> Self {
        match wire {
            Wire::Grpc if grpc::status(head).is_none() => Self::Trailers,
            Wire::Plain | Wire::Grpc => Self::Body,
        }
    }
}

/// A pod's answer. `B` is hyper's; tests have others.
pub struct Reply<B: Body> {
    body: B,
    end: End,
    /// Trailers were given: nothing follows them.
    over: bool,
    /// Nothing once all is told.
    held: Option<Held>,
    /// What ends the wait for the next piece, made when one is waited for.
    ends: Option<Ends>,
    waiting: bool,
    /// Until the first piece.
    deadline: Option<Instant>,
}

/// What ends the wait for a piece, other than the piece.
struct Ends {
    timer: Pin<Box<Sleep>>,
    aborted: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What must not end before the answer.
struct Held {
    flight: Flight,
    _ticket: Ticket,
    record: Record,
    source: Source,
}

impl<B: Body<Data = Bytes> + Unpin> Reply<B> {
    pub(in crate::phase) fn new(
        (body, end): (B, End),
        deadline: Instant,
        (flight, ticket, source): (Flight, Ticket, Source),
        record: Record,
    ) -> Self {
        Self {
            body,
            end,
            over: false,
            held: Some(Held {
                flight,
                _ticket: ticket,
                record,
                source,
            }),
            ends: None,
            waiting: false,
            deadline: Some(deadline),
        }
    }

    /// Whether the piece that is waited for comes too late, or never.
    fn poll_ends(&mut self, context: &mut Context<'_>) -> Poll<Cut> {
        let Some(held) = &self.held else {
            return Poll::Pending;
        };
        let until = self.deadline.unwrap_or_else(|| Instant::now() + PAUSE);
        let ends = self.ends.get_or_insert_with(|| Ends {
            timer: Box::pin(tokio::time::sleep_until(until)),
            aborted: Box::pin(held.record.state().aborted().clone().cancelled_owned()),
        });
        if !self.waiting {
            // From now on, and not from the last piece: it is the caller who decides when the next one is asked for.
            self.waiting = true;
            ends.timer.as_mut().reset(until);
        }
        if ends.aborted.as_mut().poll(context).is_ready() {
            return Poll::Ready(Cut::Aborted);
        }
        ends.timer.as_mut().poll(context).map(|()| Cut::Late)
    }

    /// The last of an answer that is cut short.
    fn cut(&mut self, cut: Cut) -> Result<Frame<Bytes>, Cut> {
        if let Some(mut held) = self.held.take() {
            let kind = match (cut, held.source.fault()) {
                (Cut::Aborted, _) => Kind::Draining,
                // An upload that went on beside the answer broke both.
                (_, Some(_)) => Kind::Cancelled,
                (Cut::Broken, None) => Kind::UpstreamBroken,
                (Cut::Late, None) => Kind::Deadline,
            };
            if matches!(kind, Kind::UpstreamBroken | Kind::Deadline) {
                let now = Instant::now().into_std();
                held.flight.report(Outcome::Failed, now, random());
            }
            held.record.broke(kind);
        }
        match self.end {
            End::Body => Err(cut),
            End::Trailers => {
                self.over = true;
                Ok(Frame::trailers(grpc::failure(&cut.error())))
            }
        }
    }

    fn complete(&mut self) {
        if let Some(mut held) = self.held.take() {
            held.record.complete();
        }
    }

    /// The pod's trailers, which end its answer; `None`: none that the caller could do something with.
    fn trailers(&mut self, trailers: &HeaderMap) -> Option<Frame<Bytes>> {
        // Those of HTTP are of the connection to the pod.
        let (status, kind) = match self.end {
            End::Body => return None,
            End::Trailers => grpc::status(trailers)?,
        };
        if let Some(held) = &mut self.held {
            held.record.answers(status, kind);
        }
        self.complete();
        self.over = true;
        Some(Frame::trailers(headers::from_pod(trailers)))
    }
}

impl<B> Body for Reply<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    let cut = ready!(self.poll_ends(context));
                    return Poll::Ready(Some(self.cut(cut)));
                }
            };
            self.waiting = false;
            match frame {
                Some(Ok(frame)) => {
                    let piece = match frame.into_data() {
                        // Over HTTP/2 each would be a frame, and clients close a connection that brings many of those.
                        Ok(piece) if piece.is_empty() => continue,
                        Ok(piece) => piece,
                        Err(frame) => {
                            let trailers = frame.into_trailers().unwrap_or_default();
                            match self.trailers(&trailers) {
                                Some(trailers) => return Poll::Ready(Some(Ok(trailers))),
                                None => continue,
                            }
                        }
                    };
                    self.deadline = None;
                    if let Some(held) = &mut self.held {
                        held.record.sent(piece.len());
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "a pod broke off its answer");
                    return Poll::Ready(Some(self.cut(Cut::Broken)));
                }
                None if self.end == End::Trailers => {
                    tracing::debug!("a pod ended its answer without a status");
                    return Poll::Ready(Some(self.cut(Cut::Broken)));
                }
                None => {
                    self.complete();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.is_at_end()
    }

    fn size_hint(&self) -> SizeHint {
        match self.end {
            End::Body => self.body.size_hint(),
            // Trailers may have to end it early.
            End::Trailers => SizeHint::default(),
        }
    }
}

impl<B: Body> Reply<B> {
    /// Whether nothing more is to come of a body that is whole without trailers.
    fn is_at_end(&self) -> bool {
        self.end == End::Body && self.body.is_end_stream()
    }
}

impl<B: Body> Drop for Reply<B> {
    fn drop(&mut self) {
        // Whoever knows the length does not ask for the end. If it is not the end, the record tells that the caller is gone.
        let whole = self.is_at_end();
        if let Some(held) = &mut self.held
            && whole
        {
            held.record.complete();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.source.abandon();
    }
}

#[cfg(test)]
mod tests;
