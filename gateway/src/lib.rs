//! The gateway of aimass: the only door for callers.
//!
//! A request goes through the phases in [`phase`], in their order, against one immutable [`table`], which `watch` makes of
//! what the cluster says. Deciders are pure: `phase/*`'s functions, [`limit`], [`key`], [`table::build`]. The gateway never
//! writes to the cluster.

pub mod key;
pub mod limit;
pub mod phase;
pub mod table;
