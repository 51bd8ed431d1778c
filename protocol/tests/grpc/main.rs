//! The Open Inference Protocol over gRPC: messages, requests, answers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics; the lint knows only functions marked as tests"
)]

mod answers;
mod descriptor;
#[path = "../wire/models.rs"]
mod models;
mod properties;
mod refusals;
mod requests;
