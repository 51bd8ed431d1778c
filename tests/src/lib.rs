//! The language in which the tests are written that need a cluster, several processes, faults or
//! hostile input: [`cluster`], [`operator`], [`faults`], [`pods`] and how to judge what comes out.
//!
//! The lanes are the test binaries `tests/<lane>/main.rs`, one module per promise; `cargo xtask
//! test <lane>` starts what a lane needs and runs it.

pub mod args;
pub mod audit;
pub mod client;
pub mod cluster;
pub mod eventually;
pub mod faults;
pub mod gated;
pub mod gateway;
pub mod linear;
pub mod load;
pub mod models;
pub mod normal;
pub mod operator;
pub mod pods;
pub mod walker;
pub mod workload;

pub use eventually::eventually;
