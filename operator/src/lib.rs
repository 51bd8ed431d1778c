//! The operator: reconciles the custom resources of aimass.
//!
//! The I/O shell around `aimass-plan`, which decides everything. [`run()`] runs one operator in
//! process; nothing is global, so several may run side by side. An object that fails stops only
//! itself; whatever is missing is awaited and reported, never fatal.
//!
//! | file | what |
//! | --- | --- |
//! | `run.rs` | one running operator: streams, election, the controller while it leads |
//! | `model.rs` | THE LOOP: observe → plan → apply → status → report |
//! | `key.rs`, `usage_plan.rs` | the same for kinds without children |
//! | `model/observe.rs`, `apply.rs`, `report.rs` | their phases that talk to the API server |
//! | `context.rs` | clients, clock, caches; who may hold a client |
//! | `signals.rs` | what the gateways tell, and how many pods the load calls for |
//! | `watch.rs`, `cache.rs`, `overlay.rs` | what is known of the cluster, own writes included |
//! | `lease.rs`, `lease/fence.rs`, `deadline.rs` | who may write, and how long a call may take |
//! | `error.rs`, `backoff.rs` | what a failure means, and when to try again |
//! | `readiness.rs`, `liveness.rs`, `metrics.rs` | how the process is |
//! | `args.rs`, `config.rs`, `render.rs`, `rbac.rs` | settings, `render`, what it may do |

pub mod args;
pub mod config;
pub mod rbac;
pub mod render;

mod apply;
mod backoff;
mod cache;
mod context;
mod deadline;
mod error;
mod event;
mod key;
mod lease;
mod liveness;
mod metrics;
mod model;
mod overlay;
mod readiness;
mod report;
mod run;
mod signals;
#[cfg(test)]
mod transcript;
mod usage_plan;
mod watch;

pub use config::{Config, Election, Gateways};
pub use context::{Context, client};
pub use run::run;
