//! The gateway as its callers and its pods meet it: the application behind the real listener on loopback, with a table made by
//! hand and pods that are sockets of these tests.
//!
//! `world` holds the nouns; every other module is one promise.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics; the lint knows only functions marked as tests"
)]

mod api_server;
mod callers;
mod client;
mod deadlines;
mod departures;
mod ends;
mod grpc;
mod hostile;
mod limits;
mod lying;
mod own;
mod peers;
mod pod;
mod records;
mod retries;
mod signals;
mod streaming;
mod tls;
mod tokens;
mod waiting;
mod waking;
mod websocket;
mod weights;
mod world;
