//! The listener against real sockets on loopback: who sends too little, who takes too little, who
//! frames doubtfully, who comes too many, and how it ends. All bounds are short.

mod ends;
mod framing;
mod http2;
mod server;
mod slow;
mod tls;
mod upgrades;
