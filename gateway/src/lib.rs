//! The gateway of aimass: the only door for callers.
//!
//! A request goes through the phases in [`phase`], in their order, against one immutable [`table`], which [`watch`] makes of
//! what the cluster says. Deciders are pure: `phase/*`'s functions, [`limit`], [`key`], [`jwt`], [`headers`], [`table::build`].
//! The gateway never writes to the cluster; it asks it who shows a token ([`review`]).
//!
//! Gateways count limits together: [`peer`] carries what they tell each other, [`limit`] decides. [`badge`] is what they show
//! each other, and [`doorman`] looks at it.
//!
//! Start: [`start`], [`args`] → [`config`] → [`run`]. What all requests share is [`app`]; the certificate is kept by [`tls`],
//! what is counted is in [`metrics`], and what of that the operator is told in [`signals`].

pub mod app;
pub mod args;
pub mod badge;
pub mod config;
pub mod doorman;
pub mod headers;
pub mod jwt;
pub mod key;
pub mod limit;
pub mod metrics;
pub mod peer;
pub mod phase;
pub mod review;
pub mod run;
pub mod signals;
pub mod start;
pub mod table;
pub mod tls;
pub mod watch;
