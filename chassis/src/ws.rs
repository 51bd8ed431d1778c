//! The one adapter between WebSocket and HTTP services: each message becomes a request of its own to an application, each
//! answer a message, in the order in which they are ready.
//!
//! It knows frames, flow and time, and neither models nor what messages say: that is the [`Language`] of whoever uses it.
//! [`Endpoint::upgrade`] judges a request (`offer`) and leaves a task to its connection, [`run()`]. That is a thin loop around
//! two pure deciders: `session` (messages, requests in flight, what to do next) and `timing` (what is due when), with `wire`
//! below it (frames, a bounded output; `stream` and `fragments` count below the frames) and `calls` beside it (the requests in
//! flight).
//!
//! Everything is bounded: connections, messages, their fragments, the bytes of unfinished ones over all connections,
//! requests and answers in flight, silence, and the time in which a caller must take what it asked for.

mod calls;
mod close;
mod endpoint;
mod fragments;
mod language;
mod offer;
mod run;
mod session;
mod stream;
mod timing;
mod wire;

use std::time::Duration;

pub use close::Close;
pub use endpoint::{Endpoint, Seat, Service};
pub use language::{Asked, Failed, Form, Language, Outgoing};
pub use offer::Refusal;
pub use run::run;

/// Bounds of every WebSocket; those that are not sizes are the product's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// WebSockets at once; a further upgrade is refused.
    pub connections: usize,
    /// Bytes of a message; else 1009.
    pub message_bytes: usize,
    /// Fragments of a message; else 1009.
    pub fragments: u32,
    /// Bytes of all messages that are not complete yet, over all WebSockets; whoever sends more gets 1013.
    pub unfinished_bytes: u64,
    /// Bytes of an answer; a longer one is a failure.
    pub answer_bytes: usize,
    /// Requests in flight and answers not yet sent: then nothing more is read.
    pub in_flight: usize,
    /// Messages in a row that make no sense; then 1008.
    pub malformed: u32,
    /// Between two pings; and how long a caller may be silent after one.
    pub ping: Duration,
    /// Without a message, an answer or a request in flight; then 1001.
    pub idle: Duration,
    /// Without a byte taken by a caller to whom something is sent.
    pub write: Duration,
    /// For a caller that was told to go, to do so.
    pub linger: Duration,
}

impl Limits {
    /// With messages of at most `message_bytes`, answers of at most `answer_bytes`, and `unfinished_bytes` for all messages
    /// that are on their way.
    #[must_use]
    pub const fn new(message_bytes: usize, answer_bytes: usize, unfinished_bytes: u64) -> Self {
        Self {
            connections: 1024,
            message_bytes,
            fragments: 1024,
            unfinished_bytes,
            answer_bytes,
            in_flight: 32,
            malformed: 10,
            ping: Duration::from_secs(20),
            idle: Duration::from_secs(600),
            write: Duration::from_secs(10),
            linger: Duration::from_secs(1),
        }
    }
}
