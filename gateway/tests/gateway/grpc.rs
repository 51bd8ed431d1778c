//! gRPC through the gateway, over real connections: tonic's client, which is not ours, on one side, and pods that speak h2c on
//! the other.
//!
//! `caller` and `speaker` hold the nouns; every other module is one promise.

mod caller;
mod calls;
mod refusals;
mod retries;
mod speaker;
mod streams;
