//! Lane `hostile`: the real server process on loopback, and callers that mean no good.
//!
//! Promises: every bad request gets its documented 4xx, nothing gets a 5xx or hangs, and whoever
//! behaves is served meanwhile. Run by `cargo xtask test hostile`, which builds the server first.

#![expect(
    clippy::disallowed_methods,
    reason = "what happens to real processes is measured in real time"
)]

mod bodies;
#[path = "../../../protocol/testdata/cases.rs"]
mod cases;
mod conformance;
mod framing;
mod generated;
mod h2spec;
mod models;
mod process;
mod slow;
mod websocket;
mod wire;
