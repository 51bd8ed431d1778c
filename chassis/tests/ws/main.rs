//! The WebSocket adapter over streams in memory, with paused time: flow, time, ends, and frames that mean no good.
//!
//! `peer` holds the nouns, `words` the subprotocol of these tests and its application.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics; the lint knows only functions marked as tests"
)]

mod ends;
mod flow;
mod frames;
mod peer;
mod properties;
mod time;
mod words;
