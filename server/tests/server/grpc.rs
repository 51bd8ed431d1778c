//! gRPC over real connections to the listener, spoken by tonic's client: an implementation that is not ours.
//!
//! `port` holds the nouns; every other module is one promise.

mod calls;
mod ends;
mod framing;
mod limits;
mod port;
mod refusals;
