//! The gateway of aimass: the only door for callers.
//!
//! A request goes through the phases in [`phase`], in their order, against one immutable [`table`], which `watch` makes of
//! what the cluster says. Deciders are pure: `phase/*`'s functions, [`limit`], [`key`], [`headers`], [`table::build`]. The
//! gateway never writes to the cluster.

pub mod headers;
pub mod key;
pub mod limit;
pub mod phase;
pub mod table;
