//! Messages in and out of a stream: frames by tungstenite, an outbox that holds no copy of what is large, and an end that
//! the caller hears of. Used by `run`, which decides everything.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink as _, SinkExt as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, error::ProtocolError};

use super::endpoint::Seat;
use super::stream::Watched;
use super::{Close, Form, Limits, Outgoing};

/// Bytes read at once, also what a connection may hold unread.
const READ_BYTES: usize = 16 << 10;
/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 16 << 10;
/// An answer leaves in frames of at most this size: written in one, what the socket does not take would be moved again
/// and again.
const FRAME_BYTES: usize = 32 << 10;

/// What happened on the wire.
#[derive(Debug)]
pub(super) enum Event {
    /// A whole message came.
    Heard(Form, Bytes),
    /// A pong came.
    Pong,
    /// The socket has taken that many messages more; or what is known of it changed.
    Sent(usize),
    /// The caller closes.
    Closed,
    /// The caller is gone.
    Gone,
    /// The caller broke a rule.
    Broken(Close),
}

pub(super) struct Wire<S> {
    socket: WebSocketStream<Watched<S>>,
    outbox: VecDeque<Outgoing>,
    /// How the next frame of the first message continues it.
    continues: bool,
    ping: bool,
    /// Messages given to the socket and not flushed.
    given: usize,
    flushed: bool,
    /// What `poll` has told of [`Watched::blocked`].
    blocked: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) async fn new(stream: S, seat: &Seat) -> Self {
        let limits = seat.limits();
        let stream = Watched::new(stream, limits.fragments, seat.unfinished());
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(WRITE_BYTES)
            // Never reached: a frame is given only when the one before fits.
            .max_write_buffer_size(4 * FRAME_BYTES)
            .max_frame_size(Some(limits.message_bytes))
            .max_message_size(Some(limits.message_bytes));
        Self {
            socket: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
            outbox: VecDeque::new(),
            continues: false,
            ping: false,
            given: 0,
            flushed: true,
            blocked: None,
        }
    }

    /// When the last byte came.
    pub(super) fn heard(&self) -> Instant {
        self.socket.get_ref().heard()
    }

    /// Since when the socket takes nothing.
    pub(super) fn blocked(&self) -> Option<Instant> {
        self.socket.get_ref().blocked()
    }

    /// Sends a message after those before it. The caller bounds how many there are.
    pub(super) fn say(&mut self, message: Outgoing) {
        self.outbox.push_back(message);
    }

    /// Sends a ping, before all messages.
    pub(super) fn ping(&mut self) {
        self.ping = true;
    }

    /// Sends what there is and, if `reads`, reads.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, reads: bool) -> Poll<Event> {
        if let Poll::Ready(event) = self.poll_send(context) {
            return Poll::Ready(event);
        }
        let heard = if reads {
            self.poll_read(context)
        } else {
            Poll::Pending
        };
        let blocked = self.blocked();
        if heard.is_pending() && self.blocked != blocked {
            self.blocked = blocked;
            return Poll::Ready(Event::Sent(0));
        }
        heard
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        while self.ping || !self.outbox.is_empty() {
            if ready!(Pin::new(&mut self.socket).poll_ready(context)).is_err() {
                return Poll::Ready(Event::Gone);
            }
            let Some(frame) = self.next_frame() else {
                break;
            };
            self.flushed = false;
            if Pin::new(&mut self.socket).start_send(frame).is_err() {
                return Poll::Ready(Event::Gone);
            }
        }
        if self.flushed {
            return Poll::Pending;
        }
        if ready!(Pin::new(&mut self.socket).poll_flush(context)).is_err() {
            return Poll::Ready(Event::Gone);
        }
        self.flushed = true;
        Poll::Ready(Event::Sent(std::mem::take(&mut self.given)))
    }

    /// The next frame to send.
    fn next_frame(&mut self) -> Option<Message> {
        if std::mem::take(&mut self.ping) {
            return Some(Message::Ping(Bytes::new()));
        }
        let message = self.outbox.front_mut()?;
        let payload = next_payload(message);
        let last = message.head.is_empty() && message.body.is_empty();
        let form = match (self.continues, message.form) {
            (true, _) => Data::Continue,
            (false, Form::Text) => Data::Text,
            (false, Form::Binary) => Data::Binary,
        };
        self.continues = !last;
        if last {
            self.outbox.pop_front();
            self.given += 1;
        }
        Some(Message::Frame(Frame::message(
            payload,
            OpCode::Data(form),
            last,
        )))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        loop {
            let message = match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Poll::Ready(self.broken(&error)),
                None => return Poll::Ready(Event::Gone),
            };
            return Poll::Ready(match message {
                Message::Text(text) => Event::Heard(Form::Text, text.into()),
                Message::Binary(bytes) => Event::Heard(Form::Binary, bytes),
                // Answered below us, with the next read or write.
                Message::Ping(_) | Message::Frame(_) => continue,
                Message::Pong(_) => Event::Pong,
                Message::Close(_) => Event::Closed,
            });
        }
    }

    fn broken(&self, error: &Error) -> Event {
        if let Some(breach) = self.socket.get_ref().breach() {
            return Event::Broken(breach);
        }
        tracing::debug!(%error, "a WebSocket broke");
        match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Event::Gone,
            Error::Protocol(_) => Event::Broken(Close::PROTOCOL),
            Error::Utf8(_) => Event::Broken(Close::ENCODING),
            Error::Capacity(_) => Event::Broken(Close::TOO_LARGE),
            // The rest is I/O, or belongs to handshakes, which are not made here.
            _ => Event::Gone,
        }
    }

    /// The stream, with whatever it has not taken.
    pub(super) fn into_inner(self) -> S {
        self.socket.into_inner().into_inner()
    }

    /// Says why, if there is something to say, and ends the stream so that the caller can read it; returns the stream of
    /// a caller who does not.
    pub(super) async fn finish(mut self, close: Option<Close>, limits: &Limits) -> Option<S> {
        let close = close.map(|Close { code, reason }| {
            Message::Close(Some(CloseFrame {
                code: code.into(),
                reason: reason.into(),
            }))
        });
        let socket = &mut self.socket;
        let goodbye = async {
            match close {
                Some(close) => socket.send(close).await,
                // The caller's own close may wait for its answer.
                None => socket.flush().await,
            }
        };
        let Ok(Ok(())) = timeout(limits.write, goodbye).await else {
            return Some(self.into_inner());
        };
        let ended = timeout(limits.linger, self.socket.get_mut().shutdown()).await;
        tracing::trace!(?ended, "a WebSocket has ended");
        None
    }
}

/// Takes the payload of the next frame from the front of `message`.
fn next_payload(message: &mut Outgoing) -> Bytes {
    let Outgoing { head, body, .. } = message;
    if head.is_empty() {
        return body.split_to(body.len().min(FRAME_BYTES));
    }
    if head.len().saturating_add(body.len()) <= FRAME_BYTES {
        let whole = [std::mem::take(head), std::mem::take(body)].concat();
        return whole.into();
    }
    head.split_to(head.len().min(FRAME_BYTES))
}
