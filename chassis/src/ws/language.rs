//! What the adapter leaves to its user: the meaning of messages.

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http::response::Parts;

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// What a message asks for.
#[derive(Debug)]
pub enum Asked {
    /// A request to the application; its answer will carry `id`.
    Call {
        /// Not that of another request in flight, or the caller is told so.
        id: String,
        /// What the application gets.
        request: Request<Body>,
    },
    /// That a request in flight be given up. Nothing, if there is none of this id.
    Cancel {
        /// Its id.
        id: String,
    },
    /// Nothing that can be done: this is the answer.
    Malformed(Outgoing),
    /// A form that has no meaning here.
    Unsupported,
}

/// A message to the caller: `head`, then `body`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// How it is sent.
    pub form: Form,
    /// What comes first.
    pub head: Bytes,
    /// What follows; not copied if it is large.
    pub body: Bytes,
    /// The caller's message made no sense.
    pub malformed: bool,
}

/// Why a request has no answer of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Another one of this id is in flight.
    Duplicate,
    /// The caller gave it up.
    Cancelled,
    /// The application's answer broke off or is too long.
    Broken,
}

/// A subprotocol. Its methods are pure; large messages are read on another thread.
pub trait Language: Send + Sync + 'static {
    /// What a message asks for; it is the `number`th of its connection, from 1.
    fn read(&self, form: Form, message: Bytes, number: u64) -> Asked;

    /// The message for what the application answered.
    fn answer(&self, id: &str, head: &Parts, body: Bytes) -> Outgoing;

    /// The message for a request without an answer; it was the `number`th message.
    fn failed(&self, id: &str, number: u64, failed: Failed) -> Outgoing;
}
