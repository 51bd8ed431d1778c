//! The server as its callers see it: the app in process, without a port, with real models.
//!
//! `serving` holds the nouns; every other module is one promise.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics; the lint knows only functions marked as tests"
)]

mod archives;
mod batches;
#[path = "../../../protocol/testdata/cases.rs"]
mod cases;
mod conformance;
mod engines;
mod fetching;
mod graphs;
mod grpc;
mod handmade;
mod hostile;
mod inspecting;
mod labels;
mod limits;
mod panics;
mod predict;
mod process;
mod readiness;
mod rejections;
mod serving;
mod shapes;
mod standalone;
mod traces;
mod twins;
mod versions;
mod websocket;
