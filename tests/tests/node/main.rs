//! Lane `node`: real pods on a real node. The operator runs in this process, its pods run the
//! server's image; callers reach them by the Service's cluster address.
//!
//! `cargo xtask test node [filter] [--keep]` starts what it needs: a cluster with one node, the
//! images loaded. Everything stays within the cluster's own network namespace.

#![expect(
    clippy::indexing_slicing,
    reason = "a test reads JSON by keys, and one that is not there fails it"
)]

mod examples;
mod gateway;
mod misoperation;
mod objectives;
mod platform;
mod rollouts;
mod scaling;
mod steady;
mod world;
