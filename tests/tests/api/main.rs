//! Lane `api`: the operator in this process against a real API server and controller manager.
//!
//! One module per promise. `cargo xtask test api [filter] [--plan P] [--seed N] [--keep]` starts
//! what it needs; without that each test fails and says so. No kubelet: `aimass_tests::pods` plays
//! the pods.

#![expect(
    clippy::indexing_slicing,
    reason = "a test reads JSON by keys, and one that is not there fails it"
)]

mod admission;
mod children;
mod columns;
mod crash;
mod isolation;
mod lease;
mod misoperation;
mod objects;
mod refusals;
mod rights;
mod silence;
mod tokens;
mod views;
mod workloads;
